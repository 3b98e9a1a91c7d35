"""Optuna's samplers, built anew for each proposal: builders of the table of samplers, with flat arguments."""

from __future__ import annotations

import math
import warnings
from typing import Any

from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler

from visiontune.spec.study_spec import StudySpec
from visiontune.spec.tables.search import SAMPLERS

MOST_GOOD = 25
"""Of the values that TPE models as good, as in Optuna."""


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
    """Gaussian process; params under a branch are drawn at random."""
    return GPSampler(seed=seed, n_startup_trials=0, deterministic_objective=is_deterministic)


def cmaes(spec: StudySpec, seed: int, sigma0: float | str, population: int | str) -> BaseSampler:
    """CMA-ES; starts its distribution again after a restart, since its own state is a pickle."""
    changed: dict[str, Any] = {"sigma0": sigma0} if isinstance(sigma0, float) else {}
    size = population if isinstance(population, int) else None
    with warnings.catch_warnings(action="ignore"):  # Optuna 5 warns of sigma0, which is to go
        return CmaEsSampler(seed=seed, popsize=size, warn_independent_sampling=False, **changed)


def nsga2(
    spec: StudySpec,
    seed: int,
    population: int,
    crossover_probability: float,
    swapping_probability: float,
    mutation_probability: float | str,
) -> BaseSampler:
    """NSGA-II, with one objective a genetic algorithm of elites."""
    return NSGAIISampler(
        seed=seed,
        population_size=population,
        crossover_prob=crossover_probability,
        swapping_prob=swapping_probability,
        mutation_prob=mutation_probability if isinstance(mutation_probability, float) else None,
    )
