"""What each factor of a winner is worth: which recipes between a study's defaults and its winner are trained, in which order, within what.

Factor by factor (spec/factors.py), on seeds that all recipes share: the defaults and the winner; the winner without each; the defaults with
each alone; last the factors one after another, the one that helps most alone first, as He et al. 2019 ("Bag of Tricks for Image
Classification") tell theirs. The seeds are none that the winner was chosen by, or its own factors would look better than they are.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from visiontune.errors import UserError
from visiontune.filesystem.checkpoint_files import states_in
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.spec.complete_recipe import completed
from visiontune.spec.declarations.domains import FixedParams
from visiontune.spec.declarations.fingerprint import keyed_seed
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.spec.factors import Factor, factors_between, mixed, refusal
from visiontune.spec.parse import make_recipe
from visiontune.spec.space.defaults import default_params
from visiontune.spec.space.epoch_forecast import MARGIN
from visiontune.spec.space.study_spec import StudySpec
from visiontune.tuning.records.leg import Leg
from visiontune.tuning.records.records import Confirmation, TrialRecord
from visiontune.tuning.retraining.retraining_queue import HasRoom
from visiontune.tuning.study.study_storage import Storage

PREFIX = "ablation."
ABLATED = "ablated"
"""The study's attribute with what was asked for last, and the seconds that all calls took."""

DEFAULTS, WINNER, WITHOUT, ALONE, CUMULATIVE = "defaults", "winner", "without", "alone", "cumulative"


@dataclass(frozen=True)
class Limit:
    """What an ablation may take in all its calls: epochs or seconds, None for no limit. `text` is how it was asked for."""

    epochs: float | None = None
    seconds: float | None = None
    text: str = ""


@dataclass(frozen=True)
class Variant:
    """A recipe between the defaults and the winner; without one the factors can't be combined so, as `refused` says."""

    kind: str
    factor: str
    recipe: TrialRecipe | None
    refused: str = ""

    @property
    def key(self) -> str:
        """The same for equal recipes, whatever their seeds."""
        if self.recipe is None:
            return ""
        return PREFIX + replace(self.recipe, training={**self.recipe.training, "seed": 0}).fingerprint


@dataclass(frozen=True)
class Plan:
    """The recipes of an ablation, `winner` being a trial's."""

    spec: StudySpec
    winner: TrialRecord
    num_seeds: int

    @cached_property
    def defaults(self) -> TrialRecipe:
        """Where the search began: the tables' defaults, clipped to the space."""
        return make_recipe(self.spec, self.spec.space.resolve(FixedParams(default_params(self.spec.space))), 0)

    @cached_property
    def best(self) -> TrialRecipe:
        """The winner's."""
        return completed(TrialRecipe(**self.winner.recipe))

    @cached_property
    def factors(self) -> tuple[Factor, ...]:
        """In the order of a recipe's file."""
        return factors_between(self.defaults, self.best)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Of the factors."""
        return tuple(factor.name for factor in self.factors)

    @cached_property
    def first(self) -> tuple[Variant, ...]:
        """All but the cumulative ones."""
        return (
            self._variant(DEFAULTS, "", ()),
            self._variant(WINNER, "", self.names),
            *(self._variant(WITHOUT, name, [one for one in self.names if one != name]) for name in self.names),
            *(self._variant(ALONE, name, (name,)) for name in self.names),
        )

    def cumulative(self, done: Mapping[str, Confirmation]) -> list[Variant]:
        """One factor more each, the one that helps most alone first; none before every factor was trained alone on all seeds."""
        alone = [one for one in self.first if one.kind == ALONE]
        if not all(self.is_done(one, done) for one in alone):
            return []
        sign = 1.0 if self.spec.objective.mode == "max" else -1.0
        means = {one.factor: sign * mean if math.isfinite(mean := self._mean(one, done)) else -math.inf for one in alone}
        order = sorted(self.names, key=lambda name: -means[name])
        return [self._variant(CUMULATIVE, name, order[: place + 1]) for place, name in enumerate(order)]

    def variants(self, done: Mapping[str, Confirmation]) -> list[Variant]:
        """All that are known so far, in the order in which they are trained."""
        return [*self.first, *self.cumulative(done)]

    def results(self, variant: Variant, done: Mapping[str, Confirmation]) -> dict[int, Confirmation]:
        """By the number of the seed."""
        keys = {number: self.leg_key(variant, number) for number in range(self.num_seeds)}
        return {number: done[key] for number, key in keys.items() if key in done}

    def is_done(self, variant: Variant, done: Mapping[str, Confirmation]) -> bool:
        """Whether nothing of it is left to train: nothing more of what can't be built or has no memory on one seed."""
        found = self.results(variant, done)
        return variant.recipe is None or len(found) == self.num_seeds or any(one.failure.startswith("infeasible") for one in found.values())

    def legs(self, variant: Variant) -> Iterator[Leg]:
        """Its trainings."""
        for number in range(self.num_seeds if variant.recipe else 0):
            assert variant.recipe is not None
            seed = keyed_seed(int(self.spec.sampler["seed"]), "ablation", number)
            recipe = replace(variant.recipe, training={**variant.recipe.training, "seed": seed})
            yield Leg(self.leg_key(variant, number), number, recipe, known_epochs=0, is_confirmation=True)

    @staticmethod
    def leg_key(variant: Variant, number: int) -> str:
        """Of a training on one seed: the attribute of its result, the folder of its checkpoint."""
        return f"{variant.key}.{number:03d}"

    def _mean(self, variant: Variant, done: Mapping[str, Confirmation]) -> float:
        values = [one.val_value for one in self.results(variant, done).values() if not one.failure]
        return statistics.fmean(values) if values else math.nan

    def _variant(self, kind: str, factor: str, names: Sequence[str]) -> Variant:
        try:
            return Variant(kind, factor, mixed(self.defaults, self.best, names))
        except UserError as error:
            return Variant(kind, factor, None, refusal(error))


