"""Where pictures come from. A builder takes its table entry's args and gives a `Source`, without decoding anything.

Pictures are uint8 HWC, 0 to 255, one channel (grey) or three (RGB); rows count from 0 in the order of the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from visiontune.data.decode import BadPicture, Picture
from visiontune.data.splits import IntArray

CROP_MARGIN = 0.1

DIGITS_SIZE = 8
DIGITS_MAX = 16
# Known, so that a file is checked without importing scikit-learn (2.6 s).
DIGITS_COUNTS = (178, 182, 177, 183, 181, 182, 181, 179, 174, 180)


@dataclass(frozen=True)
class SetAside:
    """What a source found and does not give, by name, and why. `is_bad`: there should be a labelled picture, so it counts as a bad one."""

    name: str
    reason: str
    is_bad: bool = True


class Content(Protocol):
    """See `Source`."""

    def __call__(self, tell: Callable[[float], object] = ..., /) -> str: ...


@dataclass(frozen=True)
class Source:
    """Pictures that can be had. `part` is "train", "val" or "test"; `counts_C` is of "train"; rows of a part count from 0.

    `content(tell)` is a text that changes when pictures, labels or class names do: it may read every file, and tells the share that is
    read; what `tell` raises ends it. `stamp()` is a cheap one that
    changes when files do or when they are moved, None where `content()` is cheap: so content need be had only once for each stamp.
    `content_of(digests)` is the same text out of the SHA-256 of every picture's bytes, part after part, None where it can't be had so;
    it then begins with `listing()`, which names and labels alone decide.
    `first()` is the (height, width, channels) that the first pictures have.
    `labels()` has no "val" or "test" where the source has none. `pictures(part, rows)` decodes ascending rows, one item for each:
    a picture that can't be used comes as the exception. `encoded(part, rows)` is the same before decoding, None where pictures are no
    files of their own. Both work in the caller's thread, and several threads may call at once.
    `can_fork`: forked processes may call them too, as they may where all is in local files.
    `names(part)` says where each picture lies, for reports; `keys(part)` tells it from all others of the source, however many are
    added or wherever the source is moved; `groups(part)` names what must stay together in a split, None: nothing must.
    """

    class_names: tuple[str, ...]
    counts_C: IntArray
    has_test: bool
    content: Content
    first: Callable[[], tuple[int, int, int]]
    labels: Callable[[], Mapping[str, IntArray]]
    pictures: Callable[[str, IntArray], Iterator[Picture | BadPicture]]
    names: Callable[[str], Sequence[str]]
    keys: Callable[[str], Sequence[str]]
    groups: Callable[[str], Sequence[str] | None] = lambda part: None
    encoded: Callable[[str, IntArray], Iterator[bytes | BadPicture]] | None = None
    stamp: Callable[[], str] | None = None
    listing: Callable[[], str] | None = None
    content_of: Callable[[bytes], str] | None = None
    can_fork: bool = False
    has_val: bool = False
    set_aside: tuple[SetAside, ...] = ()


def digits() -> Source:
    """scikit-learn's 1,797 grey 8 x 8 digits, 0 to 16 stretched to 0 to 255."""
    return Source(
        class_names=tuple(str(digit) for digit in range(10)),
        counts_C=np.array(DIGITS_COUNTS, np.int64),
        has_test=False,
        content=lambda tell=float: "scikit-learn digits",
        first=lambda: (DIGITS_SIZE, DIGITS_SIZE, 1),
        labels=_digit_labels,
        pictures=_digit_pictures,
        names=lambda part: [f"digits: row {row}" for row in range(sum(DIGITS_COUNTS))],
        keys=lambda part: [str(row) for row in range(sum(DIGITS_COUNTS))],
    )


def parquet(
    *, train: str, val: str | None = None, test: str | None = None, image_column: str = "image", label_column: str = "label"
) -> Source:
    """Parquet files in Hugging Face's image layout. Raises UserError for files, columns or labels that can't be used."""
    from visiontune.data import parquet as files

    return files.read_source(train, val, test, image_column, label_column)


def folder(*, path: str) -> Source:
    """A folder for each class. Raises UserError for what can't be used, as all below do."""
    from visiontune.data import folders

    return folders.read_source(path)


def manifest(
    *,
    path: str,
    images: str | None = None,
    path_column: str = "path",
    label_column: str = "label",
    split_column: str = "split",
    group_column: str | None = None,
) -> Source:
    """A CSV, TSV or Parquet table of paths and labels."""
    from visiontune.data import manifest as tables

    return tables.read_source(path, images, path_column, label_column, split_column, group_column)


def voc(*, path: str, use_crops: bool = True, crop_margin: float = CROP_MARGIN) -> Source:
    """Pascal VOC's XML, one file for each picture."""
    from visiontune.data import annotations_voc

    return annotations_voc.read_source(path, use_crops, crop_margin)


def coco(*, annotations: str, images: str | None = None, use_crops: bool = True, crop_margin: float = CROP_MARGIN) -> Source:
    """COCO's JSON, one file for all pictures."""
    from visiontune.data import annotations_coco

    return annotations_coco.read_source(annotations, images, use_crops, crop_margin)


def labelme(*, path: str, use_crops: bool = True, crop_margin: float = CROP_MARGIN) -> Source:
    """LabelMe's JSON, one file for each picture."""
    from visiontune.data import annotations_labelme

    return annotations_labelme.read_source(path, use_crops, crop_margin)


def torchvision(*, dataset: str, root: str, use_download: bool = False) -> Source:
    """One of torchvision's data sets."""
    from visiontune.data import torchvision_sets

    return torchvision_sets.read_source(dataset, root, use_download)


def _digit_labels() -> Mapping[str, IntArray]:
    from sklearn.datasets import load_digits

    return {"train": load_digits().target.astype(np.int64)}


def _digit_pictures(part: str, rows: IntArray) -> Iterator[Picture]:
    from sklearn.datasets import load_digits

    pictures_NHW = load_digits().images[rows]
    yield from np.rint(pictures_NHW * (255 / DIGITS_MAX)).astype(np.uint8)[..., np.newaxis]
