"""Rehearsed searches against the study that they replay, and the places of params against a distance written out."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from simulated_search import curve, drive, make_spec

from visiontune.filesystem.study_folder import StudyFolder
from visiontune.spec.declarations.domains import Choice, Float, Int, RandomParams
from visiontune.spec.space.defaults import default_params
from visiontune.spec.space.space import Space
from visiontune.tuning.importance.param_places import ParamPlaces
from visiontune.tuning.recorded_study import CurvesLeft, RecordedTrial, StudyCurves, rehearsable, study_curves
from visiontune.tuning.rehearse_search import Begun, OwnSearch, Point
from visiontune.tuning.rehearse_search import drive as rehearse
from visiontune.tuning.study.read_study import read_study

SPACE = Space(
    {
        "kind": Choice(("a", "b"), {"a": {"depth": Int(1, 5)}}),
        "lr": Float(1e-4, 1.0, log=True),
        "batch": Choice((64, 16, 32)),
    }
)


@pytest.mark.parametrize(
    ("one", "other", "squared"),
    [
        ({"kind": "b", "lr": 1e-4, "batch": 16}, {"kind": "b", "lr": 1e-2, "batch": 16}, 0.25),  # half of the range in logarithms
        ({"kind": "b", "lr": 1.0, "batch": 16}, {"kind": "b", "lr": 1.0, "batch": 64}, 1.0),  # numbers are in order, whatever the file's
        ({"kind": "b", "lr": 1.0, "batch": 16}, {"kind": "b", "lr": 1.0, "batch": 32}, 0.25),
        ({"kind": "a", "a.depth": 1, "lr": 1.0, "batch": 16}, {"kind": "a", "a.depth": 2, "lr": 1.0, "batch": 16}, 1 / 16),
        ({"kind": "a", "a.depth": 1, "lr": 1.0, "batch": 16}, {"kind": "b", "lr": 1.0, "batch": 16}, 2.0),  # another branch, and no depth
    ],
)
def test_distances_by_hand(one: dict[str, object], other: dict[str, object], squared: float) -> None:
    places = ParamPlaces(SPACE)
    assert places.squared_distances(places.places([one]), places.place(other)) == pytest.approx([squared])
    assert places.squared_distances(places.places([other]), places.place(one)) == pytest.approx([squared])


def test_the_nearest_is_one_that_is_left() -> None:
    places = ParamPlaces(SPACE)
    points_NP = places.places({"kind": "b", "lr": lr, "batch": 16} for lr in (1e-4, 1e-3, 1e-2, 1e-3))
    at_P = places.place({"kind": "b", "lr": 2e-3, "batch": 16})
    assert [places.nearest(points_NP, at_P, unused) for unused in ([0, 1, 2, 3], [0, 2, 3], [0, 2], [0])] == [1, 3, 2, 0]


@pytest.mark.parametrize("scheduler", ["asha", "median", pytest.param("none", marks=pytest.mark.heavy)])
def test_a_study_rehearsed_on_itself_is_that_study(tmp_path: Path, scheduler: str) -> None:
    """One worker, the same seed: every proposal is one of its trials, at distance 0, and each goes as far as it went."""
    folder = tmp_path / "study"
    spec = make_spec(folder, 40, scheduler=scheduler)
    drive(spec, folder)
    record = read_study(StudyFolder(folder))
    curves = study_curves(record)
    left = CurvesLeft(ParamPlaces(spec.space), curves, spec.objective, curves.num_epochs)
    search = OwnSearch(rehearsable(spec, curves), 1)
    rehearse(search, left, 1)
    assert [trial.params for trial in search.storage.trials()] == [trial.params for trial in record.trials]
    assert [trial.intermediate_values for trial in search.storage.trials()] == [dict(trial.values) for trial in record.trials]
    assert len(left.history) == curves.num_epochs == sum(len(t.values) + (t.kind == "diverged") for t in record.trials)
    assert left.history[-1] == max(value for trial in record.trials for value in trial.values.values())


def test_a_curve_goes_on_with_its_last_value_ends_early_or_diverges() -> None:
    cut, done, diverged = (RecordedTrial({}, (0.1, 0.2), **how) for how in ({}, {"is_done": True}, {"diverged": True}))
    assert [cut.at(epoch) for epoch in (1, 2, 3)] == [Point(0.1), Point(0.2), Point(0.2)]
    assert done.at(2) == Point(0.2, is_last=True) and done.at(1) == Point(0.1)
    assert math.isnan(diverged.at(3).value) and diverged.at(2) == Point(0.2)
    curves = StudyCurves((cut, done, diverged))
    assert (curves.num_full, curves.num_cut, curves.num_epochs) == (1, 1, 7)


def test_start_recipes_come_after_the_defaults_and_before_what_is_proposed(tmp_path: Path) -> None:
    spec = make_spec(tmp_path / "study", 30)
    draws = [Recording(number) for number in range(2)]
    for draw in draws:
        spec.space.resolve(draw)
    search = OwnSearch(spec, 2, [draw.seen for draw in draws])
    legs = []
    while len(legs) < 6:
        leg = search.next_leg()
        assert leg is not None
        legs.append(leg)
        for epoch in range(1, 10):
            if not search.report(leg, epoch, Point(0.5)):
                break
    assert legs[0].params == default_params(spec.space) and search.storage.trial(0).intermediate_values.keys() == set(range(1, 10))
    assert [leg.params for leg in legs[1:3]] == [draw.seen for draw in draws]
    assert all(trial.user_attrs["proposed_by"].startswith("Sobol") for trial in search.storage.trials()[3:])


class Recording(RandomParams):
    """Random draws that are kept."""

    seen: dict[str, object]

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        object.__setattr__(self, "seen", {})

    def suggest_float(self, name, low, high, **how):  # type: ignore[no-untyped-def]
        return self.seen.setdefault(name, super().suggest_float(name, low, high, **how))

    def suggest_int(self, name, low, high, **how):  # type: ignore[no-untyped-def]
        return self.seen.setdefault(name, super().suggest_int(name, low, high, **how))

    def suggest_categorical(self, name, choices):  # type: ignore[no-untyped-def]
        return self.seen.setdefault(name, super().suggest_categorical(name, choices))


class Endless:
    """Two legs of three epochs each, and what was told, in order."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int]] = []
        self._legs = [Begun(str(number), number, {}) for number in range(2)]

    def next_leg(self) -> Begun | None:
        return self._legs.pop(0) if self._legs else None

    def report(self, begun: Begun, epoch: int, point: Point) -> bool:
        self.told.append((begun.key, epoch))
        return epoch < 3


