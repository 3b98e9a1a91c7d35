"""What a finished study would have found with other settings: searches rehearsed on its own trials' curves, nothing trained."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from visiontune.errors import Problem, UserError, nearest, plural
from visiontune.inference.intervals import mean_interval
from visiontune.results.screens.text import aligned, number
from visiontune.spec.declarations.declare import REQUIRED, Arg, Field
from visiontune.spec.read_identity import spec_of_identity
from visiontune.spec.space.study_spec import Budget, StudySpec, is_population
from visiontune.spec.tables.search import SAMPLERS
from visiontune.tuning.importance.param_places import ParamPlaces
from visiontune.tuning.recorded_study import CurvesLeft, StudyCurves, rehearsable, study_curves
from visiontune.tuning.records.records import StudyRecord
from visiontune.tuning.rehearse_search import NO_WEIGHTS, OwnSearch, drive

SHARES = (0.25, 0.5, 0.75, 1.0)
"""Of the study's epochs, after which a search's best value is told."""

MIN_FULL = 8
"""Trials that must have been trained in full: with fewer, all that a rehearsal could show is which of them was drawn."""

RANDOM = "random search"
CAVEAT = (
    "One study's curves, each used once by the trial nearest to it: curves that were cut favour settings like the study's own, "
    "and differences within the intervals mean nothing."
)


@dataclass(frozen=True)
class Found:
    """The best value of a rehearsed search so far: its mean over seeds, and that mean's 95 % interval by Student's t, None of one seed."""

    mean: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Rehearsal:
    """What searches with several settings would have found, by the share of the study's epochs. `print(rehearsal)` is its table.

    Of `num_curves` `num_cut` were not trained to their end and go on with their last value; `num_full` were.
    """

    study: str
    metric: str
    num_curves: int
    num_full: int
    num_cut: int
    num_epochs: int
    num_seeds: int
    num_workers: int
    found: Mapping[str, Mapping[float, Found]]

    def to_dict(self) -> dict[str, Any]:
        """For JSON; shares of the epochs are keys such as "25%"."""
        found = {name: {f"{share:.0%}": vars(one) for share, one in by_share.items()} for name, by_share in self.found.items()}
        return {**vars(self), "found": found}

    def __str__(self) -> str:
        seeds = f"mean of {self.num_seeds} seeds (95 % interval)" if self.num_seeds > 1 else "of one seed, so without an interval"
        head = [
            f"{self.study}: {self.num_curves} curves; {self.num_full} were trained to their end, "
            f"{self.num_cut} were cut and go on with their last value",
            f"best {self.metric} so far, {seeds}, {plural(self.num_workers, 'worker')}, "
            f"after so much of the study's {plural(self.num_epochs, 'epoch')}:",
        ]
        rows = [["settings", *(f"{share:.0%}" for share in SHARES)]]
        rows += [[name, *(_cell(by_share[share]) for share in SHARES)] for name, by_share in self.found.items()]
        return "\n".join([*head, *aligned(rows), CAVEAT])


KEYS = {"sampler": "sampler.name", "reduction_factor": "budget.reduction_factor", "min_epochs": "budget.min_epochs"}
"""What may be asked for, and where it stands in a study's identity."""


def rehearse_study(study: StudyRecord, asked: Mapping[str, Any], *, num_workers: int, num_seeds: int) -> Rehearsal:
    """The study's own settings, those `asked` for (by KEYS) unless all are None, and random search. Raises UserError.

    All begin with the defaults, the first two then with the recipes that the study began with.
    """
    if study.objective.costs:
        names = ", ".join(study.objective.names)
        raise UserError(
            f"a rehearsal compares by the best value, but study {study.name} has {len(study.objective.names)} objectives: {names}"
        )
    if is_population({"name": (rule := study.identity["trial_scheduler.name"])}):
        raise UserError(f"study {study.name} was searched with {rule}, which {NO_WEIGHTS}")
    curves = study_curves(study)
    given = {KEYS[key]: value for key, value in asked.items() if value is not None}
    problems: list[Problem | str] = [*_too_few(study, curves), *_wrong_settings(study.identity, given)]
    if problems:
        raise UserError(*problems)
    found = {}
    for name, spec in _specs(study, given):
        spec = rehearsable(spec, curves)
        start = () if name == RANDOM else curves.start
        runs = [_rehearse(spec, curves, start, num_workers, seed) for seed in range(num_seeds)]
        at = {share: round(share * curves.num_epochs) - 1 for share in SHARES}
        by_share = {share: _found([run[epoch] for run in runs], study.objective.metric) for share, epoch in at.items()}
        found[f"{name}: {_described(spec)}"] = by_share
    counts = (len(curves.trials), curves.num_full, curves.num_cut, curves.num_epochs, num_seeds, num_workers)
    return Rehearsal(study.name, study.objective.metric, *counts, found)


