"""`StudySpec`, the frozen record of a search-space file: data, objective, budget, sampler, trial scheduler, resources, space."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from visiontune.errors import Problem, UserError
from visiontune.spec.declarations.brackets import bracket_sizes
from visiontune.spec.declarations.declare import REQUIRED, Arg, Items, Section, Table
from visiontune.spec.declarations.fingerprint import flatten
from visiontune.spec.declarations.former_policies import PUBLISHED, published_in
from visiontune.spec.declarations.start import Start
from visiontune.spec.space.sections import LIMITS, STUDY
from visiontune.spec.space.space import Space
from visiontune.spec.tables.search import BRACKETS, EXPLOITS, RUNGS, TRIAL_SCHEDULERS


@dataclass(frozen=True)
class Objective:
    """The metric that is searched for; `mode` is "max" or "min". `costs` are objectives beside it, each better where it is lower."""

    metric: str
    mode: str
    costs: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Of all objectives, the metric first."""
        return self.metric, *self.costs

    def is_better(self, a: float, b: float) -> bool:
        """Whether a beats b; NaN beats nothing."""
        return a > b if self.mode == "max" else a < b


@dataclass(frozen=True)
class Budget:
    """What a trial may have: min_epochs, max_epochs and reduction_factor; what the whole search may spend: the rest, None for no limit."""

    min_epochs: int
    max_epochs: int
    reduction_factor: int = 3
    num_trials: int | None = None
    epochs: int | None = None
    hours: float | None = None
    gpu_hours: float | None = None
    patience: int | None = None
    stop_at: float | None = None
    max_epoch_s: float | None = None
    max_trial_hours: float | None = None
    repeats: int = 1

    @property
    def ends(self) -> dict[str, float]:
        """All that can end a search, by the keys of the file: the limits, patience and the target."""
        goals = {"patience": self.patience, "stop_at": self.stop_at}
        return {**self.limits, **{key: float(goal) for key, goal in goals.items() if goal is not None}}

    @property
    def limits(self) -> dict[str, float]:
        """What the whole search may spend, by the keys of the file: those of LIMITS that are given."""
        return {key: float(given) for key in LIMITS if (given := getattr(self, key)) is not None}

    @property
    def rungs(self) -> tuple[int, ...]:
        """Epochs at which trials are compared: min_epochs * reduction_factor^k up to max_epochs; 1, 27 and 3 give (1, 3, 9, 27).

        The last one is max_epochs where the trial scheduler has rungs, which a study is checked for. Raises ValueError for what would have
        no end, which a damaged study can say.
        """
        if self.min_epochs < 1 or self.reduction_factor < 2:
            raise ValueError(f"rungs rise from 1 on by at least 2, but got {self.min_epochs} and {self.reduction_factor}")
        rungs = [self.min_epochs]
        while rungs[-1] * self.reduction_factor <= self.max_epochs:
            rungs.append(rungs[-1] * self.reduction_factor)
        return tuple(rungs)


def rungs_of(trial_scheduler: str, budget: Budget) -> tuple[int, ...]:
    """Where this trial scheduler compares trials, the full budget last."""
    return budget.rungs if RUNGS in TRIAL_SCHEDULERS.entries[trial_scheduler].traits else (budget.max_epochs,)


def is_population(settings: Mapping[str, Any]) -> bool:
    """Whether a section trial_scheduler has trials go on from each other's weights."""
    entry = TRIAL_SCHEDULERS.entries.get(settings["name"])
    return entry is not None and EXPLOITS in entry.traits


