"""What each factor is worth, with intervals, beside the values on the way from the defaults to the winner."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from visiontune.errors import plural
from visiontune.results.tables.ablation_table import Ablation, Row
from visiontune.results.tables.winner_lines import Estimate
from visiontune.tuning.retraining.ablation import ALONE, CUMULATIVE, DEFAULTS, WITHOUT

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_NAMES = {WITHOUT: "to the winner: what is lost without it", ALONE: "to the defaults: what it brings alone"}


def ablation_figure(ablation: Ablation) -> Figure:
    """Two panels, of gains by factor, and of values one factor after another; the second is empty before that was trained."""
    from plotly.subplots import make_subplots

    figure = make_subplots(cols=2, column_titles=["what each factor is worth", "one after another"], horizontal_spacing=0.2)
    for kind, name in _NAMES.items():
        rows = {row.factor: row.gain for row in ablation.rows if row.kind == kind and row.gain is not None}
        gains = {"x": [gain.mean for gain in rows.values()], "y": list(rows), "error_x": _bars([*rows.values()])}
        figure.add_bar(**gains, name=name, orientation="h", row=1, col=1)
    steps = {_step(row): row.value for row in ablation.rows if row.kind in (DEFAULTS, CUMULATIVE) and row.value is not None}
    if len(steps) > 1:
        values = {"x": [value.mean for value in steps.values()], "y": list(steps), "error_x": _bars([*steps.values()])}
        figure.add_scatter(**values, mode="lines+markers", name="value", row=1, col=2)
    metric = ablation.objective.metric
    figure.update_xaxes(title=f"gain of {metric}, 95 % interval", zeroline=True, row=1, col=1)
    figure.update_xaxes(title=f"{metric} on val, 95 % interval", row=1, col=2)
    figure.update_yaxes(autorange="reversed")
    title = f"{ablation.name}: from the defaults to trial {ablation.winner}, {plural(ablation.num_seeds, 'seed')}"
    return figure.update_layout(title=title, barmode="group", legend={"orientation": "h", "y": -0.2})


def _step(row: Row) -> str:
    return f"+ {row.factor}" if row.factor else "the defaults"


def _bars(estimates: Sequence[Estimate]) -> dict[str, Any]:
    """Either side of the interval, which the metric's own range may cut; none of a single seed."""
    up = [0.0 if one.high is None else one.high - one.mean for one in estimates]
    down = [0.0 if one.low is None else one.mean - one.low for one in estimates]
    return {"type": "data", "symmetric": False, "array": up, "arrayminus": down}
