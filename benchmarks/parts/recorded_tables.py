"""Tables of learning curves that others recorded: what each row chose, and its curve as 27 points of its own length.

A table is an .npz file: `p_NAME` are params, a row a run; one array of curves (see VALUES), NaN where a run diverged or was not recorded.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from visiontune.spec.domains import Choice, Domain, Float, Suggest
from visiontune.spec.space import Space

NUM_POINTS = 27
MOST_CHOICES = 8
VALUES = (("val_frac27", "val_frac27", 1), ("val_loss", "test_loss", -1), ("val", "val", 1), ("test_accuracies", "test_accuracies", 1))
"""(what steers the search, what is judged, sign): the first that a file has. Where there is no test, val is both."""
SKIPPED = ("p_random_seed", "p_training_dataset", "p_net")


@dataclass(frozen=True)
class Table:
    """`val_NP` and `score_NP` are larger where better; a score is the share of rows that end no better, so that tables compare."""

    name: str
    licence: str
    domains: Mapping[str, Domain]
    unit_ND: np.ndarray
    val_NP: np.ndarray
    score_NP: np.ndarray

    def nearest(self, params: Mapping[str, Any], unused: set[int]) -> int:
        """The row not used yet that is nearest to the params; takes it out of `unused`."""
        at_D = np.concatenate([_unit(domain, [params[name]]) for name, domain in self.domains.items()], axis=1)
        rows = np.fromiter(sorted(unused), int)
        found = int(rows[np.argmin(((self.unit_ND[rows] - at_D) ** 2).sum(1))])
        unused.remove(found)
        return found


@dataclass(frozen=True)
class TableSpace(Space):
    """A space whose params are the table's; what it resolves to is the same for all: only the params count."""

    sections: Mapping[str, Any] = field(default_factory=dict)

    def resolve(self, suggest: Suggest) -> dict[str, dict[str, Any]]:
        for name, domain, _ in self.domains():
            domain.ask(name, suggest)
        return {name: dict(section) for name, section in self.sections.items()}


def load_table(path: Path) -> Table | None:
    """None for a file without curves to search on."""
    with np.load(path, allow_pickle=False) as file:
        kind = next(((val, test, sign) for val, test, sign in VALUES if val in file.files), None)
        meta = json.loads(str(file["meta"]))
        params = {name[2:]: file[name] for name in file.files if name.startswith("p_") and name not in SKIPPED}
        params = {name: column for name, column in params.items() if not _is_missing(column) and len(np.unique(column)) > 1}
        if kind is None or not params or "global_step" in file.files:  # runs of many optimizers, seed by seed: a table of noise
            return None
        val_NP, test_NP = (kind[2] * file[name].astype(float) for name in kind[:2])
    if kind[0] != "val_frac27":
        val_NP, test_NP = (_resampled(curves, meta.get("first_epoch") != "acc_1") for curves in (val_NP, test_NP))
    domains = {name: _domain(column) for name, column in params.items()}
    unit_ND = np.concatenate([_unit(domain, params[name].tolist()) for name, domain in domains.items()], axis=1)
    finals = np.sort(test_NP[:, -1][np.isfinite(test_NP[:, -1])])
    score_NP = np.where(np.isfinite(test_NP), np.searchsorted(finals, test_NP, side="right") / len(finals), np.nan)
    return Table(path.stem, str(meta.get("licence", "")), domains, unit_ND, val_NP, score_NP)


def _is_missing(column: np.ndarray) -> bool:
    return column.dtype.kind == "f" and not np.isfinite(column).all()


def _resampled(curves_NE: np.ndarray, has_start: bool) -> np.ndarray:
    """Points at k / 27 of each row's own length; NaN from a divergence on."""
    curves_NE = curves_NE[:, 1:] if has_start else curves_NE
    length_N = np.array([max(np.flatnonzero(np.isfinite(row)), default=0) + 1 for row in curves_NE])
    length_N = np.where(length_N < curves_NE.shape[1] // 4, curves_NE.shape[1], length_N)  # one that breaks off early diverged
    at_NP = np.ceil(np.arange(1, NUM_POINTS + 1) / NUM_POINTS * length_N[:, None]).astype(int) - 1
    return np.take_along_axis(curves_NE, at_NP, axis=1)


def _domain(column: np.ndarray) -> Domain:
    values = sorted(set(column.tolist()))
    if column.dtype.kind != "f" or len(values) <= MOST_CHOICES:
        return Choice(tuple(values))
    return Float(values[0], values[-1], log=values[0] > 0 and values[-1] >= 100 * values[0])


def _unit(domain: Domain, values: list[Any]) -> np.ndarray:
    """Numbers in [0, 1] by their place in the domain, ordered choices of numbers too; other choices as one of K, at distance 1."""
    if isinstance(domain, Float):
        scale = np.log if domain.log else np.asarray
        low, high = scale(domain.low), scale(domain.high)
        return ((scale(np.array(values, float)) - low) / (high - low))[:, None]
    choices = list(domain.values())
    at_N = np.array([choices.index(value) for value in values])
    if isinstance(choices[0], float):
        return (at_N / (len(choices) - 1))[:, None]
    return np.eye(len(choices))[at_N] / np.sqrt(2)
