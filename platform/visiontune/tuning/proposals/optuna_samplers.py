"""Optuna's samplers, built anew for each proposal: builders of the table of samplers, with flat arguments."""

from __future__ import annotations

import math
import warnings
from typing import Any

from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler

from visiontune.spec.space.defaults import default_params
from visiontune.spec.space.study_spec import StudySpec
from visiontune.spec.tables.search import SAMPLERS
from visiontune.tuning.proposals.grouped_sampler import GroupedSampler, groups_of, numbers_of
from visiontune.tuning.proposals.lessons import MOST_GOOD, counting_share

LEAST_GP = 3
"""Values of a group before a Gaussian process models it; random draws until then."""

LEAST_TPE = 8
"""Values before TPE chooses beside CMA-ES; random draws until then."""


def tpe(spec: StudySpec, seed: int, gamma: float, num_candidates: int, use_multivariate: bool) -> BaseSampler:
    """Multivariate TPE has one model for each group of params that occur together, so that branches stay joint."""
    changed: dict[str, Any] = {}
    if gamma != SAMPLERS.entries["tpe"].args["gamma"].default:  # type: ignore[union-attr]
        changed["gamma"] = lambda num: min(math.ceil(gamma * num), MOST_GOOD)
    with warnings.catch_warnings(action="ignore"):  # Optuna 5 warns of gamma, which is to go
        return TPESampler(
            seed=seed,
            n_startup_trials=0,
            n_ei_candidates=num_candidates,
            multivariate=use_multivariate,
            group=use_multivariate,
            constant_liar=True,
            **changed,
        )


def random(spec: StudySpec, seed: int) -> BaseSampler:
    """Independent draws."""
    return RandomSampler(seed=seed)


def gp(spec: StudySpec, seed: int, is_deterministic: bool) -> BaseSampler:
    """A Gaussian process for each group of params that exist together.

    Left to Optuna 5.0, trials on workers make its proposals no better than draws where values are noisy: hence the constant liar.
    """

    def build(group_seed: int) -> BaseSampler:
        return GPSampler(seed=group_seed, n_startup_trials=LEAST_GP, deterministic_objective=is_deterministic)

    return GroupedSampler(groups_of(spec.space), build, seed, RandomSampler(seed=seed), constant_liar=True)


def cmaes(spec: StudySpec, seed: int, sigma0: float | str, population: int | str) -> BaseSampler:
    """A distribution for the numbers of each group; choices, of which CMA-ES knows nothing, come from TPE."""
    changed: dict[str, Any] = {"sigma0": sigma0} if isinstance(sigma0, float) else {}
    size = population if isinstance(population, int) else None

    def build(group_seed: int) -> BaseSampler:
        with warnings.catch_warnings(action="ignore"):  # Optuna 5 warns of sigma0, which is to go
            return CmaEsSampler(seed=group_seed, popsize=size, warn_independent_sampling=False, **changed)

    choices = TPESampler(seed=seed, n_startup_trials=LEAST_TPE, multivariate=True, group=True, constant_liar=True)
    return GroupedSampler(numbers_of(groups_of(spec.space)), build, seed, choices)


def nsga2(
    spec: StudySpec,
    seed: int,
    population: int | str,
    crossover_probability: float,
    swapping_probability: float,
    mutation_probability: float | str,
) -> BaseSampler:
    """NSGA-II, with one objective a genetic algorithm of elites; a population for each group of params that exist together.

    Of a whole trial's params one is drawn anew: with Optuna's own rule it would be one of each group, and a lone param always.
    """
    one_of_all = 1 / max(1, len(default_params(spec.space)))

    def build(group_seed: int) -> BaseSampler:
        return NSGAIISampler(
            seed=group_seed,
            population_size=population if isinstance(population, int) else fitting_population(spec),
            crossover_prob=crossover_probability,
            swapping_prob=swapping_probability,
            mutation_prob=mutation_probability if isinstance(mutation_probability, float) else one_of_all,
        )

    return GroupedSampler(groups_of(spec.space), build, seed, RandomSampler(seed=seed))


def fitting_population(spec: StudySpec) -> int:
    """Of NSGA-II: a fifth of the values that all trials may bring, so that there are five generations; from 4 to Optuna's 50.

    Where the number of trials is open, 10.
    """
    num_trials = spec.budget.num_trials
    return 10 if num_trials is None else max(4, min(50, int(num_trials * counting_share(spec)) // 5))
