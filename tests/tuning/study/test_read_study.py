"""Studies read back: what counts as a rung depends on the trial scheduler."""

from __future__ import annotations

from pathlib import Path

import pytest
from simulated_search import drive, make_spec

from visiontune.filesystem.study_folder import StudyFolder
from visiontune.results.tables.leaderboard import rung_lines
from visiontune.tuning.study.read_study import read_study


@pytest.mark.parametrize(("scheduler", "num_full"), [("none", 4), ("median", 4)])
def test_the_full_budget_is_max_epochs_where_no_rung_leads_there(tmp_path: Path, scheduler: str, num_full: int) -> None:
    """From 2 epochs times 3^k no rung is 9: the line counted trials that reached 6."""
    folder = tmp_path / "study"
    spec = make_spec(folder, 4, scheduler=scheduler, overrides=["budget.min_epochs=2", "space.optimizer.lr=0.01"])
    drive(spec, folder)
    record = read_study(StudyFolder(folder))
    assert record.rungs == (9,) and rung_lines(record) == [f"full budget of 9 epochs: {num_full} reached it"]


def test_asha_has_its_rungs(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    drive(make_spec(folder, 4), folder)
    assert read_study(StudyFolder(folder)).rungs == (1, 3, 9)
