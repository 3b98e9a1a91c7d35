"""What an ingest found out about each picture, beside its store: enough to split the same pictures in another way without decoding them.

A numpy archive, 200 bytes for a picture, named DIGEST.KEY.known: KEY stands for content, size and form, whatever the splits are.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from visiontune.data.ingest.chunk_file import Chunk
from visiontune.data.picture.stored_form import Form
from visiontune.data.split import IntArray
from visiontune.data.store.store_file import pictures_in
from visiontune.filesystem.atomic_write import write_whole

_COLUMNS = ("place_K", "digest_K2", "check_K2", "thumb_KP", "shape_K2", "trait_K", "length_K", "sum_K2C")


@dataclass(frozen=True)
class Known:
    """All good pictures as one chunk, whose pictures lie in the store `base`, at its row `row_K`."""

    base: Path
    form: Form
    chunk: Chunk
    row_K: IntArray


def save_known(path: Path, key: str, form: Form, chunks: Sequence[Chunk], order_P: IntArray) -> None:
    """Beside the store `path`, whose rows are `order_P`, those beyond its last one too. Raises OSError."""
    row_K = np.empty(len(order_P), np.int64)
    row_K[order_P] = np.arange(len(order_P))
    bad = sorted(item for chunk in chunks for item in chunk.bad)
    found: dict[str, Any] = {name: np.concatenate([getattr(chunk, name) for chunk in chunks]) for name in _COLUMNS}
    found |= {"row_K": row_K, "position_K": np.concatenate([chunk.positions() for chunk in chunks]), "reason": np.array(form.reason)}
    found |= {"bad": np.array([place for place, _ in bad], np.int64), "reasons": np.array([reason for _, reason in bad], np.str_)}
    archive = io.BytesIO()
    np.savez(archive, **found)
    text = archive.getvalue()
    write_whole(_path(path.parent, path.stem, key), text + hashlib.sha256(text).digest(), use_fsync=False)


def find_known(cache: Path, key: str) -> Known | None:
    """Of pictures whose store is there and whole; None for none."""
    for path in sorted(cache.glob(f"*.{key}.known")):
        try:
            return _read(path, cache / f"{path.name.partition('.')[0]}.arrow")
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None


def _path(cache: Path, digest: str, key: str) -> Path:
    return cache / f"{digest}.{key}.known"


def _read(path: Path, base: Path) -> Known:
    content = path.read_bytes()
    text = content[:-32]
    if hashlib.sha256(text).digest() != content[-32:]:
        raise ValueError("it is damaged")
    with np.load(io.BytesIO(text), allow_pickle=False) as archive:
        known = {name: archive[name] for name in archive.files}
    (form, begin_P), row_K = pictures_in(base), known.pop("row_K")
    if len(begin_P) != len(row_K):
        raise ValueError("it is of another store")
    bad = tuple(zip(known.pop("bad").tolist(), known.pop("reasons").tolist(), strict=True))
    form = form.with_reason(str(known.pop("reason")))
    chunk = Chunk(base, 0, 0, bad=bad, content_R=np.zeros(0, np.uint8), begin_K=begin_P[row_K], **known)
    return Known(base, form, chunk, row_K)
