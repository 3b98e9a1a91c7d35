"""Made pictures as files of their own and in one Parquet file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

NUM_CLASSES = 10
FILE_SIZES = {32: 32, 64: 64, 224: 256}
"""Training sizes, and of what size the files are."""


@dataclass(frozen=True)
class Files:
    """The same pictures twice: as `paths` and in `parquet`."""

    size: int
    paths: list[str]
    labels: list[int]
    parquet: Path


def made(num: int, size: int, seed: int = 0) -> Iterator[np.ndarray]:
    """Smooth shapes, finer ones and grain, uint8 HWC: what JPEG finds in a photograph."""
    random = np.random.default_rng(seed)
    for _ in range(num):
        picture = np.zeros((size, size, 3), np.float32)
        for cells, weight in ((4, 160.0), (16, 70.0)):
            coarse = random.random((cells, cells, 3), np.float32) * weight
            picture += cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
        yield (picture + random.normal(0, 6, picture.shape)).clip(0, 255).astype(np.uint8)


def write(folder: Path, num: int, size: int, seed: int = 0) -> Files:
    """Pictures for a training size, their classes in turn."""
    ending = "jpg" if size > 64 else "png"
    contents = [cv2.imencode(f".{ending}", picture)[1].tobytes() for picture in made(num, FILE_SIZES[size], seed)]
    labels = [row % NUM_CLASSES for row in range(num)]
    paths = [folder / f"{size}_{seed}_{row}.{ending}" for row in range(num)]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    images = [{"bytes": content, "path": path.name} for path, content in zip(paths, contents, strict=True)]
    parquet = folder / f"{size}_{seed}.parquet"
    pq.write_table(pa.table({"image": images, "label": labels}), parquet)
    return Files(size, [str(path) for path in paths], labels, parquet)
