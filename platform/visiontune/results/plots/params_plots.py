"""Trials by their params: parallel coordinates, slices, ranks."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from visiontune.errors import plural
from visiontune.results.plots.figure_style import MAX_PANELS, SCALE, empty, of_rung, styled
from visiontune.results.screens.text import number, told_apart
from visiontune.results.tables.leaderboard import differing, short_names
from visiontune.spec.declarations.domains import Choice
from visiontune.tuning.importance.importance import space_of
from visiontune.tuning.importance.param_cells import ParamCells, SpaceCells, value_at
from visiontune.tuning.importance.param_places import is_ordered
from visiontune.tuning.proposals.compared_values import compared_values
from visiontune.tuning.ranking.ranking import is_usable, ranked
from visiontune.tuning.records.records import StudyRecord, TrialRecord

NOTHING = "no trial has a value yet"

NUM_RANKED = 4
"""Params that are set against each other."""

_ABSENT = "absent"


def parallel_coordinates(study: StudyRecord, params: Sequence[str] = (), among: Collection[int] | None = None) -> go.Figure:
    """A line for each trial through the params that vary, coloured by its value at one epoch, of shorter trials estimated.

    `params` first, and no more than fit. `among`: numbers of the trials that are drawn, by default of all.
    The study's plugins must be in use, as for all functions here.
    """
    compared = compared_values(study)
    values, title = compared.of, f"{study.name}: params and {study.objective.metric} at epoch {compared.epoch}"
    trials = [trial for trial in study.trials if trial.number in values and (among is None or trial.number in among)]
    shown = _panels(study, trials, params)
    if not trials or not shown:
        return empty(title, NOTHING)
    names = short_names([param.name for param in shown])
    found = [values[trial.number] for trial in trials]
    axes = [_axis(param, names[param.name], trials) for param in shown]
    axes.append({"label": study.objective.metric, "values": found})
    low, high = _scale(found, study)
    line = {
        "color": found,
        "colorscale": SCALE,
        "cmin": low,
        "cmax": high,
        "showscale": True,
        "colorbar": {"title": study.objective.metric},
    }
    figure = go.Figure(go.Parcoords(line=line, dimensions=axes, labelangle=-20, labelside="bottom"))
    return styled(figure, title, height=520).update_layout(margin={"l": 90, "b": 80})


def _scale(values: Sequence[float], study: StudyRecord) -> tuple[float, float]:
    """Ends of the colours, without the worst tenth: a few lost trials would leave one colour to all others."""
    worst = 0.1 if study.objective.mode == "max" else 0.9
    inner = float(np.quantile(values, worst))
    return (inner, max(values)) if study.objective.mode == "max" else (min(values), inner)


def _axis(param: ParamCells, name: str, trials: Sequence[TrialRecord]) -> dict[str, Any]:
    """Of one param, all from 0 to 1; a trial without it goes through a place of its own, below."""
    places = [param.place(trial.params[param.name]) if param.name in trial.params else math.nan for trial in trials]
    ticks = dict(zip(*_ticks(param), strict=True))
    if any(map(math.isnan, places)):
        ticks[-0.15] = _ABSENT
    shown = [-0.15 if math.isnan(place) else place for place in places]
    return {"label": name, "values": shown, "tickvals": [*ticks], "ticktext": [*ticks.values()], "range": [min(ticks), 1.0]}


def _ticks(param: ParamCells) -> tuple[list[float], list[str]]:
    if isinstance(param.domain, Choice) or (param.domain.num_values() or math.inf) <= param.num:
        return [param.place(value) for value in param.middles], told_apart(param.middles)
    places = [0.0, 0.25, 0.5, 0.75, 1.0]
    return places, told_apart([value_at(param.domain, place) for place in places])


def slices(study: StudyRecord, params: Sequence[str] = ()) -> go.Figure:
    """The last value of each trial against each param, by the rung that it reached; `params` first, all that vary where none is given."""
    title = f"{study.name}: {study.objective.metric} against each param, by epochs trained"
    trials = [trial for trial in study.trials if is_usable(trial)]
    shown = _panels(study, trials, params)
    if not shown:
        return empty(title, NOTHING)
    names = short_names([param.name for param in shown])
    figure = panels([names[param.name] for param in shown], study.objective.metric)
    for rung, colour in of_rung(study.rungs).items():
        below = max((other for other in study.rungs if other < rung), default=0)
        own = [trial for trial in trials if below < trial.epoch <= rung]
        for place, param in enumerate(shown):
            having = [trial for trial in own if param.name in trial.params]
            words = [f"trial {trial.number}, epoch {trial.epoch}, {trial.state}" for trial in having]
            xs, marker = [axis_value(param, trial.params[param.name]) for trial in having], {"color": colour, "size": 6, "opacity": 0.8}
            style = {"mode": "markers", "marker": marker, "legendgroup": str(rung), "showlegend": place == 0}
            hover = "%{text}<br>%{x}: %{y:.4f}<extra></extra>"
            point = go.Scatter(x=xs, y=[t.value for t in having], text=words, hovertemplate=hover, name=f"epoch {rung}", **style)
            figure.add_trace(point, *panel(place))
    for place, param in enumerate(shown):
        set_axis(figure, param, place)
    return styled(figure, title, height=panels_height(len(shown)))


def ranks(study: StudyRecord, params: Sequence[str] = ()) -> go.Figure:
    """Pairs of a few params, every trial coloured by its place in the study's one ranking; `params` first, those that vary where none."""
    title = f"{study.name}: which pairs of values rank high"
    trials = [trial for trial in ranked(study.trials, study.objective) if is_usable(trial)]
    shown = _panels(study, trials, params)[:NUM_RANKED]
    if len(shown) < 2:
        return empty(title, "fewer than two params vary" if trials else NOTHING)
    names = short_names([param.name for param in shown])
    columns = [[param.place(t.params[param.name]) if param.name in t.params else None for t in trials] for param in shown]
    dimensions = [{"label": names[param.name], "values": column} for param, column in zip(shown, columns, strict=True)]
    words = [
        f"number {place}: trial {trial.number}, {number(trial.value)} after {plural(trial.epoch, 'epoch')}"
        for place, trial in enumerate(trials, 1)
    ]
    marker = {"color": [*range(1, len(trials) + 1)], "colorscale": SCALE, "reversescale": True, "showscale": True, "size": 6}
    marker["colorbar"] = {"title": "rank"}
    figure = go.Figure(
        go.Splom(dimensions=dimensions, marker=marker, text=words, hovertemplate="%{text}<extra></extra>", diagonal_visible=False)
    )
    styled(figure, title, height=650)
    for place, param in enumerate(shown, 1):
        places, words = _ticks(param)
        ticks = {"tickvals": places, "ticktext": words}
        figure.update_layout({f"xaxis{place}": ticks, f"yaxis{place}": ticks})
    return figure


