"""Learning curves of all trials, with the rungs and how each trial ended."""

from __future__ import annotations

import math

import plotly.graph_objects as go

from visiontune.errors import plural
from visiontune.results.plots.figure_style import GREY, OF_STATE, empty, styled
from visiontune.tuning.records.records import StudyRecord, TrialRecord


def learning_curves(study: StudyRecord) -> go.Figure:
    """The objective by epoch, a line for each trial, coloured by state; the best is thick, dotted lines are rungs."""
    title = f"{study.name}: learning curves of {plural(len(study.trials), 'trial')}"
    if not any(trial.values for trial in study.trials):
        return empty(title, "no trial has a value yet")
    figure = go.Figure()
    for state, colour in OF_STATE.items():
        trials = [trial for trial in study.trials if trial.state == state and trial.values]
        if trials:
            figure.add_trace(_lines(trials, f"{state} ({len(trials)})", {"color": colour, "width": 1}, opacity=0.6))
    if study.best is not None:
        figure.add_trace(_lines([study.best], f"best: trial {study.best.number}", {"color": OF_STATE[study.best.state], "width": 4}))
    for rung in study.rungs:
        figure.add_vline(rung, line={"color": GREY, "dash": "dot", "width": 1}, annotation_text=f"rung {rung}", annotation_position="top")
    return styled(figure, title, xaxis_title="epochs", yaxis_title=study.objective.metric, hovermode="closest")


def _lines(trials: list[TrialRecord], name: str, line: dict[str, object], opacity: float = 1.0) -> go.Scatter:
    """All in one trace, which keeps a page with many trials small: None stands between two."""
    epochs: list[int | None] = []
    values: list[float | None] = []
    words: list[str] = []
    for trial in trials:
        epochs += [*trial.values, None]
        values += [*(value if math.isfinite(value) else None for value in trial.values.values()), None]
        words += [f"trial {trial.number}{f', {trial.reason}' if trial.reason else ''}"] * (len(trial.values) + 1)
    shown = "%{text}<br>epoch %{x}: %{y:.4f}<extra></extra>"
    mode = "lines+markers" if max(len(trial.values) for trial in trials) < 30 else "lines"
    style = {"mode": mode, "marker": {"size": 4}, "line": line, "opacity": opacity}
    return go.Scatter(x=epochs, y=values, text=words, hovertemplate=shown, name=name, connectgaps=False, **style)
