"""What to search next, on studies of which it is known; out of noise nothing."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

import pytest
from sample_study import row
from simulated_search import drive, make_spec, report

from visiontune.cli import main
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.results.study import Study
from visiontune.results.tables.next_search import _failing_ends, next_search
from visiontune.tuning.importance.importance import importance_of
from visiontune.tuning.records.leg import Report
from visiontune.tuning.study.open_storage import create_or_resume
from visiontune.tuning.study.read_study import read_study

MORE = ["space.model.dropout={float: [0.0, 0.5]}", "space.model.init={choice: [he_normal, lecun_normal, orthogonal]}"]


def rising(recipe, epoch):
    """The higher the rate the better, and a network that always trails."""
    return math.log10(recipe.optimizer["lr"]) / 10 - 0.5 * (recipe.model["name"] == "cnn") - 0.3 / epoch


def without_orthogonal(leg, epoch, value):
    is_refused = leg.recipe.model["init"] == "orthogonal"
    return Report(epoch, {}, time_ms=0, failure="infeasible", reason="no memory") if is_refused else report(leg, epoch, value)


@pytest.mark.heavy
def test_a_better_end_a_lagging_choice_and_one_that_fails_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "study"
    drive(spec := make_spec(folder, 60, overrides=MORE), folder, value=rising, answer=without_orthogonal)
    ended = create_or_resume(StudyFolder(folder), spec)
    ended.set_attribute("finished", {"num_trials": 60, "num_seeds": 0})  # so that what waits was not promoted
    why = Study(StudyFolder(folder), read_study(StudyFolder(folder))).importance()
    drop, widen, fix = why.next_search
    assert drop.startswith("Drop model.init=orthogonal: all of its ") and "model.name=cnn: none of its " in drop
    assert widen.startswith("Widen optimizer.lr up to about ") and "(now 1" in widen and ";" not in widen
    assert fix.startswith("Fix ") and "optimizer.lr" not in fix and "model.name" not in fix
    assert str(why).endswith("\n".join(why.next_search)) and why.table.loc["optimizer.lr", "verdict"] == "matters"
    assert why.curves.query("param == 'optimizer.lr'").num_trials.sum() == why.importance.num_values
    assert main(["importance", "study", "--studies-dir", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(why.to_dict()))


@pytest.mark.heavy
@pytest.mark.parametrize("seed", range(2))
def test_noise_gives_no_advice(tmp_path: Path, seed: int) -> None:
    folder, rng = tmp_path / "study", random.Random(seed)
    drive(make_spec(folder, 50, overrides=[*MORE, f"sampler.seed={seed}"]), folder, value=lambda recipe, epoch: rng.gauss(0.5, 0.1))
    study = read_study(StudyFolder(folder))
    found = importance_of(study)
    assert not [one.name for one in found.params if one.verdict != "not known yet"] and not found.interactions
    (said,) = next_search(study, found)
    assert said.startswith("Too few trials to say more: of the variance of 50 trials' values")


@pytest.mark.parametrize("sign", [1, -1])
def test_a_trial_at_the_very_end_of_what_works_is_not_beyond_it(tmp_path: Path, sign: int) -> None:
    """By hand: eight failed at an end of the range, twenty elsewhere did not; of one more that did not fail there it depends."""
    name, (end, rest, side) = "model.lenet5.width", (1, 2, "below") if sign > 0 else (4, 3, "above")
    failed = [row(number, "failed", {}, {name: end}, "infeasible") for number in range(8)]
    good = [row(number, "complete", {9: 0.5}, {name: rest}) for number in range(8, 28)]
    space = make_spec(tmp_path / "study").space
    (said,) = _failing_ends([*failed, *good], space)
    assert said == f"{name} {side} {rest}: all 8 trials there failed, of the other 20 0"
    assert not [*_failing_ends([*failed, *good, row(28, "complete", {9: 0.5}, {name: end})], space)]


def test_what_the_program_takes_no_more_of_is_not_widened(tmp_path: Path) -> None:
    """Dropout from 0 on can't go lower, however many of the best are there; and eight values are the least to say anything of."""
    folder = tmp_path / "study"
    drive(make_spec(folder, 6, overrides=MORE), folder, value=rising)
    study = read_study(StudyFolder(folder))
    assert next_search(study, importance_of(study)) == ("Too few trials to say more: 6 have a value, 8 are needed for anything.",)
