"""What else searches in a rehearsal: Ray's searcher and scheduler, plain Optuna, and a simple rule. Each is driven as its own users do.

All maximise. What diverged is told as WORST, as a user's own loop does it: none of them takes NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from visiontune.spec.declarations.domains import RandomParams
from visiontune.spec.declarations.fingerprint import keyed_seed
from visiontune.spec.space.space import Space
from visiontune.tuning.rehearse_search import Begun, Point

WORST = -1e9
STOCK_STARTUP = 10
"""Random trials before Optuna's TPE, its default."""

Draw = Callable[[int], Mapping[str, Any]]
"""The params of a trial by its number."""


def random_draws(space: Space, seed: int) -> Draw:
    """Independent draws, the same for every search of a seed."""
    return lambda number: drawn(space, keyed_seed(seed, "trial", number))


def drawn(space: Space, seed: int) -> dict[str, Any]:
    """One point at random."""
    draw, params = RandomParams(seed), dict[str, Any]()
    for name, domain, given in space.domains():
        if given.items() <= params.items():
            params[name] = domain.ask(name, draw)
    return params


class RaySearch:
    """Ray's ASHAScheduler, and its OptunaSearch or `draws`. `start` are OptunaSearch's points_to_evaluate."""

    def __init__(
        self, space: Space, num_epochs: int, seed: int, *, worst: float = WORST, draws: Draw | None = None, start: Sequence[Any] = ()
    ) -> None:
        from ray.tune.schedulers import ASHAScheduler
        from ray.tune.search.optuna import OptunaSearch

        self.number = 0
        self._worst, self._draws = worst, draws
        points = {"points_to_evaluate": [dict(params) for params in start]} if start else {}
        self._search = OptunaSearch(lambda trial: _void(space.resolve(trial)), metric="value", mode="max", seed=seed, **points)
        self._asha = ASHAScheduler(metric="value", mode="max", max_t=num_epochs, grace_period=1, reduction_factor=3)
        self._trials: dict[str, Any] = {}

    def next_leg(self) -> Begun:
        """Always a new trial."""
        number, name = self.number, str(self.number)
        self.number += 1
        self._trials[name] = SimpleNamespace(trial_id=name)
        self._asha.on_trial_add(None, self._trials[name])
        return Begun(name, number, self._search.suggest(name) if self._draws is None else self._draws(number))

    def report(self, begun: Begun, epoch: int, point: Point) -> bool:
        """As Tune does it: the searcher hears of a stopped trial as one that is complete."""
        trial = self._trials[begun.key]
        result = {"value": point.value if math.isfinite(point.value) else self._worst, "training_iteration": epoch}
        does_stop = self._asha.on_trial_result(None, trial, result) == "STOP"
        if does_stop:
            self._asha.on_trial_complete(None, trial, result)
        if self._draws is None:
            (self._search.on_trial_complete if does_stop else self._search.on_trial_result)(begun.key, result)
        return not does_stop


class PlainOptuna:
    """A study with TPE as it comes and a pruner, several trials at once; reports as in Optuna's tutorials, steps from 0."""

    def __init__(self, space: Space, num_epochs: int, seed: int, *, use_hyperband: bool = False) -> None:
        import optuna
        from optuna.pruners import HyperbandPruner, NopPruner

        pruner = HyperbandPruner(min_resource=1, max_resource=num_epochs, reduction_factor=3) if use_hyperband else NopPruner()
        sampler = optuna.samplers.TPESampler(seed=seed)
        # Hyperband deals trials to its brackets by a checksum of the study's name.
        self._study = optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner, study_name=f"seed {seed}")
        self._space, self._num_epochs = space, num_epochs
        self._trials: dict[str, optuna.Trial] = {}

    def next_leg(self) -> Begun:
        """Always a new trial."""
        trial = self._study.ask()
        self._space.resolve(trial)
        self._trials[str(trial.number)] = trial
        return Begun(str(trial.number), trial.number, trial.params)

    def report(self, begun: Begun, epoch: int, point: Point) -> bool:
        """Report, ask whether to prune, and at the end tell the value."""
        from optuna.trial import TrialState

        trial, value = self._trials[begun.key], point.value if math.isfinite(point.value) else WORST
        trial.report(value, epoch - 1)
        if trial.should_prune():
            self._study.tell(trial, state=TrialState.PRUNED)
            return False
        if epoch == self._num_epochs:
            self._study.tell(trial, value)
        return epoch < self._num_epochs


class OneEpochForAll:
    """Every one of `num_trials` random recipes gets one epoch, then the best are trained in full, best first."""

    def __init__(self, draws: Draw, num_trials: int, num_epochs: int) -> None:
        self._draws, self._num_trials, self._num_epochs = draws, num_trials, num_epochs
        self._number = self._num_waited_for = 0
        self._waiting: dict[int, float] = {}

    def next_leg(self) -> Begun | None:
        """A recipe's first epoch; once all have had theirs, the rest of the best one's."""
        if self._number < self._num_trials:
            self._number += 1
            self._num_waited_for += 1
            return Begun(str(self._number - 1), self._number - 1, self._draws(self._number - 1))
        if self._num_waited_for or not self._waiting:
            return None
        best = max(self._waiting, key=lambda number: (self._waiting[number], -number))
        del self._waiting[best]
        return Begun(str(best), best, self._draws(best), known_epochs=1)

    def report(self, begun: Begun, epoch: int, point: Point) -> bool:
        """The first epoch is for comparing."""
        if epoch > 1:
            return epoch < self._num_epochs and math.isfinite(point.value)
        self._num_waited_for -= 1
        if math.isfinite(point.value):
            self._waiting[begun.number] = point.value
        return False


def _void(_: Any) -> None:
    """OptunaSearch takes a returned dict for constants."""
