"""What one ingest allowed, another need not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from visiontune.data.prepare import prepare
from visiontune.errors import UserError


def _pictures(root: Path, num: int, num_bad: int) -> dict[str, object]:
    random = np.random.default_rng(0)
    for number in range(num):
        path = root / ("cat", "dog")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 255, (8, 8, 3), np.uint8)).save(path)
        if number < num_bad:
            path.write_bytes(b"")
    return {"source": "folder", "path": str(root)}


def test_the_share_itself_passes(tmp_path: Path) -> None:
    """0.29 * 100 is less than 29 in floating point."""
    data = {**_pictures(tmp_path / "pictures", 100, 29), "allow_bad": 0.29}
    assert prepare(data, tmp_path / "cache") == prepare(data, tmp_path / "cache")
    with pytest.raises(UserError, match="29 of 100 pictures can't be used"):
        prepare({**data, "allow_bad": 0.28}, tmp_path / "cache")


def test_a_store_that_is_found_is_held_to_this_call_s_share(tmp_path: Path) -> None:
    data = _pictures(tmp_path / "pictures", 40, 1)
    path = prepare({**data, "allow_bad": 0.1}, tmp_path / "cache")
    assert prepare({**data, "allow_bad": 0.1}, tmp_path / "cache") == path
    with pytest.raises(UserError, match=r"1 of 40 pictures can't be used, more than the share that data\.allow_bad = 0\.01 allows"):
        prepare(data, tmp_path / "cache")
