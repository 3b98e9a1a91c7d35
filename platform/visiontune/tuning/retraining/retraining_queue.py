"""Recipes trained again in full after a search, as legs on the cluster: what comes next is a policy's, what became of it is the study's.

A policy is a function of what is recorded and of what is on workers, so that a driver which goes on after a kill decides what the first
would have: confirmations.py is the one of every search. Results are attributes of the study under the leg's key, which names its
checkpoint folder too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Protocol

from visiontune.spec.space.study_spec import Objective
from visiontune.spec.tables.metrics import FULL_METRICS
from visiontune.tuning.records.leg import Leg, Report
from visiontune.tuning.records.records import Confirmation
from visiontune.tuning.study.read_confirmations import results_of
from visiontune.tuning.study.study_storage import Storage

HasRoom = Callable[[Leg, Sequence[Leg]], bool]
"""Whether the budget allows a leg now, and those that must have room after it."""


class RetrainingPolicy(Protocol):
    """Which recipes are trained again, on which seeds, and when that is over.

    `prefix` begins the keys of its legs, `phase` is what its driver does, in a word.
    """

    prefix: str
    phase: str

    def num_wanted(self, done: Mapping[str, Confirmation]) -> int:
        """Trainings in full that a driver which begins with `done` has before it, about."""

    def next_leg(self, done: Mapping[str, Confirmation], out: Mapping[str, Leg], has_room: HasRoom) -> Leg | None:
        """The next one, out of what is recorded and what is on workers, by key; None when there is none now, for good once none is out."""

    def recorded(self, leg: Leg, result: Confirmation) -> None:
        """A leg has ended, and its result is in the study."""


class RetrainingQueue:
    """Legs of a policy, for as long as it has any: `done` is what is recorded, `out` what workers have, both by key.

    `has_room` is HasRoom beside a number of retrainings that are on workers.
    """

    def __init__(self, storage: Storage, objective: Objective, policy: RetrainingPolicy, has_room: Callable[..., bool]) -> None:
        self._storage, self._objective, self._policy, self._has_room = storage, objective, policy, has_room
        self.done = results_of(storage.attributes(), policy.prefix)
        self.out: dict[str, Leg] = {}
        self._unfit: dict[str, Leg] = {}
        self.num_epochs = 0
        self.phase, self.num_wanted = policy.phase, policy.num_wanted(self.done)

    @property
    def keys_left(self) -> list[str]:
        """Checkpoint folders of what is not done: that on workers, and what there was no room for."""
        return [*self.out, *self._unfit]

    def next_leg(self) -> Leg | None:
        """The next recipe to train; None when all are on workers, done, or more than there is room for."""
        leg = self._policy.next_leg(self.done, self.out, self._fits)
        if leg is not None:
            self._unfit.pop(leg.key, None)
            self.out[leg.key] = leg
        return leg

    def _fits(self, leg: Leg, then: Sequence[Leg] = ()) -> bool:
        if self._has_room(leg, then, len(self.out)):
            return True
        self._unfit[leg.key] = leg
        return False

    def let_go(self) -> list[str]:
        """There is no room for what is trained now: its keys. Tests, and means of weights, go on."""
        gone = {key: leg for key, leg in self.out.items() if not leg.is_test and not leg.averaged}
        self._unfit |= gone
        self.out = {key: leg for key, leg in self.out.items() if key not in gone}
        return list(gone)

    def report(self, key: str, report: Report) -> bool:
        """Take a worker's report; whether the worker should go on with this leg."""
        leg = self.out[key]
        self.num_epochs += bool(report.epoch)
        if report.failure:
            self._record(leg, f"{report.failure}: {report.reason}")
            return False
        if report.is_last:
            self._record(leg, "", report.metrics)
        return not report.is_last

    def lost(self, key: str, what: str, *, is_given_up: bool) -> None:
        """The worker died: the leg is handed out again, or recorded as crashed."""
        if is_given_up:
            self._record(self.out[key], f"crashed: {what}")
        else:
            self.out.pop(key)

    def _record(self, leg: Leg, failure: str, metrics: Mapping[str, float] | None = None) -> None:
        """A test completes what is known of its weights; one that failed leaves that as it is, and is tried again by the next driver."""
        key = leg.weights if leg.is_test and not failure else leg.key
        before = self.done.get(key) or Confirmation(leg.recipe.training["seed"], math.nan)
        self.done[key] = replace(before, failure=failure, **figures(leg, metrics or {}, self._objective.metric))
        self._storage.set_attribute(key, asdict(self.done[key]))
        self.out.pop(leg.key)
        self._policy.recorded(leg, self.done[key])


def figures(leg: Leg, metrics: Mapping[str, float], metric: str) -> dict[str, Any]:
    """Fields of a Confirmation that the last report of a leg gives. A test never changes what the race was decided by."""
    found: dict[str, Any] = {}
    if metric in metrics and not leg.use_val and not leg.is_test:
        found["val_value"] = metrics[metric]
    if "test_loss" in metrics:
        own = metrics.get(f"test_{metric.removeprefix('val_')}") if metric in FULL_METRICS else None
        found |= {name: metrics[name] for name in ("test_top1", "test_map", "test_loss") if name in metrics} | {"test_value": own}
        if leg.test_time != "none":
            found |= {"test_time": leg.test_time, "test_time_top1": metrics[f"test_top1_{leg.test_time}"]}
    return found
