"""A store's file, whole or not at all. Raw pictures lie in it already, encoded ones are copied out of the chunks by the kernel.

Pictures that are dropped as repeats lie behind all others, for another split may want them; that is then a small file of its own.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from visiontune.data.ingest.chunk_file import Chunk
from visiontune.data.ingest.gather_pictures import gather
from visiontune.data.label_sets import Sets
from visiontune.data.picture.digest import Digests
from visiontune.data.picture.stored_form import Form
from visiontune.data.split import LEFT_OUT, Codes, IntArray
from visiontune.data.store.ingest_report import IngestReport
from visiontune.data.store.layout import CHECKSUM_KEY, METADATA_KEY, REPORT_KEY, SHARD_BYTES, SPLITS, VERSION, rows_checksum, shard_digest
from visiontune.filesystem.atomic_write import sync, write_whole
from visiontune.spec.declarations.image_size import image_size

STORE = "store.part"
"""Beside the chunks: what becomes the store."""


@dataclass(frozen=True)
class Content:
    """What goes into the file. K are the good pictures of all chunks; `order_N` are indices of those that are kept, in the file's order."""

    digest: str
    form: Form
    class_names: tuple[str, ...]
    chunks: Sequence[Chunk]
    order_N: IntArray
    label_K: IntArray
    code_K: Codes
    mean_C: list[float]
    std_C: list[float]
    label_sets: Sets | None = None

    def order_P(self) -> IntArray:
        """The dropped ones too, behind all others."""
        is_dropped_K = np.ones(len(self.label_K), np.bool_)
        is_dropped_K[self.order_N] = False
        return np.concatenate([self.order_N, np.flatnonzero(is_dropped_K)])


def write_store(path: Path, unfinished: Path, content: Content, report: IngestReport) -> None:
    """Complete the file `unfinished`, where raw pictures lie already, and rename it to `path`.

    Raises OSError when the disk refuses; what is decoded is kept.
    """
    order_N = content.order_P()
    length_N = np.concatenate([chunk.length_K for chunk in content.chunks])[order_N]
    check_N2 = np.concatenate([chunk.check_K2 for chunk in content.chunks])[order_N]
    label_N, code_N = content.label_K[order_N], content.code_K[order_N]
    code_N[len(content.order_N) :] = LEFT_OUT
    shape_N2 = np.concatenate([chunk.shape_K2 for chunk in content.chunks])[order_N] if content.form.has_shapes else None
    metadata = _metadata(content, report, label_N, code_N, length_N, check_N2, shape_N2)
    around = _around(content.form, label_N, code_N, length_N, metadata, shape_N2)
    try:
        with unfinished.open("r+b" if content.form.is_even else "w+b") as file:
            gather(file, around.start, content.chunks, order_N, len(content.order_N), unfinished if content.form.is_even else None)
            for at, text in around.pieces:
                file.seek(at)
                file.write(text)
            file.truncate(around.tell())
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
        sync(path.parent)
    finally:
        if not content.form.is_even:
            unfinished.unlink(missing_ok=True)


def write_split(path: Path, content: Content, report: IngestReport, base: str, row_N: IntArray) -> None:
    """A store whose picture n is that at `row_N[n]` of the store with the digest `base`, beside it. Raises OSError."""
    import pyarrow as pa

    label_N, code_N = content.label_K[content.order_N], content.code_K[content.order_N]
    known = _of_splits(content, code_N) | {"pixels": base, "rows_sha256": rows_checksum(label_N, code_N, row_N)}
    batch = pa.record_batch({"row": row_N, "label": label_N, "split": code_N})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, batch.schema, metadata=_sealed(known, report)) as writer:
        writer.write_batch(batch)
    write_whole(path, sink.getvalue().to_pybytes())


@cache
def head_bytes(form: Form) -> int:
    """How many bytes lie before the first raw picture: they depend on the number of columns and on how long a picture is."""
    one = np.zeros(1, np.int64)
    return _around(form, one, one.astype(np.uint8), one + form.picture_bytes, {}, np.ones((1, 2), np.int64)).start


