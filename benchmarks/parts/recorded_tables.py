"""Tables of recorded learning curves: what each row chose, and its curve as 27 points of its own length.

A table is an .npz file: `p_NAME` are params, a row a run; arrays of curves (see VALUES), NaN where a run diverged or was not recorded;
`meta` is JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np

from visiontune.spec.declarations.domains import Choice, Domain, FixedParams, Float, Int, Suggest
from visiontune.spec.parse import load_study
from visiontune.spec.space.space import Space
from visiontune.tuning.importance.param_places import ParamPlaces
from visiontune.tuning.proposals.portfolio import greedy_portfolio, normalised_ranks

NUM_POINTS = 27
MOST_CHOICES = 8
VALUES = (
    ("val_frac27", "val_frac27", 1),
    ("val_loss", "test_loss", -1),
    ("val", "test", 1),
    ("val", "val", 1),
    ("test_accuracies", "test_accuracies", 1),
)
"""(what steers the search, what is judged, sign): the first that a file has. Where there is no test, val is both."""
SECONDS = ("cost_s_frac27", "cost_s")
"""Since the start of a run; the first that a file has."""
OWN = "visiontune_space"
"""Where `meta` has the space of a study that visiontune recorded itself (record_tables.py), as a file would say it."""
ANY_STUDY: Mapping[str, Any] = {
    "study": "table",
    "data": {"source": "digits"},
    "budget": {"num_trials": 100_000, "max_epochs": NUM_POINTS},
    "confirm": {"num_seeds": 0},
    "space": {"model": {"name": "lenet5"}, "optimizer": {"name": "sgd", "lr": 0.1}},
}
"""What a table's rows were made of is not this package's, so their recipes are any."""
SKIPPED = ("p_random_seed", "p_training_dataset", "p_net")


@dataclass(frozen=True)
class Table:
    """`val_NP` and `score_NP` are larger where better; a score is the share of rows that end no better, so that tables compare.

    `cost_N` is what a point of each row takes, 1 on average: `is_timed` by seconds that were measured, else all alike.
    """

    name: str
    licence: str
    space: Space
    params: Sequence[Mapping[str, Any]]
    val_NP: np.ndarray
    score_NP: np.ndarray
    cost_N: np.ndarray
    is_timed: bool

    @cached_property
    def places(self) -> ParamPlaces:
        return ParamPlaces(self.space)

    @cached_property
    def places_ND(self) -> np.ndarray:
        return self.places.places(self.params)

    def nearest(self, params: Mapping[str, Any], unused: Sequence[int]) -> int:
        """The row of `unused` that is nearest to the params."""
        return self.places.nearest(self.places_ND, self.places.place(params), unused)

    def has_recipes_of(self, other: Table) -> bool:
        """Whether the rows of both are the same recipes of the same space."""
        is_same_space = list(self.space.domains()) == list(other.space.domains())
        return is_same_space and np.array_equal(self.places_ND, other.places_ND, equal_nan=True)


def start_recipes(table: Table, others: Sequence[Table], size: int) -> list[Mapping[str, Any]]:
    """Up to `size` recipes that do best together on the other tables with the same recipes, by their final validation values."""
    sources = [other for other in others if other.name != table.name and table.has_recipes_of(other)]
    if not sources:
        return []
    return [table.params[row] for row in greedy_portfolio(normalised_ranks(np.array([one.val_NP[:, -1] for one in sources])), size)]


def groups_of(tables: Sequence[Table]) -> dict[str, list[Table]]:
    """Tables that hold the same recipes as another one, by the words with which the names of all of a group begin."""
    groups: list[list[Table]] = []
    for table in tables:
        group = next((group for group in groups if group[0].has_recipes_of(table)), None)
        if group is None:
            groups.append(group := [])
        group.append(table)
    return {_shared_words([table.name for table in group]) or group[0].name: group for group in groups if len(group) > 1}


def _shared_words(names: Sequence[str]) -> str:
    """With which all begin.

    >>> _shared_words(["text_1_lstm", "text_10_lstm"])
    'text'
    """
    at_once = zip(*(name.split("_") for name in names), strict=False)
    return "_".join(words[0] for words in takewhile(lambda words: len(set(words)) == 1, at_once))


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
        kind = next(((val, test, sign) for val, test, sign in VALUES if val in file.files and test in file.files), None)
        meta = json.loads(str(file["meta"]))
        columns = {name[2:]: file[name] for name in file.files if name.startswith("p_") and name not in SKIPPED}
        if OWN not in meta:
            columns = {name: column for name, column in columns.items() if not _is_missing(column) and len(np.unique(column)) > 1}
        if kind is None or not columns or "global_step" in file.files:  # runs of many optimizers, seed by seed: a table of noise
            return None
        val_NP, test_NP = (kind[2] * file[name].astype(float) for name in kind[:2])
        seconds_NE = next((file[name].astype(float) for name in SECONDS if name in file.files), None)
    if kind[0] != "val_frac27":
        how = {"has_start": meta.get("first_epoch") != "acc_1", "has_one_length": OWN in meta}
        val_NP, test_NP = (_resampled(curves, **how) for curves in (val_NP, test_NP))
    finals = np.sort(test_NP[:, -1][np.isfinite(test_NP[:, -1])])
    score_NP = np.where(np.isfinite(test_NP), np.searchsorted(finals, test_NP, side="right") / len(finals), np.nan)
    space = _space_of(meta, columns)
    params = _params(space, columns)
    cost_N = np.ones(len(val_NP)) if seconds_NE is None else _costs(seconds_NE)
    return Table(path.stem, str(meta.get("licence", "")), space, params, val_NP, score_NP, cost_N, seconds_NE is not None)


def _space_of(meta: Mapping[str, Any], columns: Mapping[str, np.ndarray]) -> Space:
    """What the table says, or the range of each column."""
    if OWN in meta:
        return load_study({**ANY_STUDY, "space": meta[OWN]}).space
    sections = load_study(ANY_STUDY).space.resolve(FixedParams({}))
    return TableSpace({name: _domain(column) for name, column in columns.items()}, sections=sections)


def _params(space: Space, columns: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """By row, without those of other branches, which are NaN or empty; a column's floats are what the domain has."""
    domains = {name: domain for name, domain, _ in space.domains()}
    rows = zip(*(columns[name].tolist() for name in domains), strict=True)
    return [{name: _of(domains[name], value) for name, value in zip(domains, row, strict=True) if value == value != ""} for row in rows]


