"""Params as columns that a forest of regression trees can split, and as cells of their domains in which its predictions are averaged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from visiontune.spec.declarations.domains import Choice, Domain
from visiontune.spec.space.space import Space
from visiontune.tuning.importance.param_places import ParamPlaces, is_ordered

NUM_CELLS = 8
"""Of a range; with fewer values each is its own."""

ABSENT = -1.0
"""The place of a param that a trial lacks: beside the range, so that one split tells those trials apart."""


@dataclass(frozen=True)
class ParamCells:
    """One param's cells: which trials are in which, and what they are called."""

    name: str
    domain: Domain
    given: Mapping[str, Any]
    middles: tuple[Any, ...]
    edges: np.ndarray

    def place(self, value: Any) -> float:
        """Where a value stands, 0 to 1, also that of a choice without order."""
        if isinstance(self.domain, Choice):
            return self.middles.index(value) / max(1, self.num - 1)
        return value_place(self.domain, value)

    @property
    def num(self) -> int:
        return len(self.middles)

    def of(self, places_N: np.ndarray) -> np.ndarray:
        """The cell of each of N places of this param, -1 where it is absent."""
        cells_N = np.clip(np.searchsorted(self.edges, np.nan_to_num(places_N, nan=0.0), "right") - 1, 0, self.num - 1)
        return np.where(np.isnan(places_N), -1, cells_N)


class SpaceCells:
    """The params of a space that can vary. P params, N trials, C columns."""

    def __init__(self, space: Space) -> None:
        self._places = ParamPlaces(space)
        self.params = tuple(_cells(name, domain, given) for name, domain, given in space.domains())
        self.blocks = tuple(_block(space, param.name, [one.name for one in self.params]) for param in self.params)

    def places(self, trials: Iterable[Mapping[str, Any]]) -> np.ndarray:
        """(N, P), NaN where a trial lacks a param. Raises ValueError for a choice that the space does not have."""
        return self._places.places(trials)

    def columns(self, places_NP: np.ndarray) -> np.ndarray:
        """(N, C): an ordered param is one column, another choice one for each of its values."""
        blocks = []
        for param, places_N in zip(self.params, places_NP.T, strict=True):
            if is_ordered(param.domain):
                blocks.append(np.where(np.isnan(places_N), ABSENT, places_N)[:, None])
            else:
                blocks.append((places_N[:, None] == np.arange(param.num)).astype(float))
        return np.concatenate(blocks, 1)

    def swapped(self, places_NP: np.ndarray, param: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Which rows have a param, and their places with another such row's value of it, and of what exists or not by it."""
        having = np.flatnonzero(~np.isnan(places_NP[:, param]))
        block, other_NP = list(self.blocks[param]), places_NP[having].copy()
        other_NP[:, block] = other_NP[rng.permutation(len(having))][:, block]
        return having, other_NP

    def cells(self, places_NP: np.ndarray) -> np.ndarray:
        """(N, P): the cell of each param, -1 where it is absent."""
        return np.stack([param.of(places_N) for param, places_N in zip(self.params, places_NP.T, strict=True)], 1)


def _block(space: Space, name: str, names: Sequence[str]) -> tuple[int, ...]:
    """The param itself and those that exist or not by its value, by number: in its branches, or under a condition that names it."""
    below = {one for one, domain, given in space.domains() if name == one or name in given or name in _named(space, domain)}
    return tuple(number for number, one in enumerate(names) if one in below)


def _named(space: Space, domain: Domain) -> set[str]:
    return {name for key in (domain.when.conditions if domain.when else ()) for name, _, _ in space.places(key)}


def _cells(name: str, domain: Domain, given: Mapping[str, Any]) -> ParamCells:
    if isinstance(domain, Choice):
        values: Sequence[Any] = sorted(domain.choices) if is_ordered(domain) else domain.choices
        span = 1.0 if not is_ordered(domain) else 1 / max(1, len(values) - 1)
        return ParamCells(name, domain, given, tuple(values), (np.arange(len(values)) - 0.5) * span)
    num = domain.num_values()
    if num is not None and num <= NUM_CELLS:
        values = tuple(domain.values())
        places = np.array([value_place(domain, value) for value in values])
        return ParamCells(name, domain, given, values, np.concatenate([[-0.5], (places[1:] + places[:-1]) / 2]))
    edges = np.arange(NUM_CELLS) / NUM_CELLS
    return ParamCells(name, domain, given, tuple(value_at(domain, edge + 0.5 / NUM_CELLS) for edge in edges), edges)


def value_place(domain: Domain, value: float) -> float:
    """Where a number stands in its range, 0 to 1; in logarithms where that is said."""
    assert not isinstance(domain, Choice)
    low, high, at = (np.log(one) if domain.log else one for one in (domain.low, domain.high, value))
    return float((at - low) / (high - low)) if high > low else 0.0


def value_at(domain: Domain, place: float) -> float:
    """The number at a place of the range."""
    assert not isinstance(domain, Choice)
    low, high = (np.log(one) if domain.log else one for one in (domain.low, domain.high))
    at = low + place * (high - low)
    return float(np.exp(at) if domain.log else at)
