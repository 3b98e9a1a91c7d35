"""The winner's recipe trained longer, on the seeds of its confirmations, so that what it gains is a difference within pairs."""

from __future__ import annotations

import logging
import statistics
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visiontune.data.prepare import describe, prepare, source_of, with_defaults
from visiontune.data.store.store import Store
from visiontune.errors import UserError, plural
from visiontune.filesystem.study_folder import StudiesFolder
from visiontune.results.screens.text import number as shown
from visiontune.results.study import Study
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.spec.plugins import uses_plugins
from visiontune.spec.space.study_spec import Objective
from visiontune.spec.stretched import Changes, stretched
from visiontune.training.kept_training import forget_training, train_kept
from visiontune.training.recipe_rules import refuse_unfit
from visiontune.training.spawned_ranks import train_here
from visiontune.training.train_recipe import examine, examine_views, find_device, refuse_out, refuse_test_time, write_weights
from visiontune.tuning.study.driver_lock import driver_lock
from visiontune.tuning.study.met_test_set import note_meeting
from visiontune.tuning.study.open_storage import open_existing

if TYPE_CHECKING:
    from visiontune.training.class_figures import ClassTable
    from visiontune.training.loop import Epoch

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pair:
    """The objective on one seed after as many epochs as were searched, and after more."""

    seed: int
    before: float
    after: float


@dataclass(frozen=True)
class LongerTraining:
    """What a longer training gave. `changes` of the recipe are (before, after) by dotted key; `test` are figures of the weights that were
    kept: those of the seed with the best objective. `is_confirmed`: before is of confirmations, else the search's own value, which is the
    best of many.
    """

    study: str
    number: int
    objective: Objective
    changes: Changes
    pairs: tuple[Pair, ...]
    is_confirmed: bool
    test: Mapping[str, float]
    classes: ClassTable
    weights: Path

    @property
    def gain(self) -> float:
        """Mean difference over the seeds; above 0 is better, also where the objective is a loss."""
        return statistics.fmean(self._gains())

    @property
    def gain_error(self) -> float | None:
        """The mean's standard error; None of a single seed."""
        gains = self._gains()
        return statistics.stdev(gains) / len(gains) ** 0.5 if len(gains) > 1 else None

    def _gains(self) -> list[float]:
        sign = 1.0 if self.objective.mode == "max" else -1.0
        return [sign * (one.after - one.before) for one in self.pairs]

    def to_dict(self) -> dict[str, Any]:
        """For programs."""
        found = {"study": self.study, "trial": self.number, "objective": asdict(self.objective), "is_confirmed": self.is_confirmed}
        changes = {key: list(pair) for key, pair in self.changes.items()}
        more = {"gain": self.gain, "gain_error": self.gain_error, "test": dict(self.test), "weights": str(self.weights)}
        return {**found, "changes": changes, "pairs": [asdict(one) for one in self.pairs], **more}

    def __str__(self) -> str:
        metric, (before, after) = self.objective.metric, self.changes["training.num_epochs"]
        lines = [f"trial {self.number} of study {self.study}: {plural(after, 'epoch')} in place of {before}"]
        lines += [f"  {key}: {old} -> {new}" for key, (old, new) in self.changes.items() if key != "training.num_epochs"]
        whose = "as confirmed on it" if self.is_confirmed else "as the search had it, which is the best of many"
        lines += [f"seed {one.seed}: {metric} {shown(one.before)} {whose}, {shown(one.after)} now" for one in self.pairs]
        error = "" if self.gain_error is None else f" ± {self.gain_error:.4f} (standard error over {plural(len(self.pairs), 'seed')})"
        lines.append(f"gained: {self.gain:+.4f}{error}" + ("; one seed says little" if self.gain_error is None else ""))
        lines.append(" ".join(f"{name}={value:.4g}" for name, value in self.test.items()))
        return "\n".join([*lines, f"weights in {self.weights}"])


