"""A study of pictures with several labels, of which everything that a study of one label allows is asked."""

from __future__ import annotations

import json
import re
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import search_here
from trained_study import train_study

import visiontune
from visiontune.errors import UserError
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.training.weights_metadata import read_metadata
from visiontune.tuning import retrain_study

pytestmark = pytest.mark.heavy

NO_MLFLOW: dict[str, Any] = {"tracker": nullcontext, "said_when_left": lambda *_: nullcontext(lambda event: None)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    """Two networks a trial of pictures in which each of three rows may be bright."""
    root, random = tmp_path_factory.mktemp("rows"), np.random.default_rng(0)
    is_NK = random.random((90, 3)) < 0.4
    for number, is_bright in enumerate(is_NK):
        picture = np.repeat(np.repeat(is_bright * 150, 3)[:, None], 9, 1) + random.integers(0, 60, (9, 9))
        cv2.imwrite(str(root / f"{number}.png"), picture.astype(np.uint8))
    rows = (f"{number}.png,{'|'.join('abc'[k] for k in np.flatnonzero(row))}" for number, row in enumerate(is_NK))
    (root / "t.csv").write_text("\n".join(["path,label", *rows]))
    data = {"source": "manifest", "path": str(root / "t.csv"), "labels": "many", "val_fraction": 0.2, "test_fraction": 0.2}
    optimizer = {"name": "adamw", "lr": {"choice": [1e-8, 0.05]}}  # the first is the default, from which the winner is to differ
    space = {"model": {"name": "cnn", "width": 4, "depth": 1}, "optimizer": optimizer, "training": {"batch_size": 8}}
    budget = {"num_trials": 4, "max_epochs": 1, "repeats": 2}
    return train_study(root / "studies", data=data, budget=budget, space=space, confirm={"top": 1, "num_seeds": 1})


def test_all_that_follows_a_search(folder: StudyFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    studies = {"studies_dir": folder.path.parent}
    study = visiontune.load_study("small", **studies)
    assert study.best is not None and len(study.best.repeats) == 2 and np.mean(study.best.repeats) == pytest.approx(study.best.value)
    assert visiontune.replay("small", study.best.number, **studies).is_equal

    for name, here in {"search_on_cluster": search_here.search_here, **NO_MLFLOW}.items():
        monkeypatch.setitem(retrain_study.__dict__, name, here)
    (only,) = visiontune.confirm("small", top=1, seeds=np.int64(1), progress=False, **studies).winner.confirmations
    assert only.is_tested and only.test_map is not None and 0 < only.test_map <= 1
    (listed,) = visiontune.list_studies(folder.path.parent)
    assert listed.test_map == only.test_map and "test map" in str(visiontune.list_studies(folder.path.parent))

    ablation = visiontune.ablate("small", seeds=np.int64(2), progress=False, **studies)
    assert "val_map" in str(ablation) and "optimizer" in str(ablation)

    longer = visiontune.train_longer("small", np.int64(2), out=tmp_path / "longer.safetensors", **studies)
    assert json.loads(json.dumps(longer.to_dict()))["changes"]["training.num_epochs"] == [1, 2]
    metadata = read_metadata(tmp_path / "longer.safetensors")
    assert metadata is not None and metadata.thresholds is not None and "test_map" in str(longer)

    with pytest.raises(UserError, match="folds are for the view labels, which is left out here: it goes by the one class of a picture"):
        visiontune.inspect("small", folds=2, progress=False, **studies)

    page = study.refresh().report(tmp_path / "report.html", inspect=False).read_text()
    assert "mean average precision" in page and not re.search(r">\s*nan\b", page)
