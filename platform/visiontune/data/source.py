"""What every source answers. A reader takes its table entry's args and gives a `Source`, without decoding a file.

Pictures are uint8 HWC, 0 to 255, one channel (grey) or three (RGB); rows count from 0 in the order of the file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from visiontune.data.label_sets import Sets, pairs_of
from visiontune.data.picture.bad_picture import BadPicture, Values
from visiontune.data.split import IntArray

Hashes = NDArray[np.uint64]


@dataclass(frozen=True)
class SetAside:
    """What a source found and leaves out, by name, and why. `is_bad`: it should be a labelled picture, so it counts for data.allow_bad."""

    name: str
    reason: str
    is_bad: bool = True


@dataclass(frozen=True)
class Stamps:
    """What is known of files without reading them. `place` is where they lie, with all that names and labels decide.

    `of_rows`, by part, has a number for each row that changes with its file; without it `place` changes with any file.
    """

    place: str
    of_rows: Mapping[str, Hashes] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """One line that changes with anything."""
        digest = hashlib.sha256(self.place.encode("utf-8", "backslashreplace"))
        for part, of_rows in self.of_rows.items():
            digest.update(part.encode() + of_rows.astype("<u8").tobytes())
        return digest.hexdigest()


class Content(Protocol):
    """See `Source`."""

    def __call__(self, tell: Callable[[float], object] = ..., /) -> str: ...


@dataclass(frozen=True)
class Source:
    """Pictures that can be had. `part` is "train", "val" or "test"; `counts_C` is of "train"; rows of a part count from 0.

    `content(tell)` is a text that changes when pictures, labels or class names do: it may read every file, and calls `tell` with the
    share that is read; what `tell` raises ends it. `stamps()` costs little and changes when files do or are moved, None where
    `content()` costs little itself: content need be read only once for each of its texts.
    `content_of(digests)` is the same text out of the SHA-256 of every picture's bytes, part after part, None where that is not enough;
    it then begins with `listing()`, which names and labels alone decide.
    `first()` is (height, width) of the first good picture and the most channels among a few pictures.
    `labels()` has no "val" or "test" where the source has none; they number classes, or
    `label_sets` where pictures have several. `pictures(part, rows)` decodes ascending rows, one item for each:
    a picture that can't be used comes as the exception. `encoded(part, rows)` is the same before decoding, None where pictures are no
    files of their own. Both work in the caller's thread, and several threads may call at once.
    `can_fork`: forked processes may call them too, as they may where all is in local files.
    `notes` are sentences on how what lies there was read where it could be read otherwise (which folders are classes, what was left out).
    `begins(part)` are the rows, ascending, with which something begins that is read as a whole, such as a row group.
    `names(part)` says where each picture lies, for reports; `keys(part)` tells it from all others of the source, however many are
    added or wherever the source is moved; `groups(part)` names what must stay together in a split, None: nothing must.
    """

    class_names: tuple[str, ...]
    counts_C: IntArray
    has_test: bool
    content: Content
    first: Callable[[], tuple[int, int, int]]
    labels: Callable[[], Mapping[str, IntArray]]
    pictures: Callable[[str, IntArray], Iterator[Values | BadPicture]]
    names: Callable[[str], Sequence[str]]
    keys: Callable[[str], Sequence[str]]
    groups: Callable[[str], Sequence[str] | None] = lambda part: None
    encoded: Callable[[str, IntArray], Iterator[bytes | BadPicture]] | None = None
    stamps: Callable[[], Stamps] | None = None
    listing: Callable[[], str] | None = None
    content_of: Callable[[bytes], str] | None = None
    can_fork: bool = False
    begins: Callable[[str], IntArray] = lambda part: np.zeros(0, np.int64)
    has_val: bool = False
    label_sets: Sets | None = None
    set_aside: tuple[SetAside, ...] = ()
    notes: tuple[str, ...] = ()

    def names_of(self, label: int) -> list[str]:
        """Names of the training pictures that have a class."""
        picture_P, class_P = pairs_of(self.labels()["train"], self.label_sets)
        names = self.names("train")
        return [names[row] for row in picture_P[class_P == label]]

    @property
    def num_train(self) -> int:
        """Pictures of "train"."""
        return len(self.labels()["train"])