def _panels(study: StudyRecord, trials: Sequence[TrialRecord], wanted: Sequence[str]) -> list[ParamCells]:
    """Params that vary among the trials, `wanted` first."""
    names = differing(trials)
    order = [*(name for name in wanted if name in names), *(name for name in names if name not in wanted)]
    found = {param.name: param for param in SpaceCells(space_of(study)).params}
    return [found[name] for name in order[:MAX_PANELS] if name in found]


def panels(names: Sequence[str], metric: str, **more: Any) -> go.Figure:
    """A figure with a panel for each name, three in a row."""
    rows, columns = panel(len(names) - 1)[0], min(3, len(names))
    figure = make_subplots(rows, columns, subplot_titles=names, shared_yaxes=True, vertical_spacing=0.28 / rows, **more)
    figure.update_yaxes(title_text=metric, col=1)
    return figure


def panel(place: int) -> tuple[int, int]:
    """Row and column, from 1."""
    return place // 3 + 1, place % 3 + 1


def panels_height(num: int) -> int:
    """Pixels."""
    return 150 + 230 * panel(num - 1)[0]


def axis_value(param: ParamCells, value: Any) -> Any:
    """A number as it is, anything else, and numbers to choose among, as words."""
    return told_apart(param.middles)[param.middles.index(value)] if isinstance(param.domain, Choice) else value


def set_axis(figure: go.Figure, param: ParamCells, place: int) -> None:
    """The x axis of one panel: logarithmic where the param is searched so, choices in order."""
    row, column = panel(place)
    if isinstance(param.domain, Choice):
        figure.update_xaxes(type="category", categoryorder="array", categoryarray=told_apart(param.middles), row=row, col=column)
    elif param.domain.log and is_ordered(param.domain):
        figure.update_xaxes(type="log", row=row, col=column)
