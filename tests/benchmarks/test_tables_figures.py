"""What tables.py makes of scores: ratios by hand, what never gets there, and the beginnings of longer searches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tables
from parts.compute_ratios import NEVER, at_budget, by_table, compare, is_never, ratio
from parts.recorded_tables import groups_of
from parts.rehearsed_tables import STOCK, SYNE_TUNE


def steps(*scores: float) -> np.ndarray:
    """One seed."""
    return np.array([scores])


def test_a_ratio_is_compute_per_compute() -> None:
    """The stock pair has its last score after 4 of 5 units; a score of a mean counts, not of a seed."""
    stock = steps(0.1, 0.2, 0.3, 0.9, 0.9)
    assert ratio(stock, steps(0.9, 0.9, 0.9, 0.9, 0.9)) == 4.0
    assert ratio(stock, stock) == 1.0
    assert ratio(stock, steps(0.1, 0.1, 0.1, 0.1, 0.95)) == 4 / 5
    mixed = np.array([[0.9, 0.9, 0.9, 0.9, 0.9], [0.0, 0.9, 0.9, 0.9, 0.9]])
    assert ratio(stock, mixed) == 2.0


def test_what_never_gets_there_is_counted() -> None:
    stock, short = steps(0.1, 0.9), steps(0.8, 0.8)
    assert is_never(stock, short) and ratio(stock, short) == NEVER == 0.5
    assert not is_never(short, stock)
    found = {"one": {(STOCK, 3): np.tile(stock, (1, 5)), ("x", 3): np.tile(short, (1, 5))}}
    found["two"] = {(STOCK, 3): np.tile(short, (1, 5)), ("x", 3): np.tile(short, (1, 5))}
    row = compare(found, ["x"], [3])["x"]
    assert row["tables_never_at_3_trials"] == 1
    assert row["stock_compute_per_ours_at_3_trials"] == pytest.approx((0.5 * 1.0) ** 0.5)
    assert {table: row["at_3_trials"] for table, row in by_table(found, "x", [3]).items()} == {"one": 0.5, "two": 1.0}
    assert row["stock_compute_per_ours_at_3_trials_min"] == row["stock_compute_per_ours_at_3_trials_max"]  # one seed has no spread


def test_a_smaller_budget_is_the_beginning_of_a_larger_one() -> None:
    long, own = np.arange(67.0)[None], -np.arange(33.0)[None]
    assert np.array_equal(at_budget({("a", 20): long}, "a", 10), long[:, :33])
    assert np.array_equal(at_budget({("a", 20): long, ("a", 10): own}, "a", 10), own)


def test_few_seeds_and_small_budgets_are_compared_as_far_as_they_go() -> None:
    """The stock pair has 0.9 after 4 of 5 units on average over two seeds, the other after one with its only seed."""
    stock = np.tile(np.array([[0.1, 0.9, 0.9, 0.9], [0.1, 0.1, 0.1, 0.9]]), 8)[:, :30]
    found = {"one": {(STOCK, 9): stock, ("x", 3): np.full((1, 10), 0.9)}}
    row = compare(found, ["x"], [3, 9])["x"]
    assert not any("at_9" in column for column in row)
    assert row["stock_compute_per_ours_at_3_trials"] == ratio(stock[:, :10], np.full((1, 10), 0.9))


def test_searches_that_know_their_budget_are_made_for_each(tmp_path: Path) -> None:
    folder = tables.made_tables(tmp_path)
    found = [tables.table_of(path) for path in sorted(folder.glob("*.npz"))]
    args = type("Args", (), {"budgets": [5, 10], "seeds": 2, "slow_seeds": 1, "syne_tune": None})()
    jobs = list(tables.jobs_of(args, folder, found))
    budgets = {kind: {job.num_trials for job in jobs if job.kind == kind} for kind in {job.kind for job in jobs}}
    assert budgets.pop("one epoch for all") == {5, 10} and set(map(frozenset, budgets.values())) == {frozenset({10})}
    assert all(len(job.start) == (4 if job.kind in tables.STARTED else 0) for job in jobs)
    assert [table.is_timed for table in found] == [False, True]
    assert not {job.kind for job in jobs} & {*SYNE_TUNE}
    args.syne_tune, args.budgets = Path("python"), [30, 60, 120]
    slow = [(job.num_trials, job.seed) for job in tables.jobs_of(args, folder, found[:1]) if job.kind in tables.SLOW]
    assert slow == [(60, 0)]
    assert groups_of(found) == {"made": found} and groups_of(found[:1]) == {}