def known_pairs(confirmed: Mapping[int, float], recipe: TrialRecipe, searched: float, seeds: int) -> dict[int, float]:
    """The first `seeds` seeds with the objective after the searched epochs: those of confirmations, where there is none the trial's own.

    Raises UserError for more than there are.
    """
    known = dict(confirmed) or {recipe.training["seed"]: searched}
    if seeds > len(known):
        what = (
            f"was confirmed on {plural(len(confirmed), 'seed')}"
            if confirmed
            else "was not confirmed, so there is only the search's own seed"
        )
        raise UserError(f"the winner {what}, but got seeds={seeds}; nearest is {len(known)}")
    return dict(list(known.items())[:seeds])


def train_winner_longer(
    study: Study,
    epochs: int,
    *,
    seeds: int = 1,
    device: str = "auto",
    workers: int = 1,
    out: Path | None = None,
    test_time: str = "none",
    on_epoch: Callable[[Epoch], object] = lambda epoch: None,
) -> LongerTraining:
    """Train the winner's recipe on the first `seeds` seeds of its confirmations, keep the weights of the best by the objective, and test
    those, once. Raises UserError, also where there is no winner or a driver is at work on the study.
    """
    winner = study.winner
    if winner is None:
        raise UserError(f"study {study.name} has no winner yet; `visiontune search FILE` finds one")
    confirmed = {one.seed: one.val_value for one in winner.confirmations if not one.failure}
    before = known_pairs(confirmed, winner.recipe, study.record.trial(winner.number).value or 0.0, seeds)
    to = out or study.path / f"longer-{epochs}.safetensors"
    how: dict[str, Any] = {"device": find_device(device), "workers": workers, "test_time": test_time, "on_epoch": on_epoch}
    with driver_lock(study.folder):  # it counts a meeting with the test split, which a driver at work would count beside it
        return _train_longer(winner.recipe, study, before, epochs, to, number=winner.number, is_confirmed=bool(confirmed), **how)


@uses_plugins
def _train_longer(
    recipe: TrialRecipe,
    study: Study,
    before: Mapping[int, float],
    epochs: int,
    to: Path,
    *,
    number: int,
    is_confirmed: bool,
    device: str,
    workers: int,
    test_time: str,
    on_epoch: Callable[[Epoch], object],
) -> LongerTraining:
    longer, changes = stretched(recipe, epochs)
    refuse_test_time(test_time, recipe)
    refuse_out(to)
    source = source_of(with_defaults(recipe.data))
    refuse_unfit(longer, describe(recipe.data, source))
    store = Store.open(prepare(recipe.data, StudiesFolder(study.path.parent).data_cache, source=source))
    pairs, objective = list[Pair](), study.record.objective
    best: Epoch | None = None
    for seed, value in before.items():
        seeded = replace(longer, training={**longer.training, "seed": seed})
        run = partial(train_here, seeded, store, device=device, num_workers=workers)
        with closing(train_kept(run, seeded, store, to, _log.info)) as trained:
            epoch = _last(trained, on_epoch)
        pairs.append(Pair(seed, value, epoch.metrics[objective.metric]))
        if best is None or objective.is_better(epoch.metrics[objective.metric], best.metrics[objective.metric]):
            best = epoch
            write_weights(epoch, seeded, store, to)
    assert best is not None, "there is at least one seed"
    forget_training(to)
    meeting = {"trial": number, "networks": [to.name], "kept": f"{plural(epochs, 'epoch')}, seeds {', '.join(map(str, before))}"}
    note_meeting(open_existing(study.folder, study.storage_url), meeting)
    test, classes = examine(best, store)
    figures = test | examine_views(best, store, test_time)
    return LongerTraining(study.name, number, objective, changes, tuple(pairs), is_confirmed, figures, classes, to)


def _last(epochs: Iterable[Epoch], on_epoch: Callable[[Epoch], object]) -> Epoch:
    last: Epoch | None = None
    for last in epochs:
        on_epoch(last)
    assert last is not None, "a longer training has epochs"
    return last
