"""What a search tries before its sampler proposes: the user's recipes, those put in its queue while it runs, the tables' defaults, a
portfolio, the best of earlier studies.

Each is tried once: a trial remembers the key of what it came from. Recipes of the file and of the queue are read at every start and
before every new trial; what a portfolio and earlier studies gave is settled when the study begins.
"""

from __future__ import annotations

import time
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.trial import FrozenTrial

from visiontune.errors import UserError, plural
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.spec.declarations.domains import FixedParams
from visiontune.spec.declarations.fingerprint import fingerprint
from visiontune.spec.declarations.image_size import ImageSize
from visiontune.spec.declarations.start import StartRecipe
from visiontune.spec.read_identity import spec_of_identity
from visiontune.spec.space.defaults import default_params
from visiontune.spec.space.fit_recipe import fit_to_space
from visiontune.spec.space.space import Space
from visiontune.spec.space.study_spec import StudySpec
from visiontune.spec.tables.portfolios import PORTFOLIOS, KnownRecipe, portfolio_for
from visiontune.tuning.ranking.ranking import is_usable, ranked
from visiontune.tuning.study.driver_lock import writing
from visiontune.tuning.study.open_storage import open_existing
from visiontune.tuning.study.read_study import trial_record
from visiontune.tuning.study.study_storage import Storage

DEFAULTS = "the tables' defaults"
"""Why a trial is what it is that no recipe was given for."""

QUEUED = "queued."
"""The start of the study's attributes that hold recipes of `visiontune enqueue`."""

AGAIN = "again."
"""The start of keys of recipes that are trained again with a larger full budget."""

SETTLED = "start_points"
"""The study's attribute with what a portfolio and earlier studies gave."""

MOST_AGAIN = 4
"""Trials of a smaller full budget that are trained again, at most."""

_MOST_SAID = 6


@dataclass(frozen=True)
class StartPoint:
    """Params to try; `key` is what the trial remembers, `reason` why it is tried; `said`: what of a recipe had to be changed."""

    key: str
    reason: str
    params: Mapping[str, Any]
    said: tuple[str, ...] = ()

    @property
    def is_again(self) -> bool:
        """Whether it is the recipe of a trial of this study, to be trained with a larger full budget."""
        return self.key.startswith(AGAIN)

    def __str__(self) -> str:
        return self.reason + shortened(self.said)


def shortened(said: Sequence[str]) -> str:
    """What of a recipe had to be changed, in brackets after what it is called; the first few.

    >>> shortened(["optimizer.lr 5 -> 1"]), shortened([])
    (' (optimizer.lr 5 -> 1)', '')
    """
    more = [f"{len(said) - _MOST_SAID} more"] if len(said) > _MOST_SAID else []
    return f" ({', '.join([*said[:_MOST_SAID], *more])})" if said else ""


class StartRecipes:
    """Those that are left, in their order; where the sampler is a grid only what the user gave."""

    def __init__(self, spec: StudySpec, storage: Storage, past: Iterable[FrozenTrial]) -> None:
        self._space, self._storage = spec.space, storage
        self._asked = [spec.start.portfolio, *([spec.start.studies] if isinstance(spec.start.studies, str) else spec.start.studies)]
        self._used: set[object] = set()
        past, before = list(past), []
        for trial in past:
            if _full_epochs(trial) == spec.budget.max_epochs:
                self.begun(start_key(trial), trial.params)
            else:
                self._used.add(start_key(trial))
                before.append(trial)
        self._first = again_points(spec, before)
        self._first += [point_of(spec.space, recipe) for recipe in spec.start.recipes]
        is_grid = spec.sampler["name"] == "grid"
        self._later = [] if is_grid else [StartPoint("defaults", DEFAULTS, default_params(spec.space))]
        settled = storage.attributes().get(SETTLED, {})
        self._settled = _points(settled["points"]) if settled.get("asked") == self._asked else []
        self._queued: dict[str, StartPoint] = {}

    @property
    def is_settled(self) -> bool:
        """Whether a portfolio and earlier studies were asked for their recipes, as the file says it now."""
        asked = self._storage.attributes().get(SETTLED, {}).get("asked")
        return bool(self._asked in (asked, ["none", "none"]))

    def settle(self, points: Iterable[StartPoint]) -> None:
        """What a portfolio and earlier studies gave: kept in the study, since what they hold may change."""
        unique = list({frozenset(one.params.items()): one for one in reversed(list(points))}.values())
        found = [{"key": one.key, "reason": one.reason, "params": dict(one.params), "said": list(one.said)} for one in reversed(unique)]
        self._storage.set_attribute(SETTLED, {"asked": self._asked, "points": found})
        self._settled = _points(found)

    def begun(self, key: str, params: Mapping[str, Any]) -> None:
        """A trial has these params; `key` is that of its start point, "" where it has none."""
        self._used |= {key, frozenset(params.items())}

    def left(self) -> list[StartPoint]:
        """All that are to be tried, as far as is known now; what another trial is already counts as tried."""
        self._queued |= queued(self._space, self._storage.attributes(), self._queued)
        points = [*self._first, *self._queued.values(), *self._later, *self._settled]
        return [one for one in points if not self._used & {one.key, frozenset(one.params.items())}]

    def next(self) -> StartPoint | None:
        """The first of them."""
        return next(iter(self.left()), None)


