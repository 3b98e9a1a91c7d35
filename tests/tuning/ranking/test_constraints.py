"""Recipes that cost too much: refused before they are trained, told to the sampler, and no trial of the budget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from simulated_search import drive, make_spec, report
from tiny import make_recipe, make_store

from visiontune.errors import UserError
from visiontune.filesystem.checkpoint_files import states_in
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.results.tables.leaderboard import leaderboard
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.tuning.legs.run_leg import run_leg
from visiontune.tuning.preflight.preflight import preflight
from visiontune.tuning.proposals.lessons import lesson
from visiontune.tuning.records.leg import Leg, Report
from visiontune.tuning.search import new_trials
from visiontune.tuning.study.read_study import study_record

BOUND = "constraints.num_parameters=<= 1000"


def lenet_is_small(recipe: TrialRecipe) -> Mapping[str, float]:
    return {"num_parameters": 500.0 if recipe.model["name"] == "lenet5" else 2000.0}


def test_a_refused_recipe_is_no_trial_of_the_budget(tmp_path: Path) -> None:
    spec = make_spec(tmp_path / "s", num_trials=12, overrides=[BOUND])
    session, storage, events = drive(spec, tmp_path / "s", num_slots=2, costs_of=lenet_is_small)
    record = study_record(storage, "s")
    refused = [trial for trial in record.trials if trial.kind == "constraint"]
    assert record.num_begun == session.num_new_trials == 12 and len(record.trials) == 12 + len(refused) and len(refused) > 2
    for trial in record.trials:
        is_refused = trial.params["model.name"] != "lenet5"
        assert is_refused == (trial in refused)
        assert not is_refused or (trial.state, trial.epoch, trial.reason) == ("failed", 0, "num_parameters is 2,000, above 1,000")
    told = {event["number"] for event in events if "number" in event}
    assert told == {trial.number for trial in record.trials} - {trial.number for trial in refused}, "MLflow has runs of trials only"
    assert "12 of 12 trials: " in leaderboard(record) and f"{len(refused)} more recipes cost too much" in leaderboard(record)

    seen = [lesson(trial, {}, spec.rungs, spec.rungs) for trial in storage.trials() if trial.number in {one.number for one in refused}]
    assert all(one is not None and one.constraints == {"usable": 1.0} for one in seen)
    first = next(event for event in events if event["event"] == "epoch")
    assert first["metrics"]["costs.num_parameters"] == 500

    again, *_ = drive(spec, tmp_path / "s", num_slots=2, costs_of=lenet_is_small)
    assert again.num_new_trials == 0


def test_a_driver_that_goes_on_refuses_what_the_first_would_have(tmp_path: Path) -> None:
    whole = drive(make_spec(tmp_path / "w", num_trials=15, overrides=[BOUND]), tmp_path / "w", costs_of=lenet_is_small)[1]
    for num_trials in (7, 15):
        parts = drive(make_spec(tmp_path / "p", num_trials=num_trials, overrides=[BOUND]), tmp_path / "p", costs_of=lenet_is_small)[1]
    assert [trial.params for trial in parts.trials()[:8]] == [trial.params for trial in whole.trials()[:8]]
    assert study_record(parts, "p").num_begun == 15


def test_a_space_that_has_no_room_within_the_bounds_ends_a_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(new_trials, "MAX_REFUSED", 30)
    spec = make_spec(tmp_path / "s", num_trials=20, sampler="random", overrides=[BOUND])
    session, storage, _ = drive(spec, tmp_path / "s", costs_of=lambda recipe: {"num_parameters": 1e4})
    assert (session.is_finished, session.ended_by, len(storage.trials())) == (True, "constraints", 30)


def test_what_a_worker_measured_as_too_slow_is_refused_as_well(tmp_path: Path) -> None:
    def answer(leg: Leg, epoch: int, value: float) -> Report:
        assert leg.bounds == ({} if leg.known_epochs else {"latency_ms": 5.0})
        costs = {"latency_ms": 3.0 if leg.recipe.model["name"] == "lenet5" else 9.0}
        if costs["latency_ms"] > 5.0:
            return Report(0, {}, 0, failure="constraint", reason="latency_ms is 9, above 5", costs=costs)
        return replace(report(leg, epoch, value), costs=costs)

    spec = make_spec(tmp_path / "s", num_trials=12, overrides=["constraints.latency_ms=<= 5"])
    _, storage, _ = drive(spec, tmp_path / "s", answer=answer)
    record = study_record(storage, "s")
    assert record.num_begun == 12 < len(record.trials)
    assert {trial.costs["latency_ms"] for trial in record.trials if trial.kind == "constraint"} == {9.0}
    assert {trial.costs["latency_ms"] for trial in record.trials if trial.kind != "constraint"} == {3.0}


def test_a_worker_measures_before_it_trains(tmp_path: Path) -> None:
    store, folder = make_store(), StudyFolder(tmp_path)
    leg = Leg("00000", 0, make_recipe(num_epochs=2), 0, bounds={"latency_ms": 1e-6})
    (only,) = run_leg(leg, store, folder, "cpu")
    assert only.failure == "constraint" and only.reason.startswith("latency_ms is 0.") and not states_in(folder.checkpoint(0))
    plain = [one.metrics["val_loss"] for one in run_leg(replace(leg, bounds={}), store, folder, "cpu")]
    bounded = [*run_leg(replace(leg, key="00001", bounds={"latency_ms": 1e6}), store, folder, "cpu")]
    assert [one.metrics["val_loss"] for one in bounded] == plain, "measuring changes nothing"
    assert all(0 < one.costs["latency_ms"] <= one.costs["latency_p95_ms"] for one in bounded)
    assert not any("latency_64_ms" in one.costs for one in bounded), "nobody asked for it"


def test_bounds_that_no_recipe_keeps_are_told_before_anything_runs(tmp_path: Path) -> None:
    """The smallest LeNet-5 of the space has a width of 1, of 8 px pictures with one channel."""
    spec = make_spec(tmp_path / "s", overrides=["constraints.num_parameters=<= 10", "constraints.latency_ms=<= 1e-9"])
    with pytest.raises(UserError) as error:
        preflight(spec)
    said = str(error.value)
    assert "constraints.num_parameters: none of 100 recipes drawn at random costs so little: the least is" in said and "nearest is" in said
    assert "latency_ms" not in said


def test_a_recipe_of_the_file_that_costs_too_much_is_told_before_anything_runs(tmp_path: Path) -> None:
    overrides = [
        "constraints.num_parameters=<= 100_000",
        "start=[{model.name: lenet5, model.width: 4}, {model.name: lenet5, model.width: 1}]",
    ]
    with pytest.raises(UserError) as error:
        preflight(make_spec(tmp_path / "s", overrides=overrides))
    (said,) = error.value.problems
    assert said.where == "start.recipes" and "costs too much for the constraints: num_parameters is" in said.rule
