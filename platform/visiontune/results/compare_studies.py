"""Studies side by side: their winners over seeds, whether they differ by more than chance, what each spent, what differs in the files."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from visiontune.errors import UserError, plural
from visiontune.results.screens.text import aligned, duration, number
from visiontune.results.study import Study
from visiontune.results.tables.winner_lines import Estimate, estimate_of, test_column
from visiontune.spec.complete_recipe import completed as completed_recipe
from visiontune.spec.space.study_spec import Objective, completed
from visiontune.tuning.records.records import test_mean_of
from visiontune.tuning.retraining.winner import winner_of

_MOST_LISTED = 30
ABSENT = "-"
_ORDER = "space.augmentation.order"
"""The keys of the ops once more; it says something new where nothing else of them differs."""


@dataclass(frozen=True)
class WinnerFigures:
    """A study's winner: its objective by fresh seed, and what that says of the mean; its mean test top1 or map; what the search spent.

    `study` is the study's name, or its folder beside another study of that name.
    """

    study: str
    trial: int | None
    search_value: float | None
    values: Mapping[int, float]
    value: Estimate | None
    num_trials: int
    spent: Mapping[str, float]
    test_top1: float | None = None
    test_map: float | None = None


@dataclass(frozen=True)
class WinnerDifference:
    """Of two winners, the objective of the second minus that of the first, with 95 % interval and two-sided p.

    By a paired t test over the seeds that both have, where these are two or more; else by Welch's.
    """

    first: str
    second: str
    difference: float
    interval: tuple[float, float]
    p: float
    test: str

    @property
    def is_significant(self) -> bool:
        """At the 5 % level."""
        return self.p < 0.05


@dataclass(frozen=True)
class Comparison:
    """What `compare` gives; `print` tells it. `differences` are to the first study; `note` is why there are none.

    `files`: by dotted key what differs in the studies' files, a value for each study; `recipes`: the same of the winners' recipes.
    """

    objective: Objective | None
    winners: tuple[WinnerFigures, ...]
    differences: tuple[WinnerDifference, ...]
    note: str
    files: Mapping[str, tuple[Any, ...]]
    recipes: Mapping[str, tuple[Any, ...]]

    def to_dict(self) -> dict[str, Any]:
        """For programs."""
        found = asdict(self)
        found["differences"] = [{**asdict(one), "is_significant": one.is_significant} for one in self.differences]
        return found

    def __str__(self) -> str:
        metric = self.objective.metric if self.objective else "objective"
        test, *figures = test_column([(one.test_top1, one.test_map) for one in self.winners])
        header = (
            "study",
            "winner",
            f"{metric}, mean ± deviation (95 % interval)",
            "seeds",
            "search's value",
            test,
            "trials",
            "spent",
        )
        lines = [*aligned([header, *map(_cells, self.winners, figures)]), "", *map(_said, self.differences)]
        lines += [self.note] if self.note else []
        for what, rows in (("the files differ in", self.files), ("the winners differ in", self.recipes)):
            lines += ["", *self._table(what, rows)] if rows else ["", f"{what} nothing"]
        return "\n".join(lines)

    def _table(self, what: str, rows: Mapping[str, tuple[Any, ...]]) -> Iterator[str]:
        cells = [(key, *(number(value) for value in values)) for key, values in rows.items()]
        yield from aligned([(what, *(one.study for one in self.winners)), *cells[:_MOST_LISTED]])
        if len(cells) > _MOST_LISTED:
            names = " ".join(one.study for one in self.winners)
            yield f"... and {len(cells) - _MOST_LISTED} more, which `visiontune compare {names} --json` has"


def _cells(one: WinnerFigures, test: str) -> tuple[str, ...]:
    spent = f"{plural(round(one.spent.get('epochs', 0)), 'epoch')}, {duration(3600 * one.spent.get('hours', 0.0))}"
    trial = "-" if one.trial is None else f"trial {one.trial}"
    figures = (str(one.value or "-"), str(len(one.values)), number(one.search_value), test)
    return one.study, trial, *figures, str(one.num_trials), spent


def _said(one: WinnerDifference) -> str:
    verdict = "more than chance" if one.is_significant else "no more than chance may do"
    between = f"{one.interval[0]:+.4f} to {one.interval[1]:+.4f}"
    return f"{one.second} - {one.first}: {one.difference:+.4f} ({between}), p = {one.p:.2g} by {one.test}: {verdict}"


def compare_studies(studies: Sequence[Study]) -> Comparison:
    """Two studies or more, the others against the first. Raises UserError for fewer, or one that is named twice."""
    names = [one.name for one in studies]
    if len(names) < 2:
        raise UserError(f"a comparison is of two studies or more, but got {', '.join(names) or 'none'}")
    if twice := next((one.name for place, one in enumerate(studies) if one.path in [other.path for other in studies[:place]]), None):
        raise UserError(f"each study is named once in a comparison, but {twice} is twice")
    called = [str(one.path) if names.count(one.name) > 1 else one.name for one in studies]
    winners, note = tuple(map(_figures, studies, called)), _note(studies)
    objective = studies[0].record.objective if _same_objective(studies) else None
    pairs = [] if note else [(winners[0], one) for one in winners[1:]]
    differences = tuple(one for pair in pairs if (one := difference(*pair)) is not None)
    few = [one.study for one in winners if len(one.values) < 2]
    if not note and few:
        note = f"{', '.join(few)}: confirmed on fewer than two seeds, so that nothing can be said of chance"
    objective = studies[0].record.objective if _same_objective(studies) else None
    return Comparison(objective, winners, differences, note, _files(studies), _recipes(studies))


def _same_objective(studies: Sequence[Study]) -> bool:
    return all(one.record.objective == other.record.objective for one, other in pairwise(studies))


def _note(studies: Sequence[Study]) -> str:
    """Why values can't be compared."""
    if not _same_objective(studies):
        return f"their objectives are {', '.join(one.record.objective.metric for one in studies)}, which don't compare; see their tests"
    digests = {one.record.pictures.get("digest") for one in studies} - {None}
    return "they are of other pictures, or split in another way: their values don't compare" if len(digests) > 1 else ""


