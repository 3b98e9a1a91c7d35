"""What factors are worth, on made recipes whose values are known: recovered, trained once, unchanged by a kill, bounded by a budget."""

from __future__ import annotations

import json
import math
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from simulated_search import drive, make_spec, report

from visiontune.errors import UserError
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.results.plots.ablation_plot import ablation_figure
from visiontune.results.retraining.ablate_study import limit_of
from visiontune.results.tables.ablation_table import Ablation, ablation_of
from visiontune.results.tables.winner_lines import Estimate
from visiontune.tuning.retraining import ablation as policy
from visiontune.tuning.search.search_run import SearchRun
from visiontune.tuning.study.open_storage import mend_journal, open_existing
from visiontune.tuning.study.read_confirmations import results_of
from visiontune.tuning.study.read_study import read_study

LIMITLESS = limit_of(None)


def value_of(recipe: Any) -> float:
    """The sum of what each factor does, of one pair that only helps together, and of a seed: all differences are known."""
    is_cnn, is_slow = recipe.model["name"] == "cnn", recipe.optimizer["lr"] < 7e-4
    return 0.5 + 0.1 * is_cnn - 0.02 * is_slow + 0.2 * (is_cnn and is_slow) + recipe.training["seed"] % 1000 / 1e4


class Killed(Exception):
    pass


def ablate(folder: Path, limit: policy.Limit = LIMITLESS, num_seeds: int = 3, kill_at: int = -1) -> tuple[Ablation, Counter[str]]:
    """Workers answer at once, and the driver dies before it hears of the training number `kill_at`."""
    spec, ended, study = make_spec(folder, 4), Counter[str](), read_study(StudyFolder(folder))
    mend_journal(StudyFolder(folder))
    storage = open_existing(StudyFolder(folder))
    winner = next(trial for trial in study.trials if trial.params["model.name"] == "cnn")
    plan = policy.Plan(spec, winner, num_seeds)

    def make(spec: Any, storage: Any, folder: StudyFolder, trials: Any) -> policy.Ablation:
        return policy.Ablation(plan, storage, folder, limit)

    run = SearchRun(spec, storage, StudyFolder(folder), lambda event: None, make_policy=make, has_trials=False)
    run.num_slots = 2
    legs = []
    while not run.is_finished:
        while (leg := run.next_leg()) is not None:
            legs.append(leg)
        if legs:
            leg = legs.pop(0)
            if sum(ended.values()) == kill_at:
                raise Killed(ended)
            ended[leg.key] += 1
            value = math.nan if leg.recipe.optimizer["lr"] > 0.5 else value_of(leg.recipe)
            run.report(leg.key, report(leg, 9, value))
    done = results_of(storage.attributes(), policy.PREFIX)
    return ablation_of("made", plan, done, limit.text), ended


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ablation") / "made"
    point = "start.recipes=[{model.name: cnn, model.depth: 3, optimizer.lr: 0.0005}]"
    drive(make_spec(path, 4, overrides=[point]), path)
    return path


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "made"))


def test_gains_are_the_differences_that_were_made(folder: Path) -> None:
    found, ended = ablate(folder)
    assert [factor.name for factor in found.factors] == ["model", "optimizer"]
    gains = {(row.kind, row.factor): row.gain for row in found.rows if row.gain is not None}
    expected = {("winner", ""): 0.28, ("without", "model"): 0.3, ("without", "optimizer"): 0.18, ("alone", "model"): 0.1}
    expected |= {("alone", "optimizer"): -0.02, ("cumulative", "model"): 0.1, ("cumulative", "optimizer"): 0.18}
    assert {key: gain.mean for key, gain in gains.items()} == pytest.approx(expected)
    assert all(gain.low == pytest.approx(gain.mean) for gain in gains.values()), "seeds are paired, so what they do falls out"
    assert set(ended.values()) == {1} and len(ended) == 4 * 3, "of two factors only four recipes differ"
    assert not found.left_out and "+0.1800 (+0.1800 to +0.1800)" in str(found)
    assert len(ablation_figure(found).data) == 3
    cut = replace(found, rows=tuple(replace(row, value=Estimate.of([0.97, 0.98, 1.0], "val_top1")) for row in found.rows))
    bars, value = ablation_figure(cut).data[2].error_x, cut.rows[0].value
    assert value is not None and value.low is not None and value.high == 1.0 > value.mean
    assert [value.mean + bars.array[0], value.mean - bars.arrayminus[0]] == pytest.approx([1.0, value.low]), "no accuracy is above 1"
    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert (told["budget"], told["status"], told["num_seeds"]) == ("", "", 3)


def test_a_kill_loses_nothing_and_trains_nothing_twice(folder: Path) -> None:
    whole, ended = ablate(Path(shutil.copytree(folder, folder.parent / "whole" / "made")))
    for kill_at in (1, 5, 11):
        copy = Path(shutil.copytree(folder, folder.parent / str(kill_at) / "made"))
        with pytest.raises(Killed) as killed:
            ablate(copy, kill_at=kill_at)
        found, more = ablate(copy)
        assert found.rows == whole.rows and killed.value.args[0] + more == ended


def test_a_budget_bounds_all_calls_and_says_what_it_left_out(folder: Path) -> None:
    found, ended = ablate(folder, limit_of(9 * 9))
    assert len(ended) == 9 and found.left_out and "left out of its budget, 81 epochs: the winner without optimizer" in str(found)
    assert not ablate(folder, limit_of("81"))[1]
    assert not ablate(folder, policy.Limit(seconds=-1.0))[1]
    storage, done = open_existing(StudyFolder(folder)), results_of(open_existing(StudyFolder(folder)).attributes(), policy.PREFIX)
    plan = policy.Plan(make_spec(folder, 4), next(t for t in read_study(StudyFolder(folder)).trials if t.params["model.name"] == "cnn"), 3)
    wanted = [policy.Ablation(plan, storage, StudyFolder(folder), limit_of(budget)).num_wanted(done) for budget in (81, 90, 900, None)]
    assert wanted == [0, 1, 3, 3], "what is done is paid for"
    more, rest = ablate(folder)
    assert len(rest) == 3 and not more.left_out


@pytest.mark.parametrize("text", ["0", "half", "1.5", "3d", "-1h", -200, True])
def test_a_budget_is_epochs_or_a_time(text: Any) -> None:
    with pytest.raises(UserError, match="budget must be a number of epochs or a time above 0, such as"):
        limit_of(text)
