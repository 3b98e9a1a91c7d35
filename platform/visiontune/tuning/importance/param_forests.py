"""Forests of regression trees over a study's params, and shares of their variance over the whole space (functional ANOVA).

A forest's predictions at points drawn uniformly from the space are averaged in cells of a param's domain: the variance of these means is
the param's share (Hutter et al. 2014, https://proceedings.mlr.press/v32/hutter14.html). Optuna's fANOVA integrates each tree exactly, but
takes a range for uniform where it is searched in logarithms, and knows neither params of a branch nor pairs. Drawing from the space
does: a param of a branch is averaged over the points that take the branch.

B resamples, N trials, K points of the space, P params, C columns.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from visiontune.spec.space.space import Space
from visiontune.tuning.importance.param_cells import SpaceCells
from visiontune.tuning.proposals.sobol import UnitParams

NUM_POINTS = 1024
"""Of the space, a power of two; the share that 8 cells of random points would have, about 0.007, is taken off."""

NUM_RESAMPLES = 32
"""Bootstraps of the trials: their spread is how far other trials of the same search could have told otherwise."""

NUM_TREES = 8
"""For each resample."""

NUM_SWAPPED = 256
"""Points at which a param is swapped for another point's."""


@dataclass(frozen=True)
class Forests:
    """What forests on resamples of the trials say.

    `fit` is the share of the values' variance that they predict of trials which they have not seen, at most 1 and below 0 where a mean
    would do better. `totals_BP` are shares with all interactions (total Sobol indices). `gains_P` is how much worse unseen trials are
    predicted with another trial's value of a param, in standard errors over the trials (Watson and Wright 2021).
    """

    cells: SpaceCells
    predicted_BK: np.ndarray
    cells_KP: np.ndarray
    shares_BP: np.ndarray
    totals_BP: np.ndarray
    gains_P: np.ndarray
    fit: float

    def means(self, param: int) -> np.ndarray:
        """Mean prediction in each cell of a param, (B, cells); NaN where no point of the space is."""
        cells_K, num = self.cells_KP[:, param], self.cells.params[param].num
        has_K = cells_K >= 0
        sums = np.stack([np.bincount(cells_K[has_K], row_K[has_K], num) for row_K in self.predicted_BK])
        with np.errstate(invalid="ignore"):
            return np.asarray(sums / np.bincount(cells_K[has_K], minlength=num))

    def joint_shares(self, first: int, second: int) -> np.ndarray:
        """What two params explain together beyond what each does, (B,), where both exist; of many cells some are taken together."""
        one_K, num_one = _coarse(self.cells_KP[:, first], self.cells.params[first].num)
        two_K, num_two = _coarse(self.cells_KP[:, second], self.cells.params[second].num)
        has_K = (one_K >= 0) & (two_K >= 0)
        parts = ((one_K, num_one), (two_K, num_two), (one_K * num_two + two_K, num_one * num_two))
        rows = [row_K[has_K] for row_K in self.predicted_BK]
        alone_B, beside_B, pair_B = (np.array([share(row, cells_K[has_K], num) for row in rows]) for cells_K, num in parts)
        return np.asarray(pair_B - alone_B - beside_B)


def make_forests(space: Space, params: Sequence[Mapping[str, Any]], values: Sequence[float], seed: int = 0) -> Forests:
    """Forests of N trials' values. Raises ValueError for a choice that the space does not have."""
    from sklearn.ensemble import RandomForestRegressor

    cells, rng = SpaceCells(space), np.random.default_rng(seed)
    points_KP = cells.places(_points(space, NUM_POINTS))
    columns_KC, cells_KP = cells.columns(points_KP), cells.cells(points_KP)
    places_NP, values_N = cells.places(params), np.array(values, float)
    columns_NC, unseen = cells.columns(places_NP), _Unseen(cells, places_NP, values_N, rng)
    swapped = _Swapped.of(cells, points_KP[:NUM_SWAPPED], rng)
    predicted, shares, totals = [], [], []
    for _ in range(NUM_RESAMPLES):
        rows = rng.integers(0, len(values_N), len(values_N))
        forest = RandomForestRegressor(NUM_TREES, random_state=int(rng.integers(2**31))).fit(columns_NC[rows], values_N[rows])
        predicted_K = forest.predict(columns_KC)
        predicted.append(predicted_K)
        shares.append([share(predicted_K, cells_KP[:, number], param.num) for number, param in enumerate(cells.params)])
        totals.append(_totals(predicted_K, forest.predict(swapped.columns), swapped))
        unseen.add(forest, rows)
    return Forests(cells, np.stack(predicted), cells_KP, np.array(shares), np.array(totals), unseen.gains(), unseen.fit)


