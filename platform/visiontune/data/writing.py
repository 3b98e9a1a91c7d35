"""A store's file out of chunks, written whole or not at all. The kernel copies pixels to their place, once."""

from __future__ import annotations

import errno
import hashlib
import json
import mmap
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from visiontune.data.chunk_files import Chunk
from visiontune.data.digests import Digests
from visiontune.data.forms import Form
from visiontune.data.layout import CHECKSUM_KEY, METADATA_KEY, REPORT_KEY, SHARD_BYTES, SPLITS, VERSION, rows_checksum, shard_digest
from visiontune.data.report import Report
from visiontune.data.splits import Codes, IntArray


@dataclass(frozen=True)
class Content:
    """What goes into the file. K are the good pictures of all chunks, of which `is_kept_K` are written."""

    digest: str
    form: Form
    class_names: tuple[str, ...]
    chunks: Sequence[Chunk]
    is_kept_K: NDArray[np.bool_]
    label_K: IntArray
    code_K: Codes
    mean_C: list[float]
    std_C: list[float]


def write_store(path: Path, part: Path, content: Content, report: Report) -> None:
    """At `part` first. Raises OSError when the disk refuses; then nothing is left but the chunks."""
    try:
        with part.open("wb") as file:
            _write(file, content, report)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        _sync(path.parent)
    finally:
        part.unlink(missing_ok=True)


def _write(file: BinaryIO, content: Content, report: Report) -> None:
    import pyarrow as pa

    keep = content.is_kept_K
    length_N = np.concatenate([chunk.length_K for chunk in content.chunks])[keep]
    check_N2 = np.concatenate([chunk.check_K2 for chunk in content.chunks])[keep]
    label_N, code_N = content.label_K[keep], content.code_K[keep]
    num, num_bytes = len(label_N), int(length_N.sum())
    # Never touched, so it takes no memory: it tells the writer a length.
    hole = pa.py_buffer(mmap.mmap(-1, num_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=mmap.PROT_READ))
    if content.form.kind == "encoded":
        offset_N = np.concatenate([[0], np.cumsum(length_N)]).astype(np.int64)
        kind = pa.large_binary()
        image = pa.Array.from_buffers(kind, num, [None, pa.py_buffer(offset_N), hole])
    else:
        kind = pa.binary(content.form.picture_bytes)
        image = pa.FixedSizeBinaryArray.from_buffers(kind, num, [None, hole])
    metadata = _metadata(content, report, label_N, code_N, length_N, check_N2)
    schema = pa.schema([("image", kind), ("label", pa.int64()), ("split", pa.uint8())], metadata=metadata)
    batch = pa.record_batch([image, pa.array(label_N), pa.array(code_N)], schema=schema)
    sink = _Sink(file, hole.address, num_bytes)
    with pa.ipc.new_file(pa.PythonFile(sink, mode="w"), schema) as writer:
        writer.write_batch(batch)
    _fill(file, sink.start, content)


def _metadata(
    content: Content, report: Report, label_N: IntArray, code_N: Codes, length_N: IntArray, check_N2: Digests
) -> dict[bytes, bytes]:
    known: dict[str, Any] = {
        "version": VERSION,
        "digest": content.digest,
        "class_names": list(content.class_names),
        "kind": content.form.kind,
        "image_size": content.form.image_size,
        "stored_size": content.form.stored_size,
        "is_resized": content.form.is_resized,
        "channels": content.form.channels,
        "mean": content.mean_C,
        "std": content.std_C,
        "splits": {name: int((code_N == code).sum()) for code, name in enumerate(SPLITS)},
        "rows_sha256": rows_checksum(label_N, code_N),
        "num_bytes": int(length_N.sum()),
        "shards": [{"rows": end, "digest": shard_digest(check_N2[start:end])} for start, end in _shards(length_N)],
    }
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
    """A file for Arrow's writer that leaves a hole in place of the one large buffer and remembers where."""

    def __init__(self, file: BinaryIO, address: int, num_bytes: int) -> None:
        self._file, self._hole = file, (address, num_bytes)
        self.start = 0
        self.closed = False

    def write(self, data: Any) -> int:
        if (getattr(data, "address", None), getattr(data, "size", None)) == self._hole:
            self.start = self._file.tell()
            self._file.seek(self._hole[1], os.SEEK_CUR)
            return self._hole[1]
        return self._file.write(memoryview(data))

    def tell(self) -> int:
        return self._file.tell()

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self.closed = True


def _fill(file: BinaryIO, start: int, content: Content) -> None:
    """Kept pictures of every chunk to their place."""
    file.flush()
    target, at, row = file.fileno(), start, 0
    for chunk in content.chunks:
        offset = chunk.offsets()
        keep = content.is_kept_K[row : row + len(chunk.place_K)]
        row += len(keep)
        with chunk.path.open("rb") as source:
            for low, high in _runs(keep):
                at += _copy(source.fileno(), target, int(offset[low]), at, int(offset[high] - offset[low]))


def _runs(keep: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(keep, prepend=False, append=False)).tolist()
    yield from zip(edges[::2], edges[1::2], strict=True)


def _copy(source: int, target: int, source_at: int, target_at: int, num_bytes: int) -> int:
    done = 0
    while done < num_bytes:
        done += _copy_some(source, target, source_at + done, target_at + done, num_bytes - done)
    return num_bytes


def _copy_some(source: int, target: int, source_at: int, target_at: int, num_bytes: int) -> int:
    try:
        num = os.copy_file_range(source, target, num_bytes, source_at, target_at)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
        num = os.pwrite(target, os.pread(source, min(num_bytes, 8 << 20), source_at), target_at)
    if num == 0:
        raise OSError(5, "a chunk ended too early")
    return num


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
