"""Every benchmark runs, in its smallest form: what the figures were measured with still works."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from result_files import RESULTS, SCRIPTS, problems_of
from search_here import CELL

from common.machine import clean_env

HERE = {"ablate"}
"""Whose searches run in its own process: without Ray, which the others start often enough."""
STARTS_RAY = {"budget", "overhead", "control", "kill", "search", "rectifiers", "before_after"}
RUN = "import runpy\ndel sys.argv[0]\nsys.path.insert(0, sys.argv[0].rpartition('/')[0])\nrunpy.run_path(sys.argv[0], run_name='__main__')"
LIMIT_S = 600  # on a machine that is busy with other things


def marked(script: Path) -> object:
    return pytest.param(script, id=script.stem, marks=pytest.mark.ray if script.stem in STARTS_RAY else pytest.mark.heavy)


@pytest.mark.parametrize("script", [marked(script) for script in SCRIPTS])
def test_a_smoke_run_ends_well_and_leaves_figures(script: Path, tmp_path: Path) -> None:
    kept = {path: path.read_bytes() for path in RESULTS}
    start = ["-c", CELL + RUN] if script.stem in HERE else []
    command = [sys.executable, *start, str(script), "--smoke", "--out", str(tmp_path / "out")]
    done = subprocess.run(command, cwd=tmp_path, env=clean_env(), capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode == 0, done.stdout + done.stderr
    written = sorted((tmp_path / "out").glob("*.json"))
    assert any(path.stem == script.stem or path.stem.startswith(f"{script.stem}_") for path in written)
    assert not [problem for path in written for problem in problems_of(path)]
    assert kept == {path: path.read_bytes() for path in RESULTS}
