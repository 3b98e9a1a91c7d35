"""The digits that come with scikit-learn; nothing is downloaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from visiontune.data.picture.bad_picture import Picture
from visiontune.data.source import Source
from visiontune.data.split import IntArray

SIZE = 8
_MAX = 16
# Known, so that a file is checked without reading them.
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
    return {"train": _rows()[:, -1].astype(np.int64)}


def _pictures(part: str, rows: IntArray) -> Iterator[Picture]:
    pixels_NHW = _rows()[rows, :-1].reshape(-1, SIZE, SIZE)
    yield from np.rint(pixels_NHW * (255 / _MAX)).astype(np.uint8)[..., np.newaxis]


@cache
def _rows() -> NDArray[np.uint8]:
    """(1797, 65) pixels and label of each, from where `load_digits` reads them: importing scikit-learn takes a second of a core."""
    found = find_spec("sklearn")
    assert found is not None and found.submodule_search_locations
    file = Path(found.submodule_search_locations[0], "datasets", "data", "digits.csv.gz")
    return np.loadtxt(file, delimiter=",", dtype=np.uint8)
