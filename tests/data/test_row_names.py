"""A row of a store is called after the file that it was made of, whatever was set aside or dropped before it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from visiontune.data.prepare import prepare
from visiontune.data.row_names import row_names
from visiontune.data.store.store import Store
from visiontune.errors import UserError

SIDE = 260
"""So large that a chunk of an ingest has 16 pictures."""


def test_names_are_those_of_the_files_around_bad_and_repeated_ones(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (70, 8, 8), np.uint8)
    root = tmp_path / "pictures"
    for number, small in enumerate(coarse):
        path = root / f"class{number % 2}" / f"{number:03d}.bmp"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), cv2.resize(coarse[3] if number in (40, 60) else small, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST))
    for number in (0, 6, 7, 34):
        (root / f"class{number % 2}" / f"{number:03d}.bmp").write_bytes(b"no picture")
    data = {"source": "folder", "path": str(root), "image_size": 8, "val_fraction": 0.3, "allow_bad": 0.2, "store": "raw"}
    store = Store.open(prepare(data, tmp_path / "cache"))
    names = row_names(data, store)
    assert len(names) == len(store.labels_N) == len(set(names)) and 60 < len(names) < 70 - 4  # a repeat is dropped
    for name, picture in zip(names, store.images_NHWC, strict=True):
        expected = cv2.resize(cv2.imread(name, cv2.IMREAD_GRAYSCALE), (8, 8), interpolation=cv2.INTER_AREA)
        assert np.abs(picture[..., 0].astype(int) - expected).max() <= 2, name
    root = root.rename(tmp_path / "moved")
    data["path"] = str(root)
    assert row_names(data, store) == [name.replace("/pictures/", "/moved/") for name in names]
    (root / "class0" / "002.bmp").rename(root / "class1" / "a02.bmp")
    with pytest.raises(UserError, match="not those that the store"):
        row_names(data, store)
