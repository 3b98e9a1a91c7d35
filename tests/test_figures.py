"""The figures that are told are those that were measured: docs/figures.md and README's table against benchmarks/results."""

from __future__ import annotations

import ast
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from places import ROOT
from result_files import RESULTS, SCRIPTS, problems_of

MAKE = ROOT / "docs" / "make_figures.py"


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return runpy.run_path(str(MAKE))


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_a_result_has_what_a_figure_needs(path: Path) -> None:
    assert problems_of(path) == []


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_script_says_how_it_is_run_and_has_a_smoke_run(script: Path) -> None:
    text = script.read_text()
    assert f"    .venv/bin/python benchmarks/{script.name}" in text.partition('"""\n\nfrom')[0]
    called = {node.func.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert {"arguments", "parse", "Result"} <= called, "the arguments of common/result.py have --smoke"


def test_every_result_is_on_the_page_and_the_page_is_as_the_results_say() -> None:
    done = subprocess.run([sys.executable, str(MAKE), "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_changed_figure_shows_on_both_pages(made: dict[str, Any]) -> None:
    results = made["read_results"]()
    page, readme = made["page"](made["TEMPLATE"].read_text(), results), made["readme"](made["README"].read_text(), results)
    results["overhead"]["figures"]["entrants"]["visiontune"]["wall_s"] = 98765
    assert "98,765" in made["page"](made["TEMPLATE"].read_text(), results) and "98,765" not in page
    assert "98,765" in made["readme"](made["README"].read_text(), results) and "98,765" not in readme


def test_a_result_without_a_place_and_a_place_without_a_result_are_errors(made: dict[str, Any]) -> None:
    results, template = made["read_results"](), made["TEMPLATE"].read_text()
    with pytest.raises(ValueError, match="newcomer"):
        made["page"](template, {**results, "newcomer": results["ingest"]})
    with pytest.raises(ValueError, match="ingest"):
        made["page"](template, {name: one for name, one in results.items() if name != "ingest"})


def test_a_missed_target_is_on_the_page_as_it_is(made: dict[str, Any]) -> None:
    results = made["read_results"]()
    results["ingest"]["targets"] = [{"what": "32 px", "value": 0.1, "wanted": 0.8, "is_at_most": False, "unit": "x"}]
    assert "- 32 px: 0.100x (wanted at least 0.8x: MISSED)" in made["page"](made["TEMPLATE"].read_text(), results)
