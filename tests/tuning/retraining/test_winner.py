"""The sheet of a study's winner: there when it augments, gone when another does not, never in a search's way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from sample_study import RECORD
from tiny import make_recipe, make_store

from visiontune.filesystem.study_folder import StudyFolder
from visiontune.tuning.records.records import Confirmation
from visiontune.tuning.retraining.answer import answer
from visiontune.tuning.retraining.mlflow_events import study_end_event, winner_event
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


SEED, OTHER = (Confirmation(seed, val, 0.8, 1.0) for seed, val in ((1, 0.9), (2, 0.7)))
WITH_VAL = Confirmation(3, float("nan"), 0.95, 0.5)


@pytest.mark.parametrize(
    ("known", "said", "tested"),
    [
        ({"confirmations": (SEED,)}, "on 1 fresh seed: val_top1 0.9, test top1 0.8.", 0.8),
        ({"confirmations": (SEED, OTHER)}, "on 2 fresh seeds: val_top1 0.8 ± 0.14, test top1 0.8 ± 0.", 0.8),
        (
            {"confirmations": (SEED, OTHER), "with_val": WITH_VAL},
            "on 2 fresh seeds: val_top1 0.8 ± 0.14; once more with the validation pictures too: test top1 0.95.",
            0.95,
        ),
        (
            {"confirmations": (SEED,), "with_val": replace(WITH_VAL, failure="crashed: it was lost")},
            "on 1 fresh seed: val_top1 0.9, test top1 0.8.",
            0.8,
        ),
    ],
)
def test_a_test_s_figure_is_told_of_the_networks_that_it_is_of(known: dict[str, Any], said: str, tested: float, tmp_path: Path) -> None:
    """In the answer and among MLflow's metrics: once the training with val has met the test, those of the seeds are of other networks."""
    study = replace(RECORD, winner=RECORD.best, **known)
    assert f"Trained again in full {said}" in answer(study, study.winner)
    assert winner_event(study, 2, StudyFolder(tmp_path), {})["metrics"]["test_top1_mean"] == pytest.approx(tested)
