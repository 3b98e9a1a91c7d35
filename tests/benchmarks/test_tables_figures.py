"""What tables.py makes of scores: ratios by hand, what never gets there, and the beginnings of longer searches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tables
from parts.rehearsed_tables import STOCK


def steps(*scores: float) -> np.ndarray:
    """One seed."""
    return np.array([scores])


def test_a_ratio_is_compute_per_compute() -> None:
    """The stock pair has its last score after 4 of 5 units; a score of a mean counts, not of a seed."""
    stock = steps(0.1, 0.2, 0.3, 0.9, 0.9)
    assert tables.ratio(stock, steps(0.9, 0.9, 0.9, 0.9, 0.9)) == 4.0
    assert tables.ratio(stock, stock) == 1.0
    assert tables.ratio(stock, steps(0.1, 0.1, 0.1, 0.1, 0.95)) == 4 / 5
    mixed = np.array([[0.9, 0.9, 0.9, 0.9, 0.9], [0.0, 0.9, 0.9, 0.9, 0.9]])
    assert tables.ratio(stock, mixed) == 2.0


def test_what_never_gets_there_is_counted() -> None:
    stock, short = steps(0.1, 0.9), steps(0.8, 0.8)
    assert tables.is_never(stock, short) and tables.ratio(stock, short) == tables.NEVER == 0.5
    assert not tables.is_never(short, stock)
    found = {"one": {(STOCK, 3): np.tile(stock, (1, 5)), ("x", 3): np.tile(short, (1, 5))}}
    found["two"] = {(STOCK, 3): np.tile(short, (1, 5)), ("x", 3): np.tile(short, (1, 5))}
    row = tables.compare(found, ["x"], [3])["x"]
    assert row["tables_never_at_3_trials"] == 1
    assert row["stock_compute_per_ours_at_3_trials"] == pytest.approx((0.5 * 1.0) ** 0.5)
    assert row["stock_compute_per_ours_at_3_trials_min"] == row["stock_compute_per_ours_at_3_trials_max"]  # one seed has no spread


def test_a_smaller_budget_is_the_beginning_of_a_larger_one() -> None:
    long, own = np.arange(67.0)[None], -np.arange(33.0)[None]
    assert np.array_equal(tables.at_budget({("a", 20): long}, "a", 10), long[:, :33])
    assert np.array_equal(tables.at_budget({("a", 20): long, ("a", 10): own}, "a", 10), own)


def test_searches_that_know_their_budget_are_made_for_each(tmp_path: Path) -> None:
    folder = tables.made_tables(tmp_path)
    found = [tables.table_of(path) for path in sorted(folder.glob("*.npz"))]
    args = type("Args", (), {"budgets": [5, 10], "seeds": 2})()
    jobs = list(tables.jobs_of(args, folder, found))
    budgets = {kind: {job.num_trials for job in jobs if job.kind == kind} for kind in {job.kind for job in jobs}}
    assert budgets.pop("one epoch for all") == {5, 10} and set(map(frozenset, budgets.values())) == {frozenset({10})}
    assert all(len(job.start) == (4 if job.kind in tables.STARTED else 0) for job in jobs)
    assert [table.is_timed for table in found] == [False, True]