def _around(
    form: Form, label_N: IntArray, code_N: Codes, length_N: IntArray, metadata: Mapping[bytes, bytes], shape_N2: IntArray | None
) -> _Sink:
    """All of the file around the pictures: its pieces, and where the pictures begin."""
    import pyarrow as pa

    num, num_bytes = len(label_N), int(length_N.sum())
    # Never touched, so it takes no memory: it tells the writer a length.
    hole = pa.py_buffer(mmap.mmap(-1, num_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=mmap.PROT_READ))
    if not form.is_even:
        offset_N = np.concatenate([[0], np.cumsum(length_N)]).astype(np.int64)
        kind = pa.large_binary()
        image = pa.Array.from_buffers(kind, num, [None, pa.py_buffer(offset_N), hole])
    else:
        kind = pa.binary(form.picture_bytes)
        image = pa.FixedSizeBinaryArray.from_buffers(kind, num, [None, hole])
    shapes = {"height": shape_N2[:, 0], "width": shape_N2[:, 1]} if form.has_shapes and shape_N2 is not None else {}
    schema = pa.schema([("image", kind), ("label", pa.int64()), ("split", pa.uint8()), *((name, pa.int64()) for name in shapes)])
    batch = pa.record_batch([image, *map(pa.array, (label_N, code_N, *shapes.values()))], schema=schema)
    sink = _Sink(hole.address, num_bytes)
    with pa.ipc.new_file(pa.PythonFile(sink, mode="w"), schema, metadata=metadata) as writer:
        writer.write_batch(batch)
    return sink


def _metadata(
    content: Content,
    report: IngestReport,
    label_N: IntArray,
    code_N: Codes,
    length_N: IntArray,
    check_N2: Digests,
    shape_N2: IntArray | None,
) -> dict[bytes, bytes]:
    form, num = content.form, len(content.order_N)
    known = _of_splits(content, code_N) | {
        "kind": form.kind,
        "image_size": image_size(form.image_size),
        "stored_size": image_size(form.stored_size),
        "is_resized": form.is_resized,
        **({"frame": form.frame} if form.frame else {}),
        "low": form.low,
        "high": form.high,
        **({"num_rows": num} if num < len(label_N) else {}),
        "channels": form.channels,
        "rows_sha256": rows_checksum(label_N, code_N, shape_N2),
        "num_bytes": int(length_N.sum()),
        "shards": [{"rows": end, "digest": shard_digest(check_N2[start:end])} for start, end in _shards(length_N)],
    }
    return _sealed(known, report)


def _of_splits(content: Content, code_N: Codes) -> dict[str, Any]:
    return {
        "version": VERSION,
        "digest": content.digest,
        "class_names": list(content.class_names),
        **({} if content.label_sets is None else {"label_sets": content.label_sets}),
        "mean": content.mean_C,
        "std": content.std_C,
        "splits": {name: int((code_N == code).sum()) for code, name in enumerate(SPLITS)},
    }


def _sealed(known: Mapping[str, Any], report: IngestReport) -> dict[bytes, bytes]:
    text = json.dumps(known, sort_keys=True).encode()
    return {METADATA_KEY: text, CHECKSUM_KEY: hashlib.sha256(text).hexdigest().encode(), REPORT_KEY: report.to_json().encode()}


def _shards(length_N: IntArray) -> Iterator[tuple[int, int]]:
    """Runs of rows with 64 MiB together, or a single larger one."""
    ends, start = np.cumsum(length_N), 0
    while start < len(length_N):
        before = int(ends[start - 1]) if start else 0
        end = max(int(np.searchsorted(ends, before + SHARD_BYTES, "right")), start + 1)
        yield start, end
        start = end


class _Sink:
    """A file for Arrow's writer: keeps what is written and where; of the one large buffer (the pictures) only where it begins."""

    def __init__(self, address: int, num_bytes: int) -> None:
        self._hole, self._at = (address, num_bytes), 0
        self.pieces: list[tuple[int, bytes]] = []
        self.start = 0
        self.closed = False

    def write(self, data: Any) -> int:
        num = len(memoryview(data))
        if (getattr(data, "address", None), num) == self._hole:
            self.start = self._at
        else:
            self.pieces.append((self._at, bytes(data)))
        self._at += num
        return num

    def tell(self) -> int:
        return self._at

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        self.closed = True
