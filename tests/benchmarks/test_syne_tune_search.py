"""Syne Tune as a peer, without it: a script that answers at random in its place, and its modules in the script that has them."""

from __future__ import annotations

import json
import math
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import tables
from parts import syne_tune_search
from parts.peer_searches import WORST
from parts.rehearsed_tables import Case, Progress
from parts.syne_tune_search import OtherProcess, SyneTuneSearch
from peers.syne_tune_searches import answers
from visiontune.errors import UserError
from visiontune.spec.declarations.domains import Choice, Float, Int
from visiontune.spec.space.space import Space
from visiontune.tuning.rehearse_search import Begun, Point, drive

SPACE = Space(
    {
        "kind": Choice(("a", None), {"a": {"depth": Int(1, 8, log=True), "size": Choice((2, 2.5))}}),
        "lr": Float(1e-4, 1.0, log=True),
        "width": Int(4, 6),
        "dropout": Float(0.0, 0.5),
    }
)
FAKE = """
import json, pathlib, random, sys

random.seed(0)
draw = {"choice": random.choice, "randint": random.randint, "lograndint": random.randint}
draw |= {"uniform": random.uniform, "loguniform": random.uniform}
with pathlib.Path(__file__).with_suffix(".log").open("w") as log:
    for line in sys.stdin:
        print(line, end="", file=log, flush=True)
        request = json.loads(line)
        if request["ask"] == "begin":
            domains, num_left, answer = request["domains"], 40, {}
        elif request["ask"] == "suggest":
            num_left -= 1
            answer = {"params": {name: draw[kind](*given) for name, (kind, *given) in domains.items()} if num_left >= 0 else None}
        elif request["ask"] == "report":
            answer = {"goes_on": request["epoch"] < 27 and random.random() < 0.5}
        else:
            sys.exit(3)
        print(json.dumps(answer), flush=True)
"""


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[OtherProcess]:
    """A process that answers at random."""
    (tmp_path / "fake.py").write_text(FAKE)
    process = OtherProcess(Path(sys.executable), tmp_path / "fake.py")
    yield process
    process.close()


def asked(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "fake.log").read_text().splitlines()]


def test_the_space_is_told_flat_and_params_come_back_by_branch(fake: OtherProcess, tmp_path: Path) -> None:
    search = SyneTuneSearch(fake, "ASHA", SPACE, 27, 5, [{"kind": None, "lr": 0.1, "width": 4, "dropout": 0.2}])
    legs = [search.next_leg() for _ in range(41)]
    assert legs.pop() is None
    drawn = [leg.params for leg in legs if leg is not None]
    assert len(drawn) == 40 and {frozenset(params) for params in drawn} == {frozenset(SPACE_OF[kind]) for kind in SPACE_OF}
    assert all(set(params) == SPACE_OF[params["kind"]] for params in drawn)
    assert {repr(params.get("a.size")) for params in drawn} == {"2", "2.5", "None"}
    begin = asked(tmp_path)[0]
    assert begin["domains"] == {
        "kind": ["choice", ["0", "1"]],
        "a.depth": ["lograndint", 1, 8],
        "a.size": ["choice", ["0", "1"]],
        "lr": ["loguniform", 1e-4, 1.0],
        "width": ["randint", 4, 6],
        "dropout": ["uniform", 0.0, 0.5],
    }
    # What a recipe lacks since its branch does is the middle or the first of its domain.
    assert begin["start"] == [{"kind": "1", "a.depth": 2, "a.size": "0", "lr": 0.1, "width": 4, "dropout": 0.2}]
    assert (begin["scheduler"], begin["seed"], begin["max_epochs"]) == ("ASHA", 5, 27)


SPACE_OF = {None: {"kind", "lr", "width", "dropout"}, "a": {"kind", "a.depth", "a.size", "lr", "width", "dropout"}}


def test_a_table_is_searched_as_the_peer_says(fake: OtherProcess, tmp_path: Path) -> None:
    table = tables.table_of(tables.made_tables(tmp_path) / "made_1.npz")
    case = Case(table, 0, 30)
    progress = Progress(case.table, 50)
    drive(SyneTuneSearch(fake, "ASHA", table.space, 27, 0), progress, 4)
    epochs: dict[int, list[int]] = {}
    for request in asked(tmp_path):
        if request["ask"] == "report":
            assert request["value"] == table.val_NP[progress.rows[request["trial"]], request["epoch"] - 1]
            epochs.setdefault(request["trial"], []).append(request["epoch"])
    assert all(of_trial == list(range(1, len(of_trial) + 1)) for of_trial in epochs.values())
    assert len(set(map(len, epochs.values()))) > 1 and progress.is_over


