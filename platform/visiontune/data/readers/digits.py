"""The digits that come with scikit-learn; nothing is downloaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from visiontune.data.picture.bad_picture import Picture
from visiontune.data.source import Source
from visiontune.data.split import IntArray

SIZE = 8
_MAX = 16
# Known, so that a file is checked without importing scikit-learn (2.6 s).
COUNTS = (178, 182, 177, 183, 181, 182, 181, 179, 174, 180)


def digits() -> Source:
    """1,797 grey 8 x 8 digits, 0 to 16 stretched to 0 to 255."""
    return Source(
        class_names=tuple(str(digit) for digit in range(10)),
        counts_C=np.array(COUNTS, np.int64),
        has_test=False,
        content=lambda tell=float: "scikit-learn digits",
        first=lambda: (SIZE, SIZE, 1),
        labels=_labels,
        pictures=_pictures,
        names=lambda part: [f"digits: row {row}" for row in range(sum(COUNTS))],
        keys=lambda part: [str(row) for row in range(sum(COUNTS))],
    )


def _labels() -> Mapping[str, IntArray]:
    from sklearn.datasets import load_digits

    return {"train": load_digits().target.astype(np.int64)}


def _pictures(part: str, rows: IntArray) -> Iterator[Picture]:
    from sklearn.datasets import load_digits

    pictures_NHW = load_digits().images[rows]
    yield from np.rint(pictures_NHW * (255 / _MAX)).astype(np.uint8)[..., np.newaxis]
