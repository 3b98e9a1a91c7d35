"""Where pictures come from. A builder takes its table entry's args and gives a `Source`, without decoding anything.

Pictures are uint8 HWC, 0 to 255, one channel (grey) or three (RGB); rows count from 0 in the order of the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from visiontune.data.pictures import Picture
from visiontune.data.splits import IntArray

DIGITS_SIZE = 8
DIGITS_MAX = 16
# Known, so that a file is checked without importing scikit-learn (2.6 s).
DIGITS_COUNTS = (178, 182, 177, 183, 181, 182, 181, 179, 174, 180)


@dataclass(frozen=True)
class Source:
    """Pictures that can be had. `part` is "train" or "test".

    `content()` is a text that changes when pictures, labels or class names do; `first()` the (height, width, channels) that
    the first pictures have; `labels()` has no "test" where the source has none; `pictures(part, rows)` decodes ascending rows.
    """

    class_names: tuple[str, ...]
    counts_C: IntArray
    has_test: bool
    content: Callable[[], str]
    first: Callable[[], tuple[int, int, int]]
    labels: Callable[[], Mapping[str, IntArray]]
    pictures: Callable[[str, IntArray], Iterator[Picture]]


def digits() -> Source:
    """scikit-learn's 1,797 grey 8 x 8 digits, 0 to 16 stretched to 0 to 255."""
    return Source(
        class_names=tuple(str(digit) for digit in range(10)),
        counts_C=np.array(DIGITS_COUNTS, np.int64),
        has_test=False,
        content=lambda: "scikit-learn digits",
        first=lambda: (DIGITS_SIZE, DIGITS_SIZE, 1),
        labels=_digit_labels,
        pictures=_digit_pictures,
    )


def parquet(*, train: str, test: str | None = None, image_column: str = "image", label_column: str = "label") -> Source:
    """Parquet files in Hugging Face's image layout. Raises UserError for files, columns or labels that can't be used."""
    from visiontune.data import parquet as files

    return files.read_source(train, test, image_column, label_column)


def _digit_labels() -> Mapping[str, IntArray]:
    from sklearn.datasets import load_digits

    return {"train": load_digits().target.astype(np.int64)}


def _digit_pictures(part: str, rows: IntArray) -> Iterator[Picture]:
    from sklearn.datasets import load_digits

    pictures_NHW = load_digits().images[rows]
    yield from np.rint(pictures_NHW * (255 / DIGITS_MAX)).astype(np.uint8)[..., np.newaxis]
