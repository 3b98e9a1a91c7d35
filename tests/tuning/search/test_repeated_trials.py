"""Trials of several networks: paired by seed, reckoned with all their epochs, read back with the value of each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from simulated_search import drive, make_spec, report

from visiontune.errors import UserError
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.results.tables.leaderboard import leaderboard
from visiontune.spec.declarations.network_names import own_name
from visiontune.spec.space.epoch_forecast import cost
from visiontune.spec.space.study_spec import completed
from visiontune.tuning.study.read_study import read_study

PARTS = (-0.02, 0.0, 0.02)


def of_three(leg: Any, epoch: int, value: float) -> Any:
    told = report(leg, epoch, value)
    if leg.is_confirmation:
        assert leg.num_repeats == 1
        return told
    assert leg.num_repeats == 3
    own = {own_name("val_top1", number): value + part for number, part in enumerate(PARTS)}
    return replace(told, metrics={**told.metrics, **own})


def test_a_trial_of_three_networks_is_paired_and_counts_three_epochs(tmp_path: Path) -> None:
    spec = make_spec(tmp_path / "study", 9, num_seeds=1, overrides=["budget.repeats=3"])
    run, _, _ = drive(spec, tmp_path / "study", value=lambda recipe, epoch: 0.5 - recipe.optimizer["lr"] / 4 - 0.3 / epoch, answer=of_three)
    study = read_study(StudyFolder(tmp_path / "study"))
    assert len({trial.recipe["training"]["seed"] for trial in study.trials}) == 1
    num_again = sum(9 for one in study.candidates for _ in one.confirmations)
    assert run.spending.spent["epochs"] == 3 * sum(trial.epoch for trial in study.trials) + num_again
    best = study.best
    assert best is not None and best.value is not None and best.repeats == pytest.approx([best.value + part for part in PARTS])
    half = 4.302653 * 0.02 / 3**0.5  # Student's t for 2 degrees of freedom
    assert f"({best.value - half:.4g} to {best.value + half:.4g})" in leaderboard(study)
    single = make_spec(tmp_path / "single", 9)
    both = [cost(one) for one in (spec, single)]
    assert [both[0].worst_epochs, both[0].expected_epochs] == [3 * both[1].worst_epochs, 3 * both[1].expected_epochs]


def test_epochs_of_the_budget_are_those_of_all_networks(tmp_path: Path) -> None:
    spec = make_spec(tmp_path / "study", 30, overrides=["budget.repeats=3", "budget.epochs=120"])
    run, _, _ = drive(spec, tmp_path / "study", answer=of_three)
    assert 60 < run.spending.spent["epochs"] <= 120


def test_a_study_that_is_older_has_one_network_and_no_folds(tmp_path: Path) -> None:
    new = make_spec(tmp_path / "study").identity()
    old = {key: value for key, value in new.items() if key not in ("budget.repeats", "data.folds")}
    assert len(new) == len(old) + 2 and completed(old, new) == new
    assert "folds" not in make_spec(tmp_path / "study").data or make_spec(tmp_path / "study").num_repeats == 1


@pytest.mark.parametrize(
    ("overrides", "rule"),
    [
        (["budget.repeats=2", "data.folds=5"], "leave one of them out"),
        (["budget.repeats=2", "resources.workers_per_trial=2"], "trained by one worker"),
        (["data.folds=5", "space.regularization.early_stop_epochs=3"], "early_stop_epochs must be 0"),
    ],
)
def test_what_several_networks_can_not_be_is_told_before_the_search(tmp_path: Path, overrides: list[str], rule: str) -> None:
    with pytest.raises(UserError, match=rule):
        make_spec(tmp_path / "study", overrides=overrides)
