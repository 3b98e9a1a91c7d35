"""How far apart the params of two trials are: for finding, among recorded trials, the one nearest to a proposal. P params, N trials."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from visiontune.spec.declarations.domains import Choice, Domain, Float, Int
from visiontune.spec.space.space import Space


class ParamPlaces:
    """Trials as points: a number by its place in its domain, 0 to 1 (in logarithms where that is said), another choice by which it is.

    Two values of a choice without order are 1 apart, a param that only one of two trials has counts as 1 too, so that a trial of the
    same branch is nearer than one of another. Distances are Euclidean.
    """

    def __init__(self, space: Space) -> None:
        self._domains = {name: domain for name, domain, _ in space.domains()}
        self._is_ordered_P = np.array([is_ordered(domain) for domain in self._domains.values()], bool)

    def place(self, params: Mapping[str, Any]) -> np.ndarray:
        """One trial, NaN where it lacks a param. Raises ValueError for a choice that the domain does not have."""
        return np.array([_place(domain, params[name]) if name in params else math.nan for name, domain in self._domains.items()])

    def places(self, trials: Iterable[Mapping[str, Any]]) -> np.ndarray:
        """N trials, shape (N, P)."""
        return np.array([self.place(params) for params in trials]).reshape(-1, len(self._domains))

    def squared_distances(self, places_NP: np.ndarray, at_P: np.ndarray) -> np.ndarray:
        """Of each of N trials to one."""
        apart_NP = np.where(self._is_ordered_P, places_NP - at_P, places_NP != at_P)
        is_missing_NP, is_missing_P = np.isnan(places_NP), np.isnan(at_P)
        apart_NP = np.where(is_missing_NP | is_missing_P, is_missing_NP != is_missing_P, apart_NP)
        return (apart_NP**2).sum(1)  # type: ignore[no-any-return]

    def nearest(self, places_NP: np.ndarray, at_P: np.ndarray, unused: Sequence[int]) -> int:
        """The one of `unused` (rows) that is nearest, of equals the first."""
        return unused[int(np.argmin(self.squared_distances(places_NP[unused], at_P)))]


def is_ordered(domain: Domain) -> bool:
    """Whether nearer values are more alike: ranges, and choices of numbers."""
    if not isinstance(domain, Choice):
        return True
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in domain.choices)


def _place(domain: Domain, value: Any) -> float:
    if isinstance(domain, Choice):
        at = float(sorted(domain.choices).index(value)) if is_ordered(domain) else float(domain.choices.index(value))
        return at / max(1, len(domain.choices) - 1) if is_ordered(domain) else at
    return _share(domain, value)


def _share(domain: Float | Int, value: float) -> float:
    low, high, at = (math.log(one) if domain.log else float(one) for one in (domain.low, domain.high, value))
    return (at - low) / (high - low) if high > low else 0.0
