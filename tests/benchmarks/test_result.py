"""How figures are shown and kept."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from pathlib import Path

import pytest

from common import machine
from common.result import RESULTS, Result, arguments, mean_of, median_of, parse, verdict
from common.tables import markdown, number, plain


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3, "3"),
        (12345, "12,345"),
        (312345.6, "312,346"),
        (43.61, "43.6"),
        (4.04, "4.04"),
        (0.0524, "0.052"),
        (0.0001, "0.0001"),
        (0.0, "0.000"),
    ],
)
def test_numbers_have_three_digits_or_so(value: float, text: str) -> None:
    assert number(value) == text


def test_a_spread_is_in_the_cell_of_what_it_belongs_to() -> None:
    rows = {
        "a": {**median_of("wall_s", [1.0, 2.0, 4.0]), **mean_of("gain_in_recall", [0.1, 0.3])},
        "b": {"pictures_per_s": 1e6, "top1": 0.5, "top1_se": 0.01},
    }
    assert markdown(rows, name="who").splitlines() == [
        "| who | wall s | gain in recall | pictures / s | top1 |",
        "| --- | ---: | ---: | ---: | ---: |",
        "| a | 2.00 (1.00 to 4.00) | +0.200 ± 0.141 | | |",
        "| b | | | 1,000,000 | 0.500 ± 0.010 se |",
    ]
    assert plain("who", {"a": {"wall_s": 2.0}}).splitlines() == ["who  wall s", "---  ------", "a      2.00"]


def test_one_value_has_no_spread() -> None:
    assert median_of("x", [2.0]) == {"x": 2.0} and mean_of("x", [2.0]) == {"x": 2.0}


def test_a_missed_target_is_said_as_it_is() -> None:
    target = {"what": "ingest", "value": 0.62, "wanted": 0.8, "is_at_most": False, "unit": "x"}
    assert verdict(target) == "ingest: 0.620x (wanted at least 0.8x: MISSED)"
    assert verdict({**target, "is_at_most": True}).endswith("(wanted at most 0.8x: met)")


def test_a_result_is_kept_with_what_made_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        sys, "argv", [str(machine.ROOT / "benchmarks" / "ingest.py"), "--cifar", str(tmp_path / "train.parquet"), f"--out={tmp_path}"]
    )
    result = Result("ingest", Namespace(smoke=False, out=tmp_path), 5, "rounds")
    result.table("pictures", {"32 px": {"wall_ratio": 0.6}})
    result.target("32 px", 0.6, 0.8)
    result.write()
    kept = json.loads((tmp_path / "ingest.json").read_text())
    assert kept["command"] == f"benchmarks/ingest.py --cifar train.parquet --out={tmp_path.name}"
    assert kept["n"] == 5 and kept["of"] == "rounds" and kept["versions"]["torch"] and "cores" in kept["hardware"]
    assert kept["figures"] == {"pictures": {"32 px": {"wall_ratio": 0.6}}} and kept["targets"][0]["wanted"] == 0.8


@pytest.mark.parametrize(("end", "kept"), [("abc", "abc"), ("abc, changed", "abc (at the end abc, changed)")])
def test_the_commit_is_that_of_the_start(end: str, kept: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commits = iter(["abc", end])
    monkeypatch.setattr(machine, "commit", lambda: next(commits))
    result = Result("ingest", Namespace(smoke=False, out=tmp_path), 1, "rounds")
    result.write()
    assert json.loads((tmp_path / "ingest.json").read_text())["commit"] == kept


def test_what_is_no_finite_number_is_no_figure(tmp_path: Path) -> None:
    result = Result("ingest", Namespace(smoke=False, out=tmp_path), 1, "rounds")
    result.table("pictures", {"32 px": {"wall_ratio": float("nan")}})
    with pytest.raises(ValueError, match="nan"):
        result.write()
    assert not list(tmp_path.iterdir())


def test_figures_of_a_smoke_run_do_not_get_among_the_results(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["ingest.py", "--smoke", "--out", str(RESULTS)])
    with pytest.raises(SystemExit):
        parse(arguments("A benchmark."))
    assert "mean nothing" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["ingest.py", "--smoke"])
    parser = arguments("A benchmark.")
    parser.add_argument("--rounds", type=int, default=5)
    args = parse(parser, rounds=1)
    assert args.rounds == 1 and RESULTS not in Result("ingest", args, 1, "rounds").path.parents
