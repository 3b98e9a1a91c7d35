"""What all figures share: colours that the colour-blind tell apart, and a layout that is read on light and on dark pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import plotly.graph_objects as go

GREY = "#7a7a7a"
"""4.3 to 1 on white and 4.9 to 1 on black: WCAG asks 3 to 1 of large text and lines."""

GRID = "rgba(128, 128, 128, 0.25)"

BLUE, ORANGE, GREEN, PURPLE, SKY, RED = "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00"
"""Okabe and Ito 2008, without the yellow, which is lost on white."""

OF_STATE: Mapping[str, str] = MappingProxyType({"complete": GREEN, "pruned": BLUE, "failed": RED, "running": ORANGE, "waiting": SKY})

SCALE = "Viridis"

MAX_PANELS = 12
"""Of a figure with a panel for each param."""


def styled(figure: go.Figure, title: str, *, height: int = 450, **layout: Any) -> go.Figure:
    """The figure with title and colours; the page's own background shows through."""
    figure.update_layout(
        title={"text": title, "font": {"size": 16}},
        height=height,
        paper_bgcolor="rgba(0, 0, 0, 0)",
        plot_bgcolor="rgba(0, 0, 0, 0)",
        font={"color": GREY},
        legend={"bgcolor": "rgba(0, 0, 0, 0)"},
        margin={"t": 70, "r": 20},
        **layout,
    )
    figure.update_xaxes(gridcolor=GRID, zeroline=False, linecolor=GREY)
    figure.update_yaxes(gridcolor=GRID, zeroline=False, linecolor=GREY)
    return figure


def empty(title: str, why: str) -> go.Figure:
    """A figure that says why there is nothing to see."""
    figure = go.Figure()
    figure.add_annotation(text=why, showarrow=False, xref="paper", yref="paper", x=0.5, y=0.5)
    return styled(figure, title, height=200, xaxis={"visible": False}, yaxis={"visible": False})


def faint(colour: str, opacity: float = 0.2) -> str:
    """A colour of six hex digits with the page showing through."""
    return f"rgba({int(colour[1:3], 16)}, {int(colour[3:5], 16)}, {int(colour[5:7], 16)}, {opacity})"


def of_rung(rungs: Sequence[int]) -> dict[int, str]:
    """A colour for each rung: the full budget's is the strongest."""
    shades = [SKY, PURPLE, ORANGE, RED, GREEN]
    return {rung: BLUE if rung == rungs[-1] else shades[place % len(shades)] for place, rung in enumerate(rungs)}
