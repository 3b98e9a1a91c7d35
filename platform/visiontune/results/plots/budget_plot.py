"""Where the epochs of a search went."""

from __future__ import annotations

import plotly.graph_objects as go

from visiontune.errors import plural
from visiontune.results.plots.figure_style import OF_STATE, empty, styled
from visiontune.results.screens.text import number
from visiontune.tuning.records.records import StudyRecord


def budget_by_trial(study: StudyRecord) -> go.Figure:
    """The epochs of each trial in the order in which they were begun, coloured by state; the legend has each state's part of all epochs."""
    whole = sum(trial.epoch for trial in study.trials)
    title = f"{study.name}: {plural(whole, 'epoch')} by trial"
    if not whole:
        return empty(title, "no epoch was trained yet")
    figure = go.Figure()
    for state, colour in OF_STATE.items():
        own = [trial for trial in study.trials if trial.state == state]
        if not own:
            continue
        epochs = [trial.epoch for trial in own]
        words = [f"trial {trial.number}: {number(trial.value)}{f', {trial.reason}' if trial.reason else ''}" for trial in own]
        told = f"{state}: {plural(len(own), 'trial')}, {sum(epochs) / whole:.0%} of the epochs"
        bars = {
            "x": [trial.number for trial in own],
            "y": epochs,
            "text": words,
            "textposition": "none",
            "marker_color": colour,
            "width": 0.8,
        }
        figure.add_trace(go.Bar(**bars, name=told, hovertemplate="%{text}<br>%{y} epochs<extra></extra>"))
    legend = {"orientation": "h", "y": -0.2}
    return styled(figure, title, barmode="overlay", xaxis_title="trial", yaxis_title="epochs").update_layout(legend=legend)
