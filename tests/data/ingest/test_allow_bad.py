"""What one ingest allowed, another need not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from visiontune.data.prepare import prepare
from visiontune.errors import UserError


def test_a_store_that_is_found_is_held_to_this_call_s_share(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for label in ("cat", "dog"):
        (tmp_path / "pictures" / label).mkdir(parents=True)
        for number in range(20):
            Image.fromarray(random.integers(0, 255, (8, 8, 3), np.uint8)).save(tmp_path / "pictures" / label / f"{number}.png")
    (tmp_path / "pictures" / "cat" / "0.png").write_bytes(b"")
    data = {"source": "folder", "path": str(tmp_path / "pictures")}
    path = prepare({**data, "allow_bad": 0.1}, tmp_path / "cache")
    assert prepare({**data, "allow_bad": 0.1}, tmp_path / "cache") == path
    with pytest.raises(UserError, match=r"1 of 40 pictures can't be used, more than the share that data\.allow_bad = 0\.01 allows"):
        prepare(data, tmp_path / "cache")
