"""Small Parquet files in Hugging Face's image layout, for the tests beside this file."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

COLOUR = np.random.default_rng(0).integers(0, 256, (30, 12, 12, 3), dtype=np.uint8)
LABELS = np.arange(30) % 3


def png(picture: np.ndarray, kind: str = "png") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture.squeeze()).save(buffer, kind)
    return buffer.getvalue()


def write(path: Path, encoded: list[bytes | None], labels: Any, metadata: dict[bytes, bytes] | None = None, **options: Any) -> Path:
    image = pa.array([{"bytes": value, "path": None} for value in encoded], pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    table = pa.table({"image": image, "label": pa.array(labels)})
    pq.write_table(table.replace_schema_metadata(metadata), path, **options)
    return path