def _figures(study: Study, name: str) -> WinnerFigures:
    record, trial = study.record, winner_of(study.record)
    good = [one for one in record.confirmations if not one.failure] if trial is not None else []
    values = {one.seed: one.val_value for one in good}
    return WinnerFigures(
        study=name,
        trial=trial.number if trial is not None else None,
        search_value=trial.value if trial is not None else None,
        values=values,
        value=estimate_of(good, record.objective.metric),
        num_trials=len(record.trials),
        spent=record.spent,
        **(test_mean_of(record.tested) if trial is not None else {}),
    )


def difference(first: WinnerFigures, second: WinnerFigures) -> WinnerDifference | None:
    """The second's objective minus the first's; None where one was confirmed on fewer than two seeds."""
    if min(len(first.values), len(second.values)) < 2:
        return None
    from scipy.stats import ttest_ind, ttest_rel

    common = [seed for seed in first.values if seed in second.values]
    if len(common) > 1:
        test, others, own = (
            f"a paired t test over {len(common)} seeds",
            [first.values[seed] for seed in common],
            [second.values[seed] for seed in common],
        )
        gaps = [one - other for one, other in zip(own, others, strict=True)]
        mean, has_spread = statistics.fmean(gaps), len(set(gaps)) > 1
        found = ttest_rel(own, others) if has_spread else None
    else:
        others, own = list(first.values.values()), list(second.values.values())
        test = f"Welch's t test of {len(others)} and {len(own)} seeds"
        mean, has_spread = statistics.fmean(own) - statistics.fmean(others), len(set(own)) > 1 or len(set(others)) > 1
        found = ttest_ind(own, others, equal_var=False) if has_spread else None
    if found is None:  # no spread at all: any difference is beyond it
        return WinnerDifference(first.study, second.study, mean, (mean, mean), float(mean == 0.0), test)
    low, high = map(float, found.confidence_interval(0.95))
    return WinnerDifference(first.study, second.study, mean, (low, high), float(found.pvalue), test)


def _files(studies: Sequence[Study]) -> dict[str, tuple[Any, ...]]:
    """What differs in the identities; a key that one is too old to have is at its declared default."""
    known = [dict(one.record.identity) for one in studies]
    for other in list(known):
        known = [completed(one, other) for one in known]
    found = _differing(known)
    others = any(key.startswith("space.augmentation.") for key in found if key != _ORDER)
    return {key: values for key, values in found.items() if key != _ORDER or not others}


def _recipes(studies: Sequence[Study]) -> dict[str, tuple[Any, ...]]:
    recipes = [study.recipe(trial.number) if (trial := winner_of(study.record)) is not None else None for study in studies]
    found = _differing([completed_recipe(recipe).flat() if recipe is not None else {} for recipe in recipes])
    return {key: values for key, values in found.items() if key != "training.seed"}


def _differing(known: Sequence[Mapping[str, Any]]) -> dict[str, tuple[Any, ...]]:
    keys = dict.fromkeys(key for one in known for key in one)
    rows = {key: tuple(ABSENT if one.get(key) is None else one[key] for one in known) for key in keys}
    return {key: values for key, values in rows.items() if any(value != values[0] for value in values[1:])}
