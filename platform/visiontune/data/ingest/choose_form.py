"""Whether an ingest keeps pixels or the files' bytes: as asked, by the free space, or by what is measured to be read faster."""

from __future__ import annotations

import contextlib
import mmap
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visiontune.data.picture.bad_picture import BadPicture
from visiontune.data.picture.decode import shape_of
from visiontune.data.picture.stored_form import Form, is_large, sizes_of
from visiontune.data.source import Source
from visiontune.errors import UserError
from visiontune.spec.declarations.image_size import pixels

_SAMPLE = 16
_DISK_SAMPLE_BYTES = 32 << 20


def choose_form(source: Source, data: Mapping[str, Any], num: int, folder: Path) -> Form:
    """Decided by `data.store`, by the free space of `folder`, and by measuring.

    Raises UserError where encoded is asked for and pictures are no files of their own, and where what is kept does not fit.
    """
    first = source.first()
    size, stored = sizes_of(first, data["image_size"])
    raw = Form("raw", size, stored, first[2], data["image_size"] is not None, frame=data.get("frame", ""))
    if data["store"] == "encoded" and source.encoded is None:
        raise UserError(f"data.store can be encoded only where every picture is a file of its own, but {data['source']} has none; use raw")
    sample = _sample(source) if source.encoded is not None and is_large(size) and (raw.is_whole or data["store"] == "auto") else []
    each = _kept_bytes(sample, raw, first[:2])
    # Pictures of unequal shapes are copied out of chunks, and stay there until all are.
    needed = num * each * (1 if raw.is_even else 2)
    free = shutil.disk_usage(folder).free + sum(path.stat().st_blocks * 512 for path in folder.iterdir())
    is_room = needed <= free
    if data["store"] == "encoded" or (data["store"] == "auto" and source.encoded is not None and (is_large(size) or not is_room)):
        kind, reason = ("encoded", "asked for") if data["store"] == "encoded" else _faster(sample, raw, num, each, folder, is_room)
        if kind == "encoded":
            files = [len(one) for one in sample or _sample(source)]
            # Copied out of chunks too.
            _refuse_full(folder, 2 * num * sum(files) / max(len(files), 1), free, "data.max_pictures")
        return replace(raw, kind=kind, reason=reason)
    _refuse_full(folder, needed, free, "data.image_size or data.max_pictures")
    return raw


def _refuse_full(folder: Path, needed: float, free: int, smaller: str) -> None:
    if needed > free:
        rule = f"must have room for {needed / 1e9:,.1f} GB while pictures are decoded, but has {free / 1e9:,.1f} GB"
        raise UserError(f"the folder {folder.parent} {rule}; a smaller {smaller} takes less")


def _sample(source: Source) -> list[bytes]:
    assert source.encoded is not None
    rows = np.unique(np.linspace(0, len(source.labels()["train"]) - 1, _SAMPLE).astype(np.int64))
    return [one for one in source.encoded("train", rows) if not isinstance(one, BadPicture)]


def _kept_bytes(sample: list[bytes], raw: Form, first: tuple[int, int]) -> int:
    """Of one picture, the mean of a sample; where pictures are no files all are taken to be as the first."""
    shapes = []
    for content in sample if raw.is_whole else ():
        with contextlib.suppress(BadPicture):
            shapes.append(shape_of(content)[:2])
    sizes = [raw.kept_size(shape) for shape in shapes or [first]]
    return sum(height * width for height, width in sizes) * raw.channels // len(sizes)


def _faster(sample: list[bytes], raw: Form, num: int, each: int, folder: Path, is_room: bool) -> tuple[str, str]:
    """The kind that one thread reads faster, and why: the measured times, or that pixels don't fit."""
    if not is_room:
        return "encoded", f"raw would need {num * each / 1e9:,.1f} GB"
    encoded_s = _decode_s(sample, raw) + _disk_s(folder, num, sum(map(len, sample)) / max(len(sample), 1))
    raw_s = _copy_s(raw.picture_bytes) + _disk_s(folder, num, each)
    reason = f"raw {1e3 * raw_s:.3g} ms, encoded {1e3 * encoded_s:.3g} ms for each picture of {pixels(raw.stored_size)} px"
    return ("raw" if raw_s <= encoded_s else "encoded"), reason


def _decode_s(sample: list[bytes], form: Form) -> float:
    start, num = time.perf_counter(), 0
    for content in sample:
        try:
            form.picture_of(content)
            num += 1
        except BadPicture:
            continue
    return (time.perf_counter() - start) / max(num, 1)


def _copy_s(num_bytes: int) -> float:
    pages: NDArray[np.uint8] = np.ones(16 * num_bytes, np.uint8)
    start = time.perf_counter()
    for low in range(0, len(pages), num_bytes):
        pages[low : low + num_bytes].copy()
    return (time.perf_counter() - start) / 16


def _disk_s(folder: Path, num: int, picture_bytes: float) -> float:
    """Seconds to read one from the disk; 0 where all of them fit the page cache, which counts as half of the machine's memory."""
    if num * picture_bytes < os.sysconf("SC_PHYS_PAGES") * mmap.PAGESIZE / 2:
        return 0.0
    path = folder / ".disk.tmp"
    try:
        with path.open("wb") as file:
            file.write(os.urandom(_DISK_SAMPLE_BYTES))
            file.flush()
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        start = time.perf_counter()
        path.read_bytes()
        return (time.perf_counter() - start) * picture_bytes / _DISK_SAMPLE_BYTES
    finally:
        path.unlink(missing_ok=True)
