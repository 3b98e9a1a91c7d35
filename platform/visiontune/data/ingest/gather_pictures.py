"""Pictures out of chunks to their positions in a store: by the kernel, in runs, and none that lies there already."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import numpy as np

from visiontune.data.ingest.chunk_file import Chunk
from visiontune.data.split import IntArray


def gather(file: BinaryIO, start: int, chunks: Sequence[Chunk], order_P: IntArray, num: int, unfinished: Path | None) -> None:
    """From byte `start` on those of the chunks, in this order; the first `num` are kept, the others dropped. Raises OSError.

    Those that lie in the file itself, which is `unfinished`, may take each other's place: dropped ones are put aside before.
    """
    length_K = np.concatenate([chunk.length_K for chunk in chunks])
    at_P = start + np.cumsum(length_K[order_P]) - length_K[order_P]
    if unfinished is None or num == len(order_P):
        _place(file, chunks, order_P, at_P, unfinished)
        return
    with tempfile.TemporaryFile(dir=unfinished.parent) as aside:
        dropped = order_P[num:]
        at_D = np.cumsum(length_K[dropped]) - length_K[dropped]
        _place(aside, chunks, dropped, at_D, None)
        _place(file, chunks, order_P[:num], at_P[:num], unfinished)
        _copy(aside.fileno(), file.fileno(), 0, int(at_P[num]), int(length_K[dropped].sum()))


def _place(file: BinaryIO, chunks: Sequence[Chunk], order: IntArray, at: IntArray, there: Path | None) -> None:
    """Pictures of the chunks to these bytes of the file, but for those that are `there` already."""
    chunk_K = np.repeat(np.arange(len(chunks)), [len(chunk.place_K) for chunk in chunks])
    from_K = np.concatenate([chunk.begins() for chunk in chunks])
    end_K = from_K + np.concatenate([chunk.length_K for chunk in chunks])
    is_next = (np.diff(order) == 1) & (np.diff(chunk_K[order]) == 0)
    edges = [0, *(np.flatnonzero(~is_next) + 1).tolist(), len(order)]
    for low, high in pairwise(edges):
        first, last, target = int(order[low]), int(order[high - 1]), int(at[low])
        pictures, begin, num_bytes = chunks[chunk_K[first]].pictures, int(from_K[first]), int(end_K[last] - from_K[first])
        if pictures != there or begin != target:
            with pictures.open("rb") as source:
                _copy(source.fileno(), file.fileno(), begin, target, num_bytes)


def _copy(source: int, target: int, source_at: int, target_at: int, num_bytes: int) -> None:
    done = 0
    while done < num_bytes:
        done += _copy_some(source, target, source_at + done, target_at + done, num_bytes - done)


def _copy_some(source: int, target: int, source_at: int, target_at: int, num_bytes: int) -> int:
    try:
        num = os.copy_file_range(source, target, num_bytes, source_at, target_at)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
        num = os.pwrite(target, os.pread(source, min(num_bytes, 8 << 20), source_at), target_at)
    if num == 0:
        raise OSError(errno.EIO, "a chunk ended too early")
    return num
