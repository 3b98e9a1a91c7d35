"""What is known of a finished chunk, in a file of its own: a numpy archive, its length as 8 bytes and its SHA-256.

Before that lie the bytes of encoded pictures, end to end; raw ones lie where the store will have them. A chunk counts only when
every picture has its digest.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from visiontune.data.picture.digest import Bytes, Digests, checks_of
from visiontune.data.picture.stored_form import Form
from visiontune.data.split import IntArray

_TAIL = 8 + 32


@dataclass(frozen=True)
class Chunk:
    """What is known of a finished chunk, whose K good pictures are in the order of the plan.

    They lie end to end in `pictures`, the first at byte `at`, or where `begin_K` says. `start` is the chunk's first index in the plan,
    `place_K` that of each picture, `bad` is (index in the plan, reason). `length_K` are the bytes of each, `shape_K2` height and width as
    they came, `trait_K` those of their files (`traits_of`; 0 where they are none), `digest_K2` digests of pixels and `check_K2` of what is
    stored, `sum_K2C` are `sums_of_each` where `Form.has_sums`, `content_R` the SHA-256 of the bytes of all R pictures, bad ones too, end
    to end, where they were asked for.
    """

    pictures: Path
    at: int
    start: int
    place_K: IntArray
    digest_K2: Digests
    check_K2: Digests
    thumb_KP: Bytes
    shape_K2: IntArray
    trait_K: Bytes
    length_K: IntArray
    sum_K2C: IntArray
    content_R: Bytes
    bad: tuple[tuple[int, str], ...] = ()
    position_K: IntArray | None = None
    begin_K: IntArray | None = None

    def begins(self) -> IntArray:
        """(K,) where each picture begins in `pictures`."""
        return self.at + np.cumsum(self.length_K) - self.length_K if self.begin_K is None else self.begin_K

    def positions(self) -> IntArray:
        """(K,) where each would stand in the store if none were dropped or bad in the chunks before."""
        return self.start + np.arange(len(self.place_K)) if self.position_K is None else self.position_K


def write_end(file: BinaryIO, known: Mapping[str, NDArray[Any]], bad: list[tuple[int, str]], what: str) -> None:
    """Append the archive to the chunk's file; `what` says which pictures it holds and how, and is compared when it is read."""
    reasons = np.array([reason for _, reason in bad], np.str_)
    more: dict[str, Any] = {"bad": np.array([place for place, _ in bad], np.int64), "reasons": reasons, "what": np.array(what)}
    archive = io.BytesIO()
    np.savez(archive, **{**more, **known})
    text = archive.getvalue()
    file.write(text + len(text).to_bytes(8, "little") + hashlib.sha256(text).digest())


def read_chunk(path: Path, pictures: Path, at: int, start: int, what: str) -> Chunk | None:
    """None for a file that is missing, of another `what`, or damaged; the pictures themselves are not checked (`is_whole` does)."""
    try:
        content = np.memmap(path, np.uint8, "r")
        length = int.from_bytes(content[-_TAIL:-32].tobytes(), "little")
        text = content[-_TAIL - length : -_TAIL].tobytes()
        if hashlib.sha256(text).digest() != content[-32:].tobytes():
            return None
        with np.load(io.BytesIO(text), allow_pickle=False) as archive:
            known = {name: archive[name] for name in archive.files}
        if str(known.pop("what")) != what:
            return None
        bad = tuple(zip(known.pop("bad").tolist(), known.pop("reasons").tolist(), strict=True))
        return Chunk(pictures, at, start, bad=bad, **known)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def is_whole(chunk: Chunk, form: Form) -> bool:
    """Whether every picture has its digest."""
    try:
        stored = np.memmap(chunk.pictures, np.uint8, "r")[chunk.at : chunk.at + int(chunk.length_K.sum())]
    except (OSError, ValueError):
        return False
    return np.array_equal(checks_of(stored, chunk.length_K, form), chunk.check_K2)