def exploit_points(settings: Mapping[str, Any], budget: Budget) -> tuple[int, ...]:
    """Epochs after which trials of a population may take another's weights: every `interval`, below the full budget."""
    given = settings.get("interval", "auto")
    every = max(1, budget.min_epochs, budget.max_epochs // 8) if given == "auto" else int(given)
    return tuple(range(every, budget.max_epochs, every))


def brackets_of(trial_scheduler: str, budget: Budget) -> tuple[int, ...]:
    """Relative numbers of trials by the rung at which they begin: all at the first where there are no brackets."""
    has_brackets = BRACKETS in TRIAL_SCHEDULERS.entries[trial_scheduler].traits
    return bracket_sizes(len(budget.rungs), budget.reduction_factor) if has_brackets else (1,)


@dataclass(frozen=True)
class Resources:
    """What one trial gets, or each of its workers, what an hour costs, when one hangs; "auto" is settled when the cluster is known."""

    gpus_per_trial: float | str
    cpus_per_trial: int | str
    workers_per_trial: int
    max_concurrent_trials: int | str
    price_per_hour: float | None = None
    hang_s: float = 120.0


@dataclass(frozen=True)
class StudySpec:
    """The validated, frozen content of a search-space file; `places` has the file and line of each of its keys.

    `plugins` are names with the SHA-256 of their content, `constraints` the upper bounds of costs (spec/tables/costs.py) that are given.
    """

    study: str
    data: Mapping[str, Any]
    objective: Objective
    budget: Budget
    sampler: Mapping[str, Any]
    trial_scheduler: Mapping[str, Any]
    resources: Resources
    storage: Mapping[str, Any] = field(repr=False)  # its URL may hold a password
    confirm: Mapping[str, Any]
    space: Space
    start: Start = field(default_factory=Start)
    places: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    plugins: tuple[str, ...] = ()
    constraints: Mapping[str, float] = field(default_factory=dict)
    register: str | None = None

    def placed(self, error: UserError, otherwise: str = "") -> UserError:
        """The error with the file and line of each key that its problems name; a problem that names none gets the key `otherwise`."""
        return UserError(*(self._placed(one, otherwise) for one in error.problems))

    def _placed(self, problem: Problem, otherwise: str) -> Problem:
        if problem.file:
            return problem
        where = key = problem.where or otherwise
        while key and key not in self.places:
            key = key.rpartition(".")[0]
        file, line = self.places.get(key, (self.space.file, 0))
        return Problem(file, line, where, problem.rule)

    @property
    def num_folds(self) -> int:
        """Of cross-validation; 1 for the study's own split."""
        return int(self.data.get("folds", 1))

    @property
    def num_repeats(self) -> int:
        """Networks that a trial trains."""
        return max(self.budget.repeats, self.num_folds)

    @property
    def rungs(self) -> tuple[int, ...]:
        """Epochs at which trials are compared, the full budget last, which is all there is where the trial scheduler has no rungs."""
        return rungs_of(str(self.trial_scheduler["name"]), self.budget)

    @property
    def leg_ends(self) -> tuple[int, ...]:
        """Epochs at which a leg may end, and another worker go on: rungs, or where a population exploits."""
        return (*exploit_points(self.trial_scheduler, self.budget), self.budget.max_epochs) if self.is_population else self.rungs

    @property
    def is_population(self) -> bool:
        """Whether trials go on from each other's weights."""
        return is_population(self.trial_scheduler)

    @property
    def brackets(self) -> tuple[int, ...]:
        """Relative numbers of trials by the rung at which they begin to be compared."""
        return brackets_of(str(self.trial_scheduler["name"]), self.budget)

    def identity(self) -> dict[str, Any]:
        """Flat dotted content that may not change while a study of this name goes on.

        Left out is what only decides where and how long it runs, resources, storage, confirm, and the limits of the budget; and what it
        begins with, which may be added to at any time. The number of trials is part of it where they are a population.
        """
        budget = {key: getattr(self.budget, key) for key in ("min_epochs", "max_epochs", "reduction_factor", "repeats")}
        if self.is_population:
            budget["num_trials"] = self.budget.num_trials
        content = {
            **({"plugins": list(self.plugins)} if self.plugins else {}),
            **({"constraints": {name: f"<= {bound:.12g}" for name, bound in self.constraints.items()}} if self.constraints else {}),
            "data": dict(self.data),
            "objective": {
                **{"metric": self.objective.metric, "mode": self.objective.mode},
                **({"costs": list(self.objective.costs)} if self.objective.costs else {}),
            },
            "budget": budget,
            "sampler": dict(self.sampler),
            "trial_scheduler": dict(self.trial_scheduler),
            "space": self.space.to_dict(),
        }
        flat = flatten(json.loads(json.dumps(content)))
        order = [key.partition(".probability")[0].partition(".magnitude")[0] for key in flat if key.startswith("space.augmentation.")]
        order += [
            f"{key}[{number}].{op}" for key in order if key.endswith(".by_class") for number, one in enumerate(flat[key]) for op in one
        ]
        marked = {PUBLISHED: names} if (names := published_in(flat)) and not self.space.is_older else {}
        return {**flat, **marked, "space.augmentation.order": list(dict.fromkeys(order))}


def completed(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The identity of an older study with the keys of `new` that came after it, where they have a declared default: what it did then."""
    added = {key: default for key in new.keys() - old.keys() if (default := _declared_default(key, new)) is not REQUIRED}
    return {**old, **added}


def _declared_default(dotted: str, identity: Mapping[str, Any]) -> Any:
    """Of a key of a section, or of an argument of what the section names; of a table in the space its own. REQUIRED where it has none."""
    name, _, key = dotted.partition(".")
    section = STUDY.fields.get(name)
    if isinstance(section, Section) and section.is_space:
        part, _, key = key.partition(".")
        table = getattr(section.fields.get(part), "fields", {}).get(key)
        return table.default if isinstance(table, Table) else REQUIRED
    if not isinstance(section, Section):
        return REQUIRED
    tables = ((at, table) for at, table in section.fields.items() if isinstance(table, Table))
    entries = (table.entries.get(identity.get(f"{name}.{at}", "")) for at, table in tables)
    fields = {**section.fields, **{arg: one for entry in entries if entry is not None for arg, one in entry.args.items()}}
    declared = fields.get(key)
    if isinstance(declared, Items):
        return list(declared.default)  # as JSON has it
    return declared.default if isinstance(declared, Arg) else REQUIRED
