"""A study as pandas: against Optuna's own reading of the same journal, and against the curves that were reported."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest
from simulated_search import curve, drive, make_spec

import visiontune
from visiontune.errors import UserError
from visiontune.filesystem.study_folder import StudyFolder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("studies") / "made"
    drive(make_spec(folder, 20), folder)
    (folder / "driver.lock").touch()  # what a search leaves
    return folder


@pytest.fixture(scope="module")
def optunas(folder: Path) -> pd.DataFrame:
    backend = optuna.storages.journal.JournalFileBackend(str(StudyFolder(folder).journal))
    study = optuna.load_study(study_name=None, storage=optuna.storages.JournalStorage(backend))
    return study.trials_dataframe(attrs=("number", "value", "params", "state")).set_index("number")


def test_trials_and_params_are_optunas(folder: Path, optunas: pd.DataFrame) -> None:
    study = visiontune.load_study(folder)
    params = optunas.filter(like="params_").rename(columns=lambda name: name.removeprefix("params_"))
    pd.testing.assert_frame_equal(study.params.sort_index(axis=1), params.sort_index(axis=1), check_dtype=False, check_names=False)
    names = {"COMPLETE": "complete", "RUNNING": "waiting", "FAIL": "failed"}
    assert study.trials["state"].tolist() == optunas["state"].map(names).tolist()
    full = study.trials.query("state == 'complete'")
    np.testing.assert_allclose(full["value"], optunas["value"][full.index])
    pd.testing.assert_frame_equal(study.trials.filter(like="params.").rename(columns=lambda name: name[7:]), study.params)


def test_curves_are_what_was_reported(folder: Path) -> None:
    study = visiontune.load_study("made", studies_dir=folder.parent)
    for number, trial in study.trials.iterrows():
        told = [curve(study.recipe(number), epoch) for epoch in range(1, trial["epoch"] + 1)]
        np.testing.assert_allclose(study.curves[number].iloc[: len(told)], told)
        assert study.curves[number].iloc[len(told) :].isna().all()
    assert study.curves.index.tolist() == list(range(1, 10))


def test_the_best_is_the_first_of_the_leaderboard(folder: Path) -> None:
    study = visiontune.load_study(folder)
    best = study.best
    assert best is not None and best.value == study.trials.query("epoch == 9")["value"].max()
    assert study.to_dict()["trials"][0]["number"] == best.number
    assert str(study).splitlines()[2].split()[:2] == [str(best.number), "complete"], str(study)


def test_a_recipe_of_a_study_trains_to_its_fingerprint(folder: Path) -> None:
    study = visiontune.load_study(folder)
    assert study.recipe(3).fingerprint == study.trials["fingerprint"][3]
    with pytest.raises(UserError, match="trials 0 to 19, but no trial 20"):
        study.recipe(20)


def test_trials_come_back_from_parquet_whatever_choices_they_are_of(folder: Path, tmp_path: Path) -> None:
    """Arrow's columns are of one type: values of several kinds are texts, whole numbers and fractions are not."""
    study = visiontune.load_study(folder)
    odd = [{"mixed": one, "number": number} for one, number in (("auto", 1), (2, 2.5), (True, 3))]
    trials = [replace(trial, params={**trial.params, **new}) for trial, new in zip(study.record.trials, odd, strict=False)]
    table = replace(study, record=replace(study.record, trials=(*trials, *study.record.trials[3:]))).trials
    table.to_parquet(tmp_path / "trials.parquet")
    again = pd.read_parquet(tmp_path / "trials.parquet")
    pd.testing.assert_frame_equal(again, table)
    assert again["params.mixed"].tolist()[:3] == ["auto", "2", "true"] and again["params.number"].tolist()[:3] == [1.0, 2.5, 3.0]


def test_a_study_without_trials_has_empty_tables(tmp_path: Path) -> None:
    from visiontune.tuning.study.open_storage import create_or_resume

    folder = tmp_path / "empty"
    folder.mkdir()
    create_or_resume(StudyFolder(folder), make_spec(folder))
    study = visiontune.load_study(folder)
    assert (len(study.trials), len(study.params), len(study.curves)) == (0, 0, 0) and study.best is None and study.winner is None
    with pytest.raises(UserError, match=r"^study empty has no trials yet$"):
        study.recipe(0)
    assert list(study.trials.columns) == ["state", "value", "epoch", "reason", "kind", "fingerprint", "proposed_by", "repeats"]
