"""The figures of a study by name: `figure_of`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import plotly.graph_objects as go

from visiontune.errors import UserError, nearest
from visiontune.results.plots.budget_plot import budget_by_trial
from visiontune.results.plots.importance_plots import importance_bars, marginal_curves
from visiontune.results.plots.learning_curves import learning_curves
from visiontune.results.plots.params_plots import parallel_coordinates, ranks, slices
from visiontune.tuning.importance.importance import Importance, importance_of
from visiontune.tuning.records.records import StudyRecord

OF_STUDY: Mapping[str, Callable[[StudyRecord], go.Figure]] = MappingProxyType({"curves": learning_curves, "budget": budget_by_trial})
"""What the study alone shows."""

OF_IMPORTANCE: Mapping[str, Callable[[StudyRecord, Importance], go.Figure]] = MappingProxyType(
    {
        "importance": lambda study, found: importance_bars(found),
        "marginals": lambda study, found: marginal_curves(found),
        "parallel": lambda study, found: parallel_coordinates(study, [one.name for one in found.params]),
        "slices": lambda study, found: slices(study, [one.name for one in found.params]),
        "ranks": lambda study, found: ranks(study, [one.name for one in found.params]),
    }
)
"""What begins with the params that matter most."""

ABLATION = "ablation"
"""What is drawn of an ablation, which a study need not have (ablation_plot.py)."""


def figure_of(study: StudyRecord, name: str, found: Importance | None = None) -> go.Figure:
    """A figure by its name; `found` spares it the seconds of computing the importance. The study's plugins must be in use.

    Raises UserError for a name that no figure has.
    """
    if name in OF_STUDY:
        return OF_STUDY[name](study)
    if name not in OF_IMPORTANCE:
        raise UserError(f"no plot is called {name!r}; {nearest(name, [*OF_STUDY, *OF_IMPORTANCE, ABLATION])}")
    return OF_IMPORTANCE[name](study, found or importance_of(study))
