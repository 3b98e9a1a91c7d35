"""What trials cost as columns, figures and a front, against Optuna's own front."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from sample_study import RECORD
from simulated_search import drive, make_spec, report

from visiontune.errors import UserError
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.models.build import build_model
from visiontune.results.plots.pareto import pareto
from visiontune.results.study import Study
from visiontune.results.tables.leaderboard import leaderboard, to_json
from visiontune.results.tables.trial_costs import front, front_of, told, total_lines
from visiontune.tuning.records.records import StudyRecord
from visiontune.tuning.study.read_study import study_record

COSTS = {0: {"num_parameters": 5000, "train_s": 1800.0}, 2: {"num_parameters": 90000, "train_s": 1800.0, "price": 1.5}}


def priced() -> StudyRecord:
    return replace(RECORD, trials=tuple(replace(trial, costs=COSTS.get(trial.number, {})) for trial in RECORD.trials))


@pytest.mark.parametrize("is_higher_better", [True, False])
def test_the_front_is_optunas(is_higher_better: bool) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    pick = random.Random(0)
    for _ in range(10):
        points = [(float(pick.randint(1, 8)), float(pick.randint(1, 8))) for _ in range(30)]
        study = optuna.create_study(directions=["minimize", "maximize" if is_higher_better else "minimize"])
        study.add_trials([optuna.create_trial(values=point) for point in points])
        assert sorted(front(points, is_higher_better=is_higher_better)) == sorted(trial.number for trial in study.best_trials)


def test_costs_have_a_column_only_where_they_are_asked_for_or_bounded() -> None:
    study = priced()
    assert "num_parameters" not in leaderboard(study)
    asked = leaderboard(study, costs=told(study)).splitlines()
    assert asked[1].split()[:7] == ["trial", "state", "val_top1", "epoch", "num_parameters", "train_s", "price"]
    assert asked[2].split()[:7] == ["2", "complete", "0.95", "9", "90,000", "1,800", "1.5"]
    assert asked[4].split()[4:7] == ["-", "-", "-"], "a trial of which nothing is known"
    bounded = replace(study, identity={"constraints.num_parameters": "<= 1000000"})
    assert leaderboard(bounded).splitlines()[1].split()[4:6] == ["num_parameters", "reason"]
    assert total_lines(study) == ["training of all trials took 1 h, a price of 1.5; confirmations not counted"]
    assert to_json(study)["trials"][0]["costs"] == COSTS[2]


def test_the_picture_has_the_front_and_what_is_beside_it() -> None:
    study = priced()
    others, best = pareto(study, "num_parameters").data
    assert (tuple(best.x), tuple(best.y), tuple(others.x)) == ((5000, 90000), (0.9, 0.95), ())
    others, best = pareto(study, "train_s").data
    assert (tuple(best.x), tuple(best.y), tuple(others.y)) == ((1800.0,), (0.95,), (0.9,)), "as cheap and worse is beaten"
    with pytest.raises(UserError, match="no complete trial of study digits has the cost num_parameter; nearest is 'num_parameters'"):
        front_of(study, "num_parameter")


def test_a_study_records_what_training_took_and_its_price(tmp_path: Path) -> None:
    """Two epochs of half an hour each on two workers, at 3 an hour of one."""
    overrides = ["resources.price_per_hour=3", "resources.workers_per_trial=2", "budget.min_epochs=2", "budget.max_epochs=2"]
    spec = make_spec(tmp_path / "s", num_trials=1, overrides=overrides)

    def answer(leg, epoch, value):  # type: ignore[no-untyped-def]
        one = report(leg, epoch, 0.5)
        return replace(one, metrics={**one.metrics, "epoch_s": 1800.0})

    _, storage, events = drive(spec, tmp_path / "s", answer=answer)
    assert study_record(storage, "s").trials[0].costs == {"train_s": 3600.0, "gpu_hours": 0.0, "price": 6.0}
    known = Study(StudyFolder(tmp_path / "s"), study_record(storage, "s")).costs.loc[0]
    network = build_model(study_record(storage, "s").trials[0].recipe["model"], num_classes=10, in_channels=1, image_size=8)
    assert known["num_parameters"] == sum(one.numel() for one in network.parameters()) and known["price"] == 6.0
    end = next(event for event in events if event["event"] == "end")
    assert end["metrics"] == {"costs.train_s": 3600.0, "costs.gpu_hours": 0.0, "costs.price": 6.0}
