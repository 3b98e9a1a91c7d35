"""Hyperband's brackets: how many trials begin at which rung, and which trial is in which bracket (Li et al. 2018, JMLR 18)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache


@cache
def bracket_sizes(num_rungs: int, eta: int) -> tuple[int, ...]:
    """Trials of one round by the rung at which they begin: ceil(num_rungs * eta^s / (s + 1)) with s rungs above it.

    >>> bracket_sizes(5, 3), bracket_sizes(1, 3)
    ((81, 34, 15, 8, 5), (1,))
    """
    above = range(num_rungs - 1, -1, -1)
    return tuple(-(-num_rungs * eta**s // (s + 1)) for s in above)


def first_rung(number: int, sizes: Sequence[int]) -> int:
    """The rung, counted from 0, at which a trial begins to be compared: the same for the same trial, whatever else happened.

    >>> [first_rung(number, (3, 2, 1)) for number in range(6)]
    [0, 1, 0, 2, 1, 0]
    """
    if len(sizes) == 1:
        return 0
    order = _round(tuple(sizes))
    return order[number % len(order)]


def num_beginning(num_trials: int, sizes: Sequence[int]) -> list[int]:
    """How many of the first trials begin at each rung."""
    rounds, rest = divmod(num_trials, sum(sizes))
    begun = [first_rung(number, sizes) for number in range(rest)]
    return [rounds * size + begun.count(rung) for rung, size in enumerate(sizes)]


@cache
def _round(sizes: tuple[int, ...]) -> tuple[int, ...]:
    """One round, each bracket spread over it evenly: the next trial goes to who is furthest behind the share of its size."""
    total, credit, order = sum(sizes), [0] * len(sizes), list[int]()
    for _ in range(total):
        credit = [have + size for have, size in zip(credit, sizes, strict=True)]
        order.append(max(range(len(sizes)), key=credit.__getitem__))
        credit[order[-1]] -= total
    return tuple(order)
