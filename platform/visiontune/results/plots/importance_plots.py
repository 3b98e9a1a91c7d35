"""What mattered: bars of the params' shares, and the marginal curve of each."""

from __future__ import annotations

from collections.abc import Iterator

import plotly.graph_objects as go

from visiontune.errors import plural
from visiontune.results.plots.figure_style import BLUE, GREY, MAX_PANELS, SKY, empty, faint, styled
from visiontune.results.plots.params_plots import panel, panels, panels_height
from visiontune.results.screens.text import told_apart
from visiontune.results.tables.importance_table import given
from visiontune.results.tables.leaderboard import short_names
from visiontune.tuning.importance.importance import Importance, ParamImportance

COLOURS = {"matters": BLUE, "not known yet": SKY, "does not matter": GREY}

NOTHING = "too few trials have a value"


def importance_bars(found: Importance) -> go.Figure:
    """A bar for each param, its share of the variance where it exists with the 90 % interval, coloured by what is known of it."""
    title = f"{found.study}: what {found.metric} at epoch {found.epoch} depends on"
    if not found.params:
        return empty(title, NOTHING)
    names = short_names([one.name for one in found.params])
    figure = go.Figure()
    for verdict, colour in COLOURS.items():
        own = [one for one in found.params if one.verdict == verdict]
        spread = {
            "type": "data",
            "symmetric": False,
            "array": [max(0.0, one.high - one.share) for one in own],
            "arrayminus": [max(0.0, one.share - one.low) for one in own],
            "color": GREY,
        }
        words = [f"{one.name}{f' under {given(one)}' if one.given else ''}: {plural(one.num_trials, 'trial')}" for one in own]
        bars = {"x": [one.share for one in own], "y": [names[one.name] for one in own], "text": words, "textposition": "none"}
        hover = "%{text}<br>share %{x:.0%}<extra></extra>"
        figure.add_trace(go.Bar(**bars, orientation="h", name=verdict, marker_color=colour, error_x=spread, hovertemplate=hover))
    order = [names[one.name] for one in found.params]
    figure.update_yaxes(categoryorder="array", categoryarray=order[::-1])
    figure.update_xaxes(tickformat=".0%", range=[0, min(1.0, 1.05 * max(one.high for one in found.params))])
    return styled(figure, title, height=160 + 24 * len(order), xaxis_title="share of the variance, 90 % interval", yaxis_title="param")


def marginal_curves(found: Importance) -> go.Figure:
    """For each param, largest share first, the mean objective over all else, its 90 % interval, and where trials were."""
    title = f"{found.study}: {found.metric} at epoch {found.epoch} by each param, over all else"
    shown = found.params[:MAX_PANELS]
    if not shown:
        return empty(title, NOTHING)
    names = short_names([one.name for one in shown])
    rows, columns = panel(len(shown) - 1)[0], min(3, len(shown))
    density = [[{"secondary_y": True}] * columns for _ in range(rows)]
    figure = panels([names[one.name] for one in shown], found.metric, specs=density)
    for place, one in enumerate(shown):
        row, column = panel(place)
        for trace in _marginal(one, is_first=place == 0):
            figure.add_trace(trace, row=row, col=column, secondary_y=isinstance(trace, go.Bar))
        figure.update_xaxes(type="category", tickangle=0, tickvals=_ticks(one), row=row, col=column)
        most = max(point.num_trials for point in one.curve) or 1
        figure.update_yaxes(range=[0, 6 * most], matches=None, visible=False, row=row, col=column, secondary_y=True)
    ends = [end for one in shown for point in one.curve for end in (point.low, point.high) if end is not None]
    span = max(ends) - min(ends) or 1.0
    room = [min(ends) - 0.3 * span, max(ends) + 0.05 * span]  # for the bars below
    figure.update_yaxes(range=room, secondary_y=False)
    return styled(figure, title, height=panels_height(len(shown)))


def _marginal(one: ParamImportance, *, is_first: bool) -> Iterator[go.Scatter | go.Bar]:
    """Pieces of a range stand side by side as choices do: they are equally wide where it is searched."""
    points = [point for point in one.curve if point.mean is not None]
    xs = told_apart([point.value for point in points])
    band = {"x": xs + xs[::-1], "y": [point.high for point in points] + [point.low for point in points][::-1], "fill": "toself"}
    quiet = {"showlegend": is_first, "hoverinfo": "skip", "mode": "lines", "line": {"width": 0}, "fillcolor": faint(BLUE, 0.3)}
    yield go.Scatter(**band, **quiet, name="90 % interval", legendgroup="band")
    line = {"mode": "lines+markers", "line": {"color": BLUE}, "name": "mean", "legendgroup": "mean", "showlegend": is_first}
    yield go.Scatter(x=xs, y=[point.mean for point in points], **line)
    bars = {"name": "trials", "legendgroup": "trials", "showlegend": is_first, "marker": {"color": faint(GREY, 0.5), "line": {"width": 0}}}
    yield go.Bar(x=xs, y=[point.num_trials for point in points], **bars)


def _ticks(one: ParamImportance) -> list[str]:
    """All values of a few, of many the first, the middle and the last."""
    words = told_apart([point.value for point in one.curve if point.mean is not None])
    return words if len(words) <= 4 else [words[0], words[len(words) // 2], words[-1]]