class Timed:
    """Epochs of trial 1 take 2.5 times as long."""

    is_over = False

    def begin(self, number: int, params: object) -> None: ...

    def cost(self, number: int, epoch: int) -> float:
        return 2.5 if number else 1.0

    def train(self, number: int, epoch: int) -> Point:
        return Point(0.0)


def test_workers_report_in_the_order_of_time() -> None:
    search = Endless()
    rehearse(search, Timed(), 2)
    assert search.told == [("0", 1), ("0", 2), ("1", 1), ("0", 3), ("1", 2), ("1", 3)]
    search = Endless()
    rehearse(search, Timed(), 1)
    assert search.told == [("0", 1), ("0", 2), ("0", 3), ("1", 1), ("1", 2), ("1", 3)]


def test_values_are_those_of_the_curve(tmp_path: Path) -> None:
    """A reference for the rehearsal that knows nothing of storages: the closed form itself."""
    folder = tmp_path / "study"
    drive(make_spec(folder, 12, scheduler="none"), folder)
    record = read_study(StudyFolder(folder))
    for trial, recorded in zip(record.trials, study_curves(record).trials, strict=True):
        wanted = [curve(_Recipe(trial.params["optimizer.lr"]), epoch) for epoch in range(1, 10)]
        assert np.array_equal([recorded.at(epoch).value for epoch in range(1, 10)], wanted, equal_nan=True)


class _Recipe:
    def __init__(self, lr: float) -> None:
        self.optimizer = {"lr": lr}
