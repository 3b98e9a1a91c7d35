"""A sampler of Optuna's for each group of params that exist together, where it knows but one fixed set of them by itself.

Optuna's GPSampler, CmaEsSampler and NSGAIISampler model what all trials have in common, and draw what stands under a branch of a choice
at random. TPE's remedy is a model for each group of params (`group=True`); this is the same for the others: each group has a study of
its own in memory, with those trials in it that have the group's params, and nothing else of them.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from visiontune.spec.declarations.domains import Choice, Domain, Float
from visiontune.spec.declarations.fingerprint import keyed_seed
from visiontune.spec.space.space import Space

STATE = "cma:optimizer"
"""Notes of CMA-ES that hold the pickle of a distribution; they never leave the memory."""

CONSTRAINTS = "constraints:"
"""Where Optuna keeps a trial's constraints: all that is complete is usable, and the samplers here model constraints at a price or not."""


@dataclass(frozen=True)
class Group:
    """Params that exist under the same choices; `key` names these, empty for what every trial has."""

    key: str
    distributions: Mapping[str, BaseDistribution]


def groups_of(space: Space) -> list[Group]:
    """All params of a space, in the order of the file."""
    found: dict[str, dict[str, BaseDistribution]] = {}
    for name, domain, given in space.domains():
        found.setdefault(",".join(f"{choice}={value}" for choice, value in given.items()), {})[name] = _distribution(domain)
    return [Group(key, distributions) for key, distributions in found.items()]


def numbers_of(groups: Sequence[Group]) -> list[Group]:
    """The groups without their choices."""
    kept = [(one.key, {n: d for n, d in one.distributions.items() if not isinstance(d, CategoricalDistribution)}) for one in groups]
    return [Group(key, distributions) for key, distributions in kept if distributions]


class GroupedSampler(BaseSampler):
    """`build` makes a sampler from a seed, which proposes for one of the `groups`; params that are in none come from `others`.

    A sampler's notes on a trial are kept under its group's key. With `constant_liar` trials on workers count as if they had the mean of
    the values (Ginsbourger et al. 2010).
    """

    def __init__(
        self, groups: Sequence[Group], build: Callable[[int], BaseSampler], seed: int, others: BaseSampler, *, constant_liar: bool = False
    ) -> None:
        self._groups = {name: group for group in groups for name in group.distributions}
        self._build, self._seed, self._others, self._constant_liar = build, seed, others, constant_liar
        self._proposed: dict[str, Any] = {}

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        found = self._others.infer_relative_search_space(study, trial)
        return {name: distribution for name, distribution in found.items() if name not in self._groups}

    def sample_relative(self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]) -> dict[str, Any]:
        return self._others.sample_relative(study, trial, search_space)

    def sample_independent(self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution) -> Any:
        """The first param of a group that is asked for settles all of it."""
        group = self._groups.get(param_name)
        if group is None:
            return self._others.sample_independent(study, trial, param_name, param_distribution)
        if param_name not in self._proposed:
            params, notes = _ask(self._study_of(group, study), group)
            self._proposed |= params
            for key, value in notes.items():
                study._storage.set_trial_system_attr(trial._trial_id, _note(group, key), value)
        return self._proposed[param_name]

    def _study_of(self, group: Group, study: optuna.Study) -> optuna.Study:
        own = optuna.create_study(directions=study.directions, sampler=self._build(keyed_seed(self._seed, group.key)))
        known = [trial for trial in study.get_trials(deepcopy=False) if trial.params.keys() >= group.distributions.keys()]
        complete = [trial for trial in known if trial.state is TrialState.COMPLETE]
        own.add_trials(_part_of(trial, group, trial.values) for trial in complete)
        if self._constant_liar and complete:
            means = [statistics.fmean(of_all) for of_all in zip(*(trial.values for trial in complete), strict=True)]
            own.add_trials(_part_of(trial, group, means) for trial in known if trial.state is TrialState.RUNNING)
        return own


def _ask(study: optuna.Study, group: Group) -> tuple[dict[str, Any], dict[str, Any]]:
    """Params and notes of a trial. CMA-ES moves on by a generation in a proposal, and leaves what it then is to that trial.

    No trial that comes from the storage has that, so each generation is gone through again, up to the one that is not yet complete.
    """
    while True:
        asked = study.ask(dict(group.distributions))
        notes = study._storage.get_trial_system_attrs(asked._trial_id)
        state = {key: value for key, value in notes.items() if key.startswith(STATE)}
        if not state:
            return asked.params, notes
        study.add_trial(create_trial(value=0.0, params=asked.params, distributions=asked.distributions, system_attrs=state))


def _part_of(trial: FrozenTrial, group: Group, values: Sequence[float]) -> FrozenTrial:
    """Of a trial what concerns a group: its params, and the notes of the group's sampler."""
    start = _note(group, "")
    notes = {key.removeprefix(start): value for key, value in trial.system_attrs.items() if key.startswith(start)}
    return create_trial(
        values=values,
        params={name: trial.params[name] for name in group.distributions},
        distributions=dict(group.distributions),
        system_attrs={key: value for key, value in notes.items() if "/" not in key and not key.startswith(CONSTRAINTS)},
    )


def _note(group: Group, key: str) -> str:
    return f"{group.key}/{key}" if group.key else key


def _distribution(domain: Domain) -> BaseDistribution:
    """As Optuna makes it when a trial asks."""
    if isinstance(domain, Choice):
        return CategoricalDistribution(domain.choices)
    kind = FloatDistribution if isinstance(domain, Float) else IntDistribution
    return kind(domain.low, domain.high, log=domain.log, step=domain.step)  # type: ignore[arg-type]
