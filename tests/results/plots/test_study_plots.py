"""Figures against the study that they show: every trial is there, rungs and states are told, and pages of either colour can be read."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from sample_study import RECORD
from simulated_search import drive, make_spec

from visiontune.errors import UserError
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.results.plots.budget_plot import budget_by_trial
from visiontune.results.plots.figure_style import OF_STATE
from visiontune.results.plots.figure_table import OF_IMPORTANCE, OF_STUDY, figure_of
from visiontune.results.plots.importance_plots import marginal_curves
from visiontune.results.plots.learning_curves import learning_curves
from visiontune.results.study import Study
from visiontune.spec.declarations.domains import Choice, Domain, Float, Int
from visiontune.tuning.importance.importance import CurvePoint, Importance, ParamImportance, importance_of
from visiontune.tuning.importance.param_cells import _cells
from visiontune.tuning.study.read_study import read_study


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("studies") / "study"
    drive(make_spec(folder, 12), folder)
    return Study(StudyFolder(folder), read_study(StudyFolder(folder)))


def test_curves_have_every_value_of_every_state_and_the_rungs() -> None:
    figure = learning_curves(RECORD)
    by_state = {state: trace for trace in figure.data for state in OF_STATE if trace.name.startswith(f"{state} (")}
    assert set(by_state) == {"complete", "pruned", "failed"}
    for state, trace in by_state.items():
        own = [trial for trial in RECORD.trials if trial.state == state]
        shown = [(x, y) for x, y in zip(trace.x, trace.y, strict=True) if y is not None and not math.isnan(y)]
        assert shown == [(epoch, value) for trial in own for epoch, value in trial.values.items() if math.isfinite(value)]
        assert trace.line.color == OF_STATE[state]
    assert [line.x0 for line in figure.layout.shapes] == [*RECORD.rungs]
    assert figure.data[-1].name == "best: trial 2"


def test_the_budget_is_all_epochs() -> None:
    figure = budget_by_trial(RECORD)
    assert sum(sum(trace.y) for trace in figure.data) == sum(trial.epoch for trial in RECORD.trials) == 24
    assert "complete: 2 trials, 75% of the epochs" in [trace.name for trace in figure.data]


@pytest.mark.heavy
def test_every_figure_is_drawn_and_says_what_it_is(study: Study) -> None:
    found = importance_of(study.record)
    for name in (*OF_STUDY, *OF_IMPORTANCE):
        figure = figure_of(study.record, name, found)
        layout = figure.layout
        assert layout.title.text.startswith("study: ") and figure.data, name
        assert layout.paper_bgcolor == layout.plot_bgcolor == "rgba(0, 0, 0, 0)"
        assert len(figure.to_json()) < 200_000
    lines = figure_of(study.record, "parallel", found).data[0]
    axis = next(one for one in lines.dimensions if one.label == "depth")
    absent = [place == min(axis.tickvals) for place in axis["values"]]
    values = [trial for trial in study.record.trials if trial.state != "failed"]
    assert absent == ["model.cnn.depth" not in trial.params for trial in values] and "absent" in axis.ticktext
    bars = figure_of(study.record, "importance", found).data
    assert sorted(share for trace in bars for share in trace.x) == sorted(one.share for one in found.params)


@pytest.mark.parametrize(
    ("domain", "words"),
    [
        (Float(0.99, 0.9999), ["0.991", "0.992", "0.993", "0.994", "0.996", "0.997", "0.998", "0.999"]),
        (Int(64, 72), ["64.5", "65.5", "66.5", "67.5", "68.5", "69.5", "70.5", "71.5"]),
        (Int(64, 512, log=True), ["73", "95", "120", "160", "210", "270", "350", "450"]),
        (Choice((0.99991, 0.99993, "auto")), ["0.99991", "0.99993", "auto"]),
    ],
)
def test_pieces_of_a_narrow_range_are_points_of_their_own(domain: Domain, words: list[str]) -> None:
    """Middles of eighths by hand. Rounded to two digits several were one category, and the curve went back and forth on it."""
    cells = _cells("optimizer.beta2", domain, {})
    curve = tuple(CurvePoint(value, place / 10, place / 10, place / 10, 3) for place, value in enumerate(cells.middles))
    param = ParamImportance("optimizer.beta2", {}, 24, 0.5, 0.4, 0.6, 0.6, 0.7, "matters", curve)
    figure = marginal_curves(Importance("study", "val_top1", "max", 9, 24, 0.9, (param,), ()))
    assert [*next(trace for trace in figure.data if trace.name == "mean").x] == words


def test_nothing_to_show_is_said(study: Study) -> None:
    nothing = replace(study.record, trials=(), best=None)
    for name in (*OF_STUDY, *OF_IMPORTANCE):
        figure = figure_of(nothing, name)
        assert not figure.data and len(figure.layout.annotations) == 1


def test_a_wrong_name_has_its_nearest(study: Study) -> None:
    with pytest.raises(UserError, match=r"no plot is called 'curve'; nearest is 'curves'; choices: curves, budget"):
        study.plot("curve")
    with pytest.raises(UserError, match="no plot is called 'ablations'; nearest is 'ablation'; choices: curves, budget"):
        study.plot("ablations")
