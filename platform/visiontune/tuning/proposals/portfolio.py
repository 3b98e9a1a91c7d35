"""Portfolios: which few recipes of earlier studies to try first, out of how all of them did on each task.

Greedy, as in Winkelmolen et al. 2020 ("Practical and sample efficient zero-shot HPO"): each recipe is the one that lowers most the mean
over tasks of the best rank among those chosen. A rank is a cost, 0 for the best of a task and 1 for the worst, so that tasks whose
values differ in scale and direction count alike. Shapes: T tasks, N recipes.
"""

from __future__ import annotations

import numpy as np

_DIGITS = 12
"""Means that differ by less than rounding are equal, so that the choice does not depend on the order of tasks."""


def normalised_ranks(values_TN: np.ndarray) -> np.ndarray:
    """Of each value the share of the task's others that are larger: values are better when larger, ranks when smaller.

    NaN (never tried, diverged) stays NaN. A task's only value has rank 0.
    """
    ranks_TN = np.full(values_TN.shape, np.nan)
    for values_N, ranks_N in zip(values_TN, ranks_TN, strict=True):
        is_known = ~np.isnan(values_N)
        ordered = np.sort(values_N[is_known])
        num_larger = len(ordered) - np.searchsorted(ordered, values_N[is_known], side="right")
        ranks_N[is_known] = num_larger / max(1, len(ordered) - 1)
    return ranks_TN


def greedy_portfolio(ranks: np.ndarray, size: int) -> list[int]:
    """Up to `size` columns of `ranks` (tasks x recipes, smaller is better), in the order in which to try them.

    NaN counts as the task's worst, a task without any rank not at all. Of recipes that add as much, the one that is better by itself
    comes first, then the one that stands first. Raises ValueError for what is no matrix with a task.
    """
    if ranks.ndim != 2 or not len(ranks):
        raise ValueError(f"ranks must be a matrix of at least one task by recipes, but have the shape {ranks.shape}")
    costs_TN = _completed(ranks.astype(float))
    alone_N = np.round(costs_TN.mean(0), _DIGITS)
    best_T = np.full(len(costs_TN), np.inf)
    chosen: list[int] = []
    while len(chosen) < min(size, costs_TN.shape[1]):
        with_each_N = np.round(np.minimum(best_T[:, None], costs_TN).mean(0), _DIGITS)
        order = np.lexsort((alone_N, with_each_N))
        chosen.append(next(int(recipe) for recipe in order if recipe not in chosen))
        best_T = np.minimum(best_T, costs_TN[:, chosen[-1]])
    return chosen


def _completed(ranks_TN: np.ndarray) -> np.ndarray:
    """With the worst of the task for NaN, and 0 throughout a task that says nothing."""
    is_unknown_TN = np.isnan(ranks_TN)
    worst_T = np.where(is_unknown_TN, -np.inf, ranks_TN).max(1, initial=-np.inf)
    return np.where(is_unknown_TN, np.where(np.isfinite(worst_T), worst_T, 0.0)[:, None], ranks_TN)
