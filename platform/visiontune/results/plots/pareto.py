"""The objective against a cost, with the front: the trials that no other beats in both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from visiontune.results.screens.text import number, recipe_line
from visiontune.results.tables.trial_costs import front_of, measured
from visiontune.results.tables.winner_lines import estimate_of
from visiontune.tuning.ranking.constraints import shown
from visiontune.tuning.ranking.front import front_of_study
from visiontune.tuning.records.records import StudyRecord, TrialRecord

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


def pareto(study: StudyRecord, cost: str | None = None, *, of_study: bool = False) -> Figure:
    """Every complete trial as a point, the front of these two as steps; the study has its costs.

    `of_study`: the front of all its objectives in place of these two, as points, since by one cost it is no line.
    Bars are the 95 % interval on fresh seeds, of those that were trained on them.

    Without a `cost` the first that is an objective, else num_parameters. Raises UserError for a cost that no trial has.
    """
    import plotly.graph_objects as go

    cost = cost or next(iter(study.objective.costs), "num_parameters")
    best = front_of_study(study) if of_study else front_of(study, cost)
    on_front = {trial.number for trial in best}
    others = [trial for trial in measured(study.trials, cost) if trial.number not in on_front]
    figure = go.Figure()
    figure.add_scatter(**_points(others, cost), mode="markers", name="trials", marker={"opacity": 0.5})
    shape: dict[str, Any] = {"mode": "lines+markers", "line": {"shape": "hv"}, "name": "front: no trial is better and cheaper"}
    figure.add_scatter(**_points(best, cost), **({"mode": "markers", "name": "front of all objectives"} if of_study else shape))
    if fresh := _fresh(study, best, cost):
        figure.add_scatter(**fresh, mode="markers", marker={"symbol": "diamond"}, name="on fresh seeds, with 95 % interval")
    metric = study.objective.metric
    figure.update_layout(title=f"{study.name}: {metric} against {cost}", xaxis_title=cost, yaxis_title=metric)
    if _spans_decades(best + others, cost):
        figure.update_xaxes(type="log")
    return figure


def _fresh(study: StudyRecord, trials: list[TrialRecord], cost: str) -> dict[str, Any]:
    """Of those trials that were trained again; nothing where none was."""
    metric, by_number = study.objective.metric, {one.number: one for one in trials}
    found = [
        (by_number[one.number], mean)
        for one in study.candidates
        if one.number in by_number and (mean := estimate_of(one.confirmations, metric)) is not None
    ]
    if not found:
        return {}
    up = [mean.mean if mean.high is None else mean.high for _, mean in found]
    down = [mean.mean if mean.low is None else mean.low for _, mean in found]
    means = [mean.mean for _, mean in found]
    bars = {"array": [a - b for a, b in zip(up, means, strict=True)], "arrayminus": [a - b for a, b in zip(means, down, strict=True)]}
    return {
        "x": [trial.costs[cost] for trial, _ in found],
        "y": means,
        "error_y": {"type": "data", "symmetric": False, **bars},
        "hovertext": [f"trial {trial.number} on {mean.num_seeds} fresh seeds: {mean}" for trial, mean in found],
        "hoverinfo": "text",
    }


def _points(trials: list[TrialRecord], cost: str) -> dict[str, list[object]]:
    return {
        "x": [trial.costs[cost] for trial in trials],
        "y": [trial.value for trial in trials],
        "hovertext": [_said(trial, cost) for trial in trials],
        "hoverinfo": "text",  # type: ignore[dict-item]
    }


def _said(trial: TrialRecord, cost: str) -> str:
    return f"trial {trial.number}: {number(trial.value)}, {cost} {shown(trial.costs[cost])}<br>{recipe_line(trial.recipe)}"


def _spans_decades(trials: list[TrialRecord], cost: str) -> bool:
    low, high = (choose(trial.costs[cost] for trial in trials) for choose in (min, max))
    return low > 0 and high > 10 * low
