"""What is wrong with pictures once they are read, told before any trial."""

from __future__ import annotations

from pathlib import Path
from threading import Event

import cv2
import numpy as np
import pytest

from visiontune.errors import UserError
from visiontune.spec.parse import load_study
from visiontune.tuning.preflight.get_ready import get_ready

STUDY = """study: copies
data: {source: folder, path: pictures, image_size: 8, folds: 4}
budget: {num_trials: 1, max_epochs: 1}
space: {model: {name: lenet5}, optimizer: {name: sgd, lr: 0.1}}
"""


def test_a_class_of_copies_that_no_folds_can_have_is_told_before_any_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixteen files are enough by their number; every trial failed by three that differ."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for name, num in (("a", 3), ("b", 20)):
        Path("pictures", name).mkdir(parents=True)
        pictures = [random.integers(0, 255, (8, 8, 3), np.uint8) for _ in range(num)]
        for number in range(20):
            cv2.imwrite(f"pictures/{name}/{number}.png", pictures[number % num])
    Path("copies.yaml").write_text(STUDY)
    with pytest.raises(
        UserError, match=r"^copies.yaml:2: data.folds: every class must have a picture in each of 4 folds, but 'a' has [23]$"
    ):
        get_ready(load_study(Path("copies.yaml")), tmp_path / "cache", True, lambda _: None, Event())
