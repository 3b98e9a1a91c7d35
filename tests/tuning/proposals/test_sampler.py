"""What proposals are made from: which values count, and how evenly the first points lie."""

import random
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import qmc
from simulated_search import curve, drive, make_spec, report
from spec_files import BRANCHED, load

from visiontune.filesystem.study_folder import StudyFolder
from visiontune.spec.declarations.domains import Choice, Float, Int
from visiontune.spec.space.space import Space
from visiontune.tuning.proposals.lessons import does_count
from visiontune.tuning.proposals.sampler import Proposer
from visiontune.tuning.proposals.sobol import sobol_params
from visiontune.tuning.proposals.start_recipes import start_key
from visiontune.tuning.search.search_run import SearchRun
from visiontune.tuning.study.open_storage import create_or_resume

SPACE = Space(
    {
        "model": {"name": Choice(("lenet5", "cnn"), {"lenet5": {"width": Int(1, 4)}, "cnn": {"depth": Int(2, 3)}})},
        "optimizer": {"name": "sgd", "lr": Float(1e-4, 1.0, log=True)},
        "regularization": {"l2": Float(0.0, 0.5, step=0.1), "l1": Float(0.0, 1.0)},
        "training": {"batch_size": Int(16, 256, log=True)},
    }
)


@pytest.mark.parametrize(
    ("rungs", "counting"),
    [((1, 3, 9, 27), [3, 9, 27]), ((1, 3, 9), [3, 9]), ((1, 3, 9, 27, 81), [9, 27, 81]), ((9, 27), [9, 27]), ((5,), [5]), ((1, 9), [9])],
)
def test_which_rungs_count(rungs, counting):
    """A ninth of the budget on, and never the first rung unless it is a third."""
    assert [rung for rung in rungs if does_count(rung, rungs)] == counting


def test_points_are_those_of_a_sobol_sequence_and_spread_better_than_draws():
    """Centred discrepancy, which scipy measures, of 32 points in the two continuous params."""
    points = [sobol_params(SPACE, 7, number) for number in range(32)]
    unit = np.array([[(np.log10(point["optimizer.lr"]) + 4) / 4, point["regularization.l1"]] for point in points])
    drawn = np.random.default_rng(0).random((200, 32, 2))
    assert qmc.discrepancy(unit) < np.quantile([qmc.discrepancy(draw) for draw in drawn], 0.05)
    assert [sobol_params(SPACE, 7, number) for number in (3, 31)] == [points[3], points[31]]


def test_every_value_of_a_choice_is_drawn_as_often_as_the_others():
    """64 points of a base-2 sequence hit each half of an axis exactly 32 times."""
    points = [sobol_params(SPACE, 1, number) for number in range(64)]
    assert sum(point["model.name"] == "cnn" for point in points) == 32
    assert all(("model.cnn.depth" in point) == (point["model.name"] == "cnn") for point in points)
    assert {point["regularization.l2"] for point in points} == {0.0, 0.1, 0.2, 0.3, 0.4, 0.5}
    assert min(point["training.batch_size"] for point in points) <= 18 and max(point["training.batch_size"] for point in points) >= 230


def test_a_key_in_several_branches_has_a_dimension_in_each(tmp_path):
    space = load(tmp_path, BRANCHED).space
    points = [sobol_params(space, 2, number) for number in range(64)]
    rates = {name: [point[f"optimizer.{name}.lr"] for point in points if point["optimizer.name"] == name] for name in ("sgd", "adamw")}
    assert [len(values) for values in rates.values()] == [32, 32]
    assert 0.01 <= min(rates["sgd"]) < 0.02 and 0.5 < max(rates["sgd"]) <= 1.0
    assert 1e-4 <= min(rates["adamw"]) < 2e-4 and 5e-3 < max(rates["adamw"]) <= 1e-2


def test_a_space_without_params_has_one_point():
    assert sobol_params(Space({"optimizer": {"name": "sgd", "lr": 0.1}}), 0, 5) == {}


def test_trials_that_wait_teach_and_what_they_taught_is_replaced_when_they_go_on(tmp_path):
    """27 trials reach 3 epochs often enough for a model long before ten reach the full budget."""
    _, storage, _ = drive(make_spec(tmp_path / "study", 60), tmp_path / "study")
    trials = storage.trials()
    first = next(t.number for t in trials if t.user_attrs["proposed_by"].startswith("tpe"))
    before = trials[:first]
    assert sum(3 in t.intermediate_values for t in before) >= 8 > sum(9 in t.intermediate_values for t in before)
    learnt = [t.user_attrs["proposed_by"] for t in trials[first:] if t.user_attrs["proposed_by"].startswith("tpe")]
    counts = [int(reason.split()[2]) for reason in learnt]
    assert counts == sorted(counts) and counts[-1] <= sum(max(t.intermediate_values, default=0) >= 3 for t in trials)


def compared(spec, folder, first, most):
    """Search with four workers; before each new trial another proposer is made out of the storage, as after a kill. How often TPE's agreed.

    Every other trial is given up after its fifth epoch, since its worker hung twice. When all have begun the driver is killed.
    """
    storage, pick = create_or_resume(folder, spec), random.Random(3)
    session, legs, num_agreed = SearchRun(spec, storage, folder, lambda event: None), {}, 0
    session.num_slots = 4
    while True:
        number = len(storage.trials())
        expected = Proposer(spec, storage.trials()).propose(number) if first <= number < most else None
        while (leg := session.next_leg()) is not None:
            legs[leg.key] = [leg, leg.known_epochs]
            if expected is not None and leg.number == number and not start_key(storage.trial(number)):
                assert storage.trial(number).params == expected.params, number
                num_agreed, expected = num_agreed + expected.reason.startswith("tpe"), None
        if not legs or len(storage.trials()) == most:
            return num_agreed
        key = pick.choice(sorted(legs))
        legs[key][1] += 1
        leg, epoch = legs[key]
        told = report(leg, epoch, curve(leg.recipe, epoch))
        if not session.report(key, replace(told, failure="hung") if leg.number % 2 and epoch == 5 else told):
            del legs[key]


def test_a_driver_that_goes_on_proposes_what_the_first_would_have_beside_what_is_on_workers(tmp_path):
    folder = StudyFolder(tmp_path / "study")
    early = ["sampler.num_startup=4"]
    spec = make_spec(folder.path, 40, overrides=early)
    folder.path.mkdir()
    assert compared(spec, folder, 12, 40) >= 8
    longer = make_spec(folder.path, 55, overrides=[*early, "budget.max_epochs=27"])
    assert compared(longer, folder, 40, 55) >= 4