def _of(domain: Domain, value: Any) -> Any:
    if isinstance(domain, Choice):
        return domain.choices[domain.choices.index(value)]
    return int(value) if isinstance(domain, Int) else value


def _costs(seconds_NE: np.ndarray) -> np.ndarray:
    """Of a point of each row, its own mean, 1 on average over the rows that have any; `seconds_NE` adds up from the start."""
    last_N = np.array([max(np.flatnonzero(np.isfinite(row)), default=-1) for row in seconds_NE])
    total_N = np.take_along_axis(seconds_NE, np.maximum(last_N, 0)[:, None], axis=1)[:, 0]
    each_N = np.where(last_N < 0, np.nan, total_N / (last_N + 1))
    return np.nan_to_num(each_N / np.nanmean(each_N), nan=1.0)


def _is_missing(column: np.ndarray) -> bool:
    return column.dtype.kind == "f" and not np.isfinite(column).all()


def _resampled(curves_NE: np.ndarray, *, has_start: bool, has_one_length: bool) -> np.ndarray:
    """Points at k / 27 of each row's own length; NaN from a divergence on."""
    curves_NE = curves_NE[:, 1:] if has_start else curves_NE
    length_N = np.array([max(np.flatnonzero(np.isfinite(row)), default=0) + 1 for row in curves_NE])
    did_diverge_N = has_one_length | (length_N < curves_NE.shape[1] // 4)  # one that breaks off early
    length_N = np.where(did_diverge_N, curves_NE.shape[1], length_N)
    at_NP = np.ceil(np.arange(1, NUM_POINTS + 1) / NUM_POINTS * length_N[:, None]).astype(int) - 1
    return np.take_along_axis(curves_NE, at_NP, axis=1)


def _domain(column: np.ndarray) -> Domain:
    values = sorted(set(column.tolist()))
    if column.dtype.kind != "f" or len(values) <= MOST_CHOICES:
        return Choice(tuple(values))
    return Float(values[0], values[-1], log=values[0] > 0 and values[-1] >= 100 * values[0])
