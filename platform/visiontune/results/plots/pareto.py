"""The objective against a cost, with the front: the trials that no other beats in both."""

from __future__ import annotations

from typing import TYPE_CHECKING

from visiontune.results.text import number, recipe_line
from visiontune.results.trial_costs import front_of, measured
from visiontune.tuning.constraints import shown
from visiontune.tuning.records import StudyRecord, TrialRecord

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


def pareto(study: StudyRecord, cost: str | None = None) -> Figure:
    """Every complete trial as a point, the front of these two as steps; the study has its costs.

    Without a `cost` the first that is an objective, else num_parameters. Raises UserError for a cost that no trial has.
    """
    import plotly.graph_objects as go

    cost = cost or next(iter(study.objective.costs), "num_parameters")
    best = front_of(study, cost)
    on_front = {trial.number for trial in best}
    others = [trial for trial in measured(study.trials, cost) if trial.number not in on_front]
    figure = go.Figure()
    figure.add_scatter(**_points(others, cost), mode="markers", name="trials", marker={"opacity": 0.5})
    figure.add_scatter(**_points(best, cost), mode="lines+markers", line={"shape": "hv"}, name="front: no trial is better and cheaper")
    metric = study.objective.metric
    figure.update_layout(title=f"{study.name}: {metric} against {cost}", xaxis_title=cost, yaxis_title=metric)
    if _spans_decades(best + others, cost):
        figure.update_xaxes(type="log")
    return figure


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