def _specs(study: StudyRecord, given: Mapping[str, Any]) -> list[tuple[str, StudySpec]]:
    """What is compared, by what it is called."""
    identity = study.identity
    try:
        found = [("the study's own", spec_of_identity(identity, study.name))]
    except UserError as error:
        head = f"study {study.name} was made by another version of visiontune, which says what this one does not take:"
        raise UserError(head, *error.problems) from error
    if given:
        kept = {key: value for key, value in identity.items() if not key.startswith("sampler.")} if KEYS["sampler"] in given else identity
        try:
            found.append(("asked for", spec_of_identity({**kept, **given}, study.name)))
        except UserError as error:  # it is of no file
            raise UserError(*(replace(problem, file="", line=0) for problem in error.problems)) from error
    rest = {key: value for key, value in identity.items() if not key.startswith(("sampler.", "trial_scheduler."))}
    return [*found, (RANDOM, spec_of_identity({**rest, "sampler.name": "random", "trial_scheduler.name": "none"}, study.name))]


def _rehearse(spec: StudySpec, curves: StudyCurves, start: Sequence[Mapping[str, Any]], num_workers: int, seed: int) -> list[float]:
    """The best value after each epoch; a search that ends earlier keeps what it has."""
    seeded = replace(spec, sampler={**spec.sampler, "seed": seed})
    left = CurvesLeft(ParamPlaces(spec.space), curves, spec.objective, curves.num_epochs)
    drive(OwnSearch(seeded, num_workers, start), left, num_workers)
    return (left.history + left.history[-1:] * curves.num_epochs)[: curves.num_epochs]


def _described(spec: StudySpec) -> str:
    rule = spec.trial_scheduler["name"]
    ends = f"{rule}, rungs {', '.join(map(str, spec.rungs))}" if rule == "asha" else "every trial in full" if rule == "none" else str(rule)
    return f"{spec.sampler['name']}, {ends}"


def _found(values: Sequence[float], metric: str) -> Found:
    return Found(statistics.fmean(values), *(mean_interval(values, metric) or ()))


def _cell(found: Found) -> str:
    if found.low is None or found.high is None:
        return number(found.mean)
    return f"{number(found.mean)} ({number(found.low)} to {number(found.high)})"


def _too_few(study: StudyRecord, curves: StudyCurves) -> Iterator[str]:
    if curves.num_full < MIN_FULL:
        more = -(-len(study.trials) * MIN_FULL // max(1, curves.num_full))
        yield (
            f"study {study.name}: a rehearsal needs {MIN_FULL} trials that were trained to their end, but {curves.num_full} of "
            f"{len(study.trials)} were: carry it on, such as with budget.num_trials={more}, or search with trial_scheduler.name=none"
        )


def _wrong_settings(identity: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[Problem]:
    name = given.get("sampler.name")
    known = [one for one, entry in SAMPLERS.entries.items() if not any(map(_is_required, entry.args.values()))]
    if name is not None and (not isinstance(name, str) or name not in known):
        yield Problem("", 0, "sampler", f"must name one sampler, but got {name!r}; {nearest(name, known)}")
    rule = identity["trial_scheduler.name"]
    for key in ("reduction_factor", "min_epochs"):
        if f"budget.{key}" in given and rule != "asha" and (rule, key) != ("median", "min_epochs"):
            yield Problem("", 0, key, f"is for the trial scheduler asha, but the study has {rule}")
            return
    budget = Budget(*(int({**identity, **given}[f"budget.{key}"]) for key in ("min_epochs", "max_epochs", "reduction_factor")))
    if rule == "asha" and budget.rungs[-1] != budget.max_epochs:
        yield Problem("", 0, "min_epochs", _unreached(budget))


def _is_required(arg: Field) -> bool:
    """Whether a sampler can't be asked for by its name alone."""
    return isinstance(arg, Arg) and arg.default is REQUIRED


def _unreached(budget: Budget) -> str:
    last, eta = budget.max_epochs, budget.reduction_factor
    fitting = [first for first in range(1, last + 1) if Budget(first, last, eta).rungs[-1] == last]
    first = min(fitting, key=lambda one: abs(one - budget.min_epochs))
    got = f"but got min_epochs={budget.min_epochs}, reduction_factor={budget.reduction_factor}"
    return f"the study's {plural(budget.max_epochs, 'epoch')} must be min_epochs * reduction_factor^k, {got}; nearest min_epochs is {first}"
