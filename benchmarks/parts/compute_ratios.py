"""What scores after each unit of compute say of two ways to search: compute per compute, by table and as geometric means over tables."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np

from parts.rehearsed_tables import STOCK

UNITS_PER_TRIAL = 3.33
"""Of successive halving by thirds over 1, 3, 9, 27: what a trial costs on average."""

NUM_BOOTSTRAPS = 200
NEVER = 0.5
ROUNDING = 1e-9

OfTable = Mapping[tuple[str, int], np.ndarray]
"""{(kind, trials' worth): score by seed after each unit of compute}"""
Scores = Mapping[str, OfTable]
"""By table."""


def ratio(stock_SU: np.ndarray, ours_SU: np.ndarray) -> float:
    """Compute of the stock pair until its mean has what it ends with, per compute of ours until it has that; NEVER where it never has."""
    if is_never(stock_SU, ours_SU):
        return NEVER
    stock_U, ours_U = stock_SU.mean(0), ours_SU.mean(0)
    goal = stock_U[-1] - ROUNDING
    return float((np.argmax(stock_U >= goal) + 1) / (np.argmax(ours_U >= goal) + 1))


def is_never(stock_SU: np.ndarray, ours_SU: np.ndarray) -> bool:
    """Whether ours does not get to what the stock pair ends with."""
    return bool(ours_SU.mean(0).max() < stock_SU.mean(0)[-1] - ROUNDING)


def with_interval(stock_SU: np.ndarray, ours_SU: np.ndarray) -> tuple[float, list[float]]:
    """The ratio, and that of each bootstrap over the seeds, of which each side has its own number."""
    random = np.random.default_rng(0)
    draws = (random.integers(0, len(one), (NUM_BOOTSTRAPS, len(one))) for one in (stock_SU, ours_SU))
    return ratio(stock_SU, ours_SU), [ratio(stock_SU[a], ours_SU[b]) for a, b in zip(*draws, strict=True)]


def geometric(values: Sequence[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values))


def at_budget(of_table: OfTable, kind: str, budget: int) -> np.ndarray:
    """Scores by seed and unit, of the search with this budget or the beginning of that with a larger one."""
    known = min(known for one, known in of_table if one == kind and known >= budget)
    return of_table[kind, known][:, : round(UNITS_PER_TRIAL * budget)]


def compare(found: Scores, kinds: Sequence[str], budgets: Sequence[int]) -> dict[str, dict[str, float]]:
    """The geometric means over the tables, with intervals, and on how many of them a kind never has what the stock pair has.

    A kind that was searched with small budgets alone has no columns of larger ones.
    """
    largest = {kind: max(budget for of_table in found.values() for one, budget in of_table if one == kind) for kind in kinds}
    rows: dict[str, dict[str, float]] = {}
    for kind, budget in itertools.product(kinds, budgets):
        if budget > largest[kind]:
            continue
        pairs = [(at_budget(one, STOCK, budget), at_budget(one, kind, budget)) for one in found.values()]
        ratios = [with_interval(*pair) for pair in pairs]
        drawn = [geometric(at_once) for at_once in zip(*(draws for _, draws in ratios), strict=True)]
        row, name = rows.setdefault(kind, {}), f"stock_compute_per_ours_at_{budget}_trials"
        row |= spread(name, geometric([value for value, _ in ratios]), drawn)
        row[f"tables_never_at_{budget}_trials"] = sum(is_never(*pair) for pair in pairs)
    return rows


def by_table(found: Scores, kind: str, budgets: Sequence[int]) -> dict[str, dict[str, float]]:
    """The ratio on each table, with its interval."""
    rows: dict[str, dict[str, float]] = {table: {} for table in found}
    for (table, one), budget in itertools.product(found.items(), budgets):
        rows[table] |= spread(f"at_{budget}_trials", *with_interval(at_budget(one, STOCK, budget), at_budget(one, kind, budget)))
    return rows


def spread(name: str, value: float, drawn: Sequence[float]) -> dict[str, float]:
    """A figure and what its bootstraps leave between 2.5 and 97.5 %."""
    low, high = (float(q) for q in np.quantile(drawn, (0.025, 0.975)))
    return {name: value, f"{name}_min": low, f"{name}_max": high}