def start_key(trial: FrozenTrial) -> str:
    """Of the start point that a trial was begun from; "" for a sampler's."""
    return str(trial.user_attrs.get("start", "defaults" if trial.user_attrs.get("proposed_by") == DEFAULTS else ""))


def _full_epochs(trial: FrozenTrial) -> int:
    return int(trial.user_attrs["recipe"]["training"]["num_epochs"])


def point_of(space: Space, recipe: StartRecipe, key: str = "", reason: str = "") -> StartPoint:
    """Where a recipe lies in the space. The key is of its content, so that a file may be extended, and its recipes change places."""
    fitted = fit_to_space(space, recipe.values)
    return StartPoint(key or f"recipe.{fingerprint(recipe.values)}", reason or f"start recipe: {recipe.name}", fitted.params, fitted.said)


def again_points(spec: StudySpec, before: Iterable[FrozenTrial]) -> list[StartPoint]:
    """Of the trials of a smaller full budget the best in eta, at most MOST_AGAIN, to be trained with the full budget as it is now."""
    records = ranked((trial_record(trial, ()) for trial in before), spec.objective)
    complete = [one for one in records if one.state == "complete"]
    most = min(MOST_AGAIN, max(1, len(complete) // spec.budget.reduction_factor))
    epochs = spec.budget.max_epochs
    return [
        StartPoint(f"{AGAIN}{epochs}.{one.number}", f"again: trial {one.number}, with {plural(epochs, 'epoch')}", one.params)
        for one in (complete or records)[:most]
        if is_usable(one)
    ]


def queued(space: Space, attributes: Mapping[str, Any], known: Container[str] = ()) -> dict[str, StartPoint]:
    """Recipes of `visiontune enqueue` that are not `known`, by key, the oldest first."""
    new = ((one["time_ms"], key, one) for key, one in attributes.items() if key.startswith(QUEUED) and key not in known)
    found = sorted(new, key=lambda item: item[:2])
    return {key: point_of(space, StartRecipe(one["values"], one["name"]), key, f"queued: {one['name']}") for _, key, one in found}


def enqueue_in(folder: StudyFolder, url: str, recipe: StartRecipe) -> StartPoint:
    """Put a recipe into the queue of a study, whether a search goes on or not.

    Raises UserError for one that lies outside the space, is queued already or was tried.
    """
    storage = open_existing(folder, url)
    spec = spec_of_identity(storage.attributes()["identity"])
    if spec.is_population and len(storage.trials()) >= (spec.budget.num_trials or 0):
        raise UserError(
            f"study {folder.name} is a population (pbt) whose trials have all begun; give the recipe to a study of another name"
        )
    fitted = fit_to_space(spec.space, recipe.values)
    if fitted.is_outside:
        what = ", ".join(fitted.said[:3]) or "it says nothing of what varies"
        raise UserError(f"{recipe.name} lies wholly outside the space of study {folder.name}: {what}")
    key = f"{QUEUED}{fingerprint(recipe.values)}"
    tried = (trial.number for trial in storage.trials() if trial.params == fitted.params and _full_epochs(trial) == spec.budget.max_epochs)
    if (same := next(tried, None)) is not None:
        raise UserError(f"{recipe.name}{shortened(fitted.said)} is what trial {same} of study {folder.name} is")
    if key in storage.attributes():
        raise UserError(f"{recipe.name} is queued already")
    with writing(folder):
        storage.set_attribute(key, {"values": dict(recipe.values), "name": recipe.name, "time_ms": int(time.time() * 1000)})
    return StartPoint(key, f"queued: {recipe.name}", fitted.params, fitted.said)


def portfolio_points(spec: StudySpec, image_size: ImageSize) -> list[StartPoint]:
    """The portfolio that the file names, mapped to the space; recipes whose optimizer it does not have are left out, with their rates."""
    name = spec.start.portfolio
    if name == "auto":
        regimes = {str(section["regime"]) for section in spec.space.corners("transfer")}
        name = portfolio_for(image_size, is_pretrained=regimes != {"scratch"})
    params = {one.name: fitted for one in PORTFOLIOS.get(name, ()) if (fitted := _fit(spec.space, one)) is not None}
    return [StartPoint(f"portfolio.{one}", f"portfolio {name}: {one}", fitted) for one, fitted in params.items()]


def _fit(space: Space, known: KnownRecipe) -> Mapping[str, Any] | None:
    """With the rate for the batch that the space allows."""
    found = space.resolve(FixedParams(fit_to_space(space, known.values).params))
    fitted = fit_to_space(space, known.for_batch(int(found["training"]["batch_size"])))
    is_other = found["optimizer"]["name"] != known.values["optimizer.name"]
    return None if is_other or fitted.is_outside else fitted.params


def _points(found: Iterable[Mapping[str, Any]]) -> list[StartPoint]:
    return [StartPoint(one["key"], one["reason"], one["params"], tuple(one["said"])) for one in found]