def test_a_divergence_is_a_bad_value(fake: OtherProcess, tmp_path: Path) -> None:
    search = SyneTuneSearch(fake, "ASHA", SPACE, 27, 0)
    search.report(Begun("0", 0, {}), 1, Point(math.nan))
    assert asked(tmp_path)[-1]["value"] == WORST


def test_what_cannot_answer_is_said(fake: OtherProcess, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match="ended with exit code 3 when it was asked to nothing"):
        fake.ask("nothing")
    with pytest.raises(UserError, match="runs no Python: No such file"):
        OtherProcess(tmp_path / "python")
    with pytest.raises(UserError, match=r"step=0\.1"):
        SyneTuneSearch(fake, "ASHA", Space({"x": Float(0.0, 1.0, step=0.1)}), 27, 0)
    absent = str(tmp_path / "python")
    for python, what in ((absent, "runs no Python"), ("/bin/false", "ended with exit code 1"), (sys.executable, "lacks syne_tune")):
        with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
            patch.setattr(sys, "argv", ["tables.py", "--smoke", "--syne-tune", python])
            tables.main()
        assert ended.value.code == 2 and f"error: --syne-tune: {python} {what}" in capfd.readouterr().err


def test_a_scheduler_is_called_as_syne_tunes_tuner_calls_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """tuner.py of 0.16: on_trial_add after suggest, on_trial_remove, not on_trial_complete, for whom on_trial_result stops."""
    calls: list[Any] = []

    class Scheduler:
        def __init__(self, space: Any, **how: Any) -> None:
            calls.append((space, how))

        def suggest(self) -> Any:
            calls.append("suggest")
            return type("Suggestion", (), {"config": {"x": 0.5}})

        def on_trial_result(self, trial: Any, result: dict[str, Any]) -> str:
            return "STOP" if result["value"] < 0 else "CONTINUE"

        def __getattr__(self, name: str) -> Any:
            return lambda trial: calls.append((name, trial))

    names = ("", ".config_space", ".optimizer", ".optimizer.baselines", ".backend", ".backend.trial_status")
    modules: dict[str, Any] = {f"syne_tune{name}": ModuleType(f"syne_tune{name}") for name in names}
    modules["syne_tune"].config_space = modules["syne_tune.config_space"]
    modules["syne_tune.config_space"].uniform = lambda *ends: ("uniform", *ends)
    modules["syne_tune.optimizer"].baselines = modules["syne_tune.optimizer.baselines"]
    modules["syne_tune.optimizer.baselines"].ASHA = Scheduler
    modules["syne_tune.backend.trial_status"].Trial = lambda number, config, _: number
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    answer = answers()
    begin = {"scheduler": "ASHA", "domains": {"x": ["uniform", 0, 1]}, "seed": 7, "max_epochs": 27, "start": []}
    assert answer({"ask": "begin", **begin}) == {}
    assert [answer({"ask": "suggest"}) for _ in range(2)] == [{"params": {"x": 0.5}}] * 2
    assert answer({"ask": "report", "trial": 0, "epoch": 1, "value": 1.0}) == {"goes_on": True}
    assert answer({"ask": "report", "trial": 1, "epoch": 1, "value": -1.0}) == {"goes_on": False}
    how = {"metric": "value", "time_attr": "epoch", "max_t": 27, "do_minimize": False, "random_seed": 7, "points_to_evaluate": None}
    added = [("suggest"), ("on_trial_add", 0), ("suggest"), ("on_trial_add", 1)]
    assert calls == [({"x": ("uniform", 0, 1)}, how), *added, ("on_trial_remove", 1)]


def test_one_that_does_not_end_with_its_input_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syne_tune_search, "END_S", 0.1, raising=False)
    (tmp_path / "deaf.py").write_text("import time\nwhile True: time.sleep(1)")
    process = OtherProcess(Path(sys.executable), tmp_path / "deaf.py")
    process.close()
    assert process._process.returncode == -signal.SIGKILL
