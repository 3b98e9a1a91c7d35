"""Every benchmark runs, in its smallest form: what the figures were measured with still works."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from result_files import RESULTS, SCRIPTS, problems_of
from search_here import CELL

from common.machine import clean_env

HERE = {"ablate", "before_after", "budget", "rectifiers", "search"}
"""Whose searches, called or as commands, run without Ray, which the others start often enough."""
STARTS_RAY = {"overhead", "control", "kill"}
RUN = """
import runpy
del sys.argv[0]
sys.path.insert(0, sys.argv[0].rpartition("/")[0])
from common import machine
machine.VISIONTUNE = search_here.command(sys.argv.pop(1))
runpy.run_path(sys.argv[0], run_name="__main__")
"""
LIMIT_S = 600  # on a machine that is busy with other things


def marked(script: Path) -> object:
    return pytest.param(script, id=script.stem, marks=pytest.mark.ray if script.stem in STARTS_RAY else pytest.mark.heavy)


@pytest.mark.parametrize("script", [marked(script) for script in SCRIPTS])
def test_a_smoke_run_ends_well_and_leaves_figures(script: Path, tmp_path: Path) -> None:
    kept = {path: path.read_bytes() for path in RESULTS}
    start = ["-c", CELL + RUN, str(script), str(tmp_path)] if script.stem in HERE else [str(script)]
    command = [sys.executable, *start, "--smoke", "--out", str(tmp_path / "out")]
    done = subprocess.run(command, cwd=tmp_path, env=clean_env(), capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode == 0, done.stdout + done.stderr
    written = sorted((tmp_path / "out").glob("*.json"))
    assert any(path.stem == script.stem or path.stem.startswith(f"{script.stem}_") for path in written)
    assert not [problem for path in written for problem in problems_of(path)]
    assert kept == {path: path.read_bytes() for path in RESULTS}