class Ablation:
    """The policy: the plan's recipes one after the other, each on all its seeds, until its limit allows no more."""

    prefix, phase = PREFIX, "ablating"

    def __init__(self, plan: Plan, storage: Storage, folder: StudyFolder, limit: Limit, epoch_s: float = 0.0) -> None:
        self._plan, self._storage, self._folder, self._limit = plan, storage, folder, limit
        self._before_s = float((storage.attributes().get(ABLATED) or {}).get("seconds", 0.0))
        self._start_s = time.monotonic()
        self._begun_s: dict[str, float] = {}
        self._took_s: list[float] = []
        self._expected_s = plan.spec.budget.max_epochs * epoch_s * MARGIN

    def next_leg(self, done: Mapping[str, Confirmation], out: Mapping[str, Leg], has_room: HasRoom) -> Leg | None:
        """The next in the plan's order; None while what comes next depends on what is on workers."""
        leg = next((leg for leg in self._left(done) if leg.key not in out), None)
        if leg is None or not (states_in(self._folder.checkpoint(leg.key)) or self._allows(done, out)) or not has_room(leg, ()):
            return None
        self._begun_s[leg.key] = time.monotonic()
        return leg

    def num_wanted(self, done: Mapping[str, Confirmation]) -> int:
        """Trainings that are left, as far as the limit in epochs allows them; which the cumulative ones are need not be known yet."""
        num = len({leg.key for leg in self._left(done)})
        if not self._plan.cumulative(done):
            num += max(0, len(self._plan.names) - 2) * self._plan.num_seeds
        if self._limit.epochs is None:
            return num
        return max(0, min(num, int(self._limit.epochs // self._plan.spec.budget.max_epochs) - self._num_begun(done, {})))

    def _num_begun(self, done: Mapping[str, Confirmation], out: Mapping[str, Leg]) -> int:
        """Trainings that the limit in epochs counts."""
        return len({leg.key for one in self._plan.variants(done) for leg in self._plan.legs(one)} & {*done, *out})

    def _left(self, done: Mapping[str, Confirmation]) -> Iterator[Leg]:
        for variant in self._plan.variants(done):
            if not self._plan.is_done(variant, done):
                yield from (leg for leg in self._plan.legs(variant) if leg.key not in done)

    def _allows(self, done: Mapping[str, Confirmation], out: Mapping[str, Leg]) -> bool:
        if self._limit.epochs is not None:
            return (self._num_begun(done, out) + 1) * self._plan.spec.budget.max_epochs <= self._limit.epochs
        if self._limit.seconds is not None:
            expected_s = statistics.fmean(self._took_s) if self._took_s else self._expected_s
            return self._spent_s + expected_s <= self._limit.seconds
        return True

    @property
    def _spent_s(self) -> float:
        return self._before_s + time.monotonic() - self._start_s

    def recorded(self, leg: Leg, result: Confirmation) -> None:
        """What it took is written down, since a limit in time holds for all calls together."""
        self._took_s.append(time.monotonic() - self._begun_s.get(leg.key, self._start_s))
        asked = self._storage.attributes().get(ABLATED) or {}
        self._storage.set_attribute(ABLATED, {**asked, "seconds": self._spent_s})


def ask(storage: Storage, winner: TrialRecord, num_seeds: int, limit: Limit) -> None:
    """Keep what is asked for, so that it is shown again without being said. What another winner's took does not count."""
    before: Mapping[str, Any] = storage.attributes().get(ABLATED) or {}
    seconds = before["seconds"] if before.get("winner") == winner.number else 0.0
    storage.set_attribute(ABLATED, {"winner": winner.number, "num_seeds": num_seeds, "budget": limit.text, "seconds": seconds})