def _points(space: Space, num: int) -> Iterator[dict[str, Any]]:
    """The first `num` of a Sobol sequence: random points would make a param's curve out of what they happen to have of the others."""
    from scipy.stats.qmc import Sobol

    names = [name for name, _, _ in space.domains()]
    for unit in Sobol(max(1, len(names)), scramble=True, seed=0).random(num):
        yield space.params(UnitParams(dict(zip(names, map(float, unit), strict=False))))


@dataclass(frozen=True)
class _Swapped:
    """All params' swaps in one table, so that a forest is asked once: param and row of each line of `columns`."""

    param: np.ndarray
    row: np.ndarray
    columns: np.ndarray
    num_params: int

    @classmethod
    def of(cls, cells: SpaceCells, places: np.ndarray, rng: np.random.Generator) -> _Swapped:
        found = [cells.swapped(places, number, rng) for number in range(len(cells.params))]
        param = np.repeat(np.arange(len(found)), [len(rows) for rows, _ in found])
        return cls(param, np.concatenate([rows for rows, _ in found]), cells.columns(np.concatenate([one for _, one in found])), len(found))

    def sums(self, amounts: np.ndarray, lines: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Of so much for each line, by param."""
        return np.asarray(np.bincount(self.param[lines], amounts, self.num_params))


def _totals(predicted_K: np.ndarray, other: np.ndarray, swapped: _Swapped) -> np.ndarray:
    """Jansen's estimator of the total Sobol index, of each param among the points that have it."""
    before = predicted_K[swapped.row]
    num_P = np.maximum(1, swapped.sums(np.ones(len(before))))
    mean_P = swapped.sums(before) / num_P
    spread_P = swapped.sums((before - mean_P[swapped.param]) ** 2) / num_P
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.nan_to_num(swapped.sums((before - other) ** 2) / num_P / 2 / spread_P, nan=0.0, posinf=0.0))


class _Unseen:
    """Predictions of trials by the forests that have not seen them, as they are and with each param swapped."""

    def __init__(self, cells: SpaceCells, places_NP: np.ndarray, values_N: np.ndarray, rng: np.random.Generator) -> None:
        self._values_N, self._columns_NC = values_N, cells.columns(places_NP)
        self._swapped = _Swapped.of(cells, places_NP, rng)
        self._sums_N, self._counts_N = np.zeros(len(values_N)), np.zeros(len(values_N))
        self._other = np.zeros(len(self._swapped.row))

    def add(self, forest: Any, seen: np.ndarray) -> None:
        unseen_N = np.ones(len(self._values_N), bool)
        unseen_N[seen] = False
        lines = unseen_N[self._swapped.row]
        if not lines.any():
            return
        self._sums_N[unseen_N] += forest.predict(self._columns_NC[unseen_N])
        self._counts_N[unseen_N] += 1
        self._other[lines] += forest.predict(self._swapped.columns[lines])

    @property
    def _squares_N(self) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            return np.asarray((self._values_N - self._sums_N / self._counts_N) ** 2)

    @property
    def fit(self) -> float:
        has_N = self._counts_N > 0
        spread = float(self._values_N[has_N].var()) if has_N.any() else 0.0
        return 1.0 - float(self._squares_N[has_N].mean()) / spread if spread > 0 else 0.0

    def gains(self) -> np.ndarray:
        found, row = [], self._swapped.row
        with np.errstate(invalid="ignore"):
            worse = (self._values_N[row] - self._other / self._counts_N[row]) ** 2 - self._squares_N[row]
        for number in range(self._swapped.num_params):
            of_trial = worse[(self._swapped.param == number) & (self._counts_N[row] > 0)]
            error = float(of_trial.std(ddof=1)) / math.sqrt(len(of_trial)) if len(of_trial) > 1 else 0.0
            found.append(float(of_trial.mean()) / error if error > 0 else 0.0)
        return np.array(found)


def share(predicted_K: np.ndarray, cells_K: np.ndarray, num_cells: int) -> float:
    """The share of variance between cells, 0 to 1, less what as many random cells would have; 0 where there is none."""
    values, cells = predicted_K[cells_K >= 0], cells_K[cells_K >= 0]
    if not len(values):
        return 0.0
    counts, centred = np.bincount(cells, minlength=num_cells), values - values.mean()
    num_used, whole = int((counts > 0).sum()), float((centred**2).sum())
    if num_used < 2 or len(values) <= num_used or whole <= 1e-12 * max(1.0, float((values**2).sum())):
        return 0.0
    sums = np.bincount(cells, centred, num_cells)[counts > 0]
    between = float((sums**2 / counts[counts > 0]).sum())
    return max(0.0, (between - (num_used - 1) * (whole - between) / (len(values) - num_used)) / whole)


def _coarse(cells_K: np.ndarray, num: int) -> tuple[np.ndarray, int]:
    by = -(-num // 5)
    return np.where(cells_K < 0, -1, cells_K // by), -(-num // by)
