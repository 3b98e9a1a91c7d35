"""How pictures lie in a store: small ones whole, large ones as their centre square at 1.14 times the training size, or encoded.

Raw means uint8 pixels, read at the speed of memory; encoded means the bytes of the file, decoded whenever they are read. Both
give the same pixels to the bit: what is encoded goes through the very steps that made the raw ones.
"""

from __future__ import annotations

import json
import mmap
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visiontune.data.picture.decode import BadPicture, Picture, decode
from visiontune.data.picture.square import centre_square, fit, square_size
from visiontune.data.source import Source
from visiontune.errors import UserError
from visiontune.filesystem.atomic_write import write_whole

SMALL, MARGIN = 64, 1.14
_SAMPLE = 16
_DISK_SAMPLE_BYTES = 32 << 20


@dataclass(frozen=True)
class Form:
    """`image_size` is the training size, `stored_size` the side of what is kept, both in pixels; `said` is why it is raw or encoded."""

    kind: str
    image_size: int
    stored_size: int
    channels: int
    is_resized: bool
    said: str = ""

    def apply(self, picture: Picture) -> Picture:
        """(stored_size, stored_size, channels)."""
        if self.stored_size == self.image_size:
            return fit(picture, self.stored_size, self.channels)
        return fit(centre_square(picture, self.stored_size), self.stored_size, self.channels)

    @property
    def side(self) -> int | None:
        """As long as both sides must be when pictures are decoded, in pixels; None: as long as they are."""
        return self.stored_size if self.is_resized else None

    def picture_of(self, encoded: bytes) -> Picture:
        """What is kept of a file's bytes. Raises BadPicture."""
        return self.apply(decode(encoded, self.side))

    def put(self, picture: Picture, out: Picture) -> None:
        """`apply` into a contiguous array: a fresh one for each large picture costs more than resizing it."""
        if picture.shape == out.shape:
            out[...] = picture
        elif self.stored_size != self.image_size and picture.shape[2] == self.channels:
            made = centre_square(picture, self.stored_size, out)
            if made.ctypes.data != out.ctypes.data:
                out[...] = made
        else:
            out[...] = self.apply(picture)

    @property
    def picture_bytes(self) -> int:
        """Of one raw picture."""
        return self.stored_size**2 * self.channels


def sizes_of(first: tuple[int, int, int], image_size: int | None) -> tuple[int, int]:
    """Training size and stored size. Raises UserError when nothing says how to make the pictures square."""
    size = square_size(first[0], first[1], image_size)
    # A multiple of 8 makes whole words of every picture.
    return size, round(MARGIN * size / 8) * 8 if image_size is not None and size > SMALL else size


def choose_form(source: Source, data: Mapping[str, Any], num: int, folder: Path) -> Form:
    """Settled by what is asked for, by the room in `folder`, and by measuring. Raises UserError where neither form can be had."""
    first = source.first()
    size, stored = sizes_of(first, data["image_size"])
    raw = Form("raw", size, stored, first[2], data["image_size"] is not None)
    if data["store"] == "encoded" and source.encoded is None:
        raise UserError(f"data.store can be encoded only where every picture is a file of its own, but {data['source']} has none; use raw")
    needed = num * raw.picture_bytes
    free = shutil.disk_usage(folder).free + sum(path.stat().st_blocks * 512 for path in folder.iterdir())
    is_room = needed <= free
    if data["store"] == "encoded" or (data["store"] == "auto" and source.encoded is not None and (size > SMALL or not is_room)):
        kind, said = ("encoded", "asked for") if data["store"] == "encoded" else _faster(source, raw, num, folder, is_room)
        return Form(kind, size, stored, first[2], raw.is_resized, said)
    if not is_room:
        rule = f"must have room for {needed / 1e9:,.1f} GB while pictures are decoded, but has {free / 1e9:,.1f} GB"
        raise UserError(f"the folder {folder.parent} {rule}; a smaller data.image_size or data.max_pictures takes less")
    return raw


def _faster(source: Source, raw: Form, num: int, folder: Path, is_room: bool) -> tuple[str, str]:
    """The kind that a thread reads faster, and the figures."""
    assert source.encoded is not None
    rows = np.unique(np.linspace(0, len(source.labels()["train"]) - 1, _SAMPLE).astype(np.int64))
    sample = [one for one in source.encoded("train", rows) if not isinstance(one, BadPicture)]
    if not is_room:
        return "encoded", f"raw would need {num * raw.picture_bytes / 1e9:,.1f} GB"
    encoded_s = _decode_s(sample, raw) + _disk_s(folder, num, sum(map(len, sample)) / max(len(sample), 1))
    raw_s = _copy_s(raw.picture_bytes) + _disk_s(folder, num, raw.picture_bytes)
    said = f"raw {1e3 * raw_s:.3g} ms, encoded {1e3 * encoded_s:.3g} ms for each picture of {raw.stored_size} px"
    return ("raw" if raw_s <= encoded_s else "encoded"), said


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
    """0 where all of them stay in memory once read: half of what the machine has counts as the page cache's."""
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


def save_form(form: Form, path: Path) -> None:
    """Whole or not at all."""
    write_whole(path, json.dumps(asdict(form)), use_fsync=False)


def load_form(path: Path) -> Form | None:
    """None where there is none that can be read."""
    try:
        return Form(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None
