"""The sheet of a study's winner: there when it augments, gone when another does not, never in a search's way."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from sample_study import RECORD
from tiny import make_recipe, make_store

from visiontune.filesystem.study_folder import StudyFolder
from visiontune.tuning.retraining.mlflow_events import study_end_event
from visiontune.tuning.retraining.winner import write_winner_sheet

AUGMENTED = {"policy": "fixed", "Rotate": {"probability": 0.5, "magnitude": 0.5}}


def test_a_winner_that_augments_has_a_sheet_and_the_next_may_have_none(tmp_path: Path) -> None:
    store = make_store()
    folder = StudyFolder(tmp_path)
    assert write_winner_sheet(make_recipe(augmentation=AUGMENTED), store, folder, "winner of study s")
    with Image.open(folder.winner_sheet) as image:
        assert image.format == "PNG"
    assert not write_winner_sheet(make_recipe(augmentation={"policy": "none"}), store, folder, "t") and not folder.winner_sheet.exists()
    assert write_winner_sheet(make_recipe(augmentation={"policy": "none", "mixing": "mixup"}), store, folder, "t")


def test_a_sheet_that_cannot_be_drawn_is_told_and_ends_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    colour = {"policy": "fixed", "Hue": {"probability": 0.5, "magnitude": 0.5}}
    assert write_winner_sheet(make_recipe(augmentation=colour), make_store(channels=1), StudyFolder(tmp_path), "t") is False
    assert "could not be drawn: " in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_the_curve_of_the_best_does_not_fall_where_another_trial_has_won_the_race() -> None:
    second = RECORD.trials[0]
    assert RECORD.best is not None and RECORD.best.value is not None and second.value is not None and second.value < RECORD.best.value
    assert study_end_event(RECORD, second)["metrics"] == {"best.val_top1": RECORD.best.value}
