"""Who won and by how much, as text and for programs: means with intervals, probabilities, the winner's curse, meetings with the test."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from visiontune.errors import plural
from visiontune.inference.intervals import mean_interval
from visiontune.results.screens.text import aligned, number
from visiontune.tuning.ranking.constraints import shown
from visiontune.tuning.records.records import Candidate, Confirmation, StudyRecord
from visiontune.tuning.study.read_confirmations import WITH_VAL


@dataclass(frozen=True)
class Estimate:
    """Of a value over seeds; `deviation` is the sample's, `low` to `high` the 95 % interval of the mean by the t distribution.

    These are None for a single seed. The interval of an accuracy ends at 0 and 1, that of a loss at 0.
    """

    mean: float
    num_seeds: int
    deviation: float | None = None
    low: float | None = None
    high: float | None = None

    @staticmethod
    def of(values: Sequence[float], metric: str = "") -> Estimate | None:
        """None of no values; `metric` is what they are values of, where it is no difference of such."""
        if not values:
            return None
        mean, interval = statistics.fmean(values), mean_interval(values, metric)
        return Estimate(mean, 1) if interval is None else Estimate(mean, len(values), statistics.stdev(values), *interval)

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return number(self.mean)
        return f"{number(self.mean)} ± {number(self.deviation)} ({number(self.low)} to {number(self.high)})"


def estimate_of(confirmations: Sequence[Confirmation], metric: str) -> Estimate | None:
    """Of the objective on the validation split; None where every training failed."""
    return Estimate.of([one.val_value for one in confirmations if not one.failure], metric)


def test_column(figures: Sequence[tuple[float | None, float | None]]) -> list[str]:
    """Header and cells of winners' tests, each by (top1, map), of which it has one or none; where both occur a cell says which."""
    found = [next(((name, one) for name, one in zip(("top1", "map"), pair, strict=True) if one is not None), None) for pair in figures]
    names = {one[0] for one in found if one is not None} or {"top1"}
    if len(names) == 1:
        return [f"test {names.pop()}", *(number(one and one[1]) for one in found)]
    return ["test", *("-" if one is None else f"{one[0]} {number(one[1])}" for one in found)]


def curse_of(candidate: Candidate) -> float | None:
    """The search's value minus the mean of the fresh seeds; None where every training failed."""
    found = estimate_of(candidate.confirmations, "")
    return None if found is None else candidate.search_value - found.mean


def race_lines(study: StudyRecord) -> list[str]:
    """A line for each recipe that was trained again; what became of the winner's weights; nothing before the race is over."""
    winner, metric = study.winner, study.objective.metric
    if winner is None:
        return []
    costs = study.objective.costs
    rows = [["trial", "search", "seeds", f"{metric}, mean ± deviation (95 % interval)", "search - mean", *(costs or ("best with",))]]
    for one in study.candidates:
        found, curse = estimate_of(one.confirmations, metric), curse_of(one)
        chance = "-" if one.probability is None or len(study.candidates) == 1 else f"{one.probability:.0%}"
        curse_text = "-" if curse is None else f"{round(curse, 4) + 0.0:+.4f}"
        known = study.trial(one.number).costs
        last = [shown(known[name]) if name in known else "-" for name in costs] or [chance]
        rows.append(
            [str(one.number), number(one.search_value), str(found.num_seeds if found else 0), str(found or "failed"), curse_text, *last]
        )
    num, num_recipes = sum(len(one.confirmations) for one in study.candidates), len(study.candidates)
    recipes = (
        "the best recipe"
        if num_recipes == 1
        else f"{plural(num_recipes, 'recipe')} of the front"
        if costs
        else f"the best {num_recipes} recipes"
    )
    has_won = f"is the best in {metric}" if costs else "has won"
    return [
        f"{recipes} trained again in full on fresh seeds, {plural(num, 'time')}; trial {winner.number} {has_won}",
        *aligned(rows),
        *_missing(study),
        *kept_lines(study),
    ]


def _missing(study: StudyRecord) -> list[str]:
    confirm, num = study.ending.confirm if study.ending is not None else {}, len(study.candidates)
    top, lines = int(confirm.get("top", 0)), list[str]()
    if num < top:
        those = f"recipe{'s were' if num > 1 else ' was'} trained in full by the search"
        if study.objective.costs:
            those = f"recipe{'s are' if num > 1 else ' is'} on the front"
        lines.append(f"confirm.top is {top}, but only {num} {those}")
    if confirm.get("use_val") and study.with_val is None:
        lines.append(
            f"confirm.use_val is true, but the budget had no room for it: `visiontune confirm {study.name}` trains on train and val"
        )
    return lines


def kept_lines(study: StudyRecord) -> list[str]:
    """What became of the winner's weights, and how often the test split was met."""
    lines = []
    if study.with_val is not None:
        one = study.with_val
        name, tested = one.test_figure
        what = f"test {name} {number(tested)}, test loss {number(one.test_loss)}" if one.is_tested else one.failure or "not tested yet"
        lines.append(f"trained once more on train and val together, so without a figure on val: {what}")
    if study.averaged is not None:
        one = study.averaged
        is_kept = "kept" if study.kept not in ("", WITH_VAL) and not study.kept.isdigit() else "not kept"
        value = one.failure or f"{study.objective.metric} {number(one.val_value)}"
        lines.append(f"the mean of the seeds' weights, {is_kept}: {value}")
    if study.num_tests:
        lines.append(
            f"the test split was met {('once', 'twice')[study.num_tests - 1] if study.num_tests < 3 else f'{study.num_tests} times'}"
        )
    return lines


def race_json(study: StudyRecord) -> dict[str, Any]:
    """The same for programs."""
    candidates = []
    for one in study.candidates:
        found = estimate_of(one.confirmations, study.objective.metric)
        row = {"trial": one.number, "search_value": one.search_value, "probability": one.probability, "winners_curse": curse_of(one)}
        candidates.append({**row, "value": found and asdict(found), "confirmations": [asdict(c) for c in one.confirmations]})
    made = {key: one and asdict(one) for key, one in (("with_val", study.with_val), ("averaged", study.averaged))}
    number_of = None if study.winner is None else study.winner.number
    return {"winner": number_of, "candidates": candidates, **made, "weights_kept": study.kept, "num_tests": study.num_tests}
