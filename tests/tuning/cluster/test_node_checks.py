"""Machines that lack something: what each is asked, on real folders, and which get trials, on tasks that are made up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from visiontune.errors import SearchFailed, UnfitMachine, UserError
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.tuning.cluster import node_check, ray_ask_nodes
from visiontune.tuning.cluster.node_check import Lack, NodeNeeds, lack_of
from visiontune.tuning.cluster.ray_ask_nodes import NodeChecks, needs_of
from visiontune.tuning.cluster.ray_worker import refuse_unfit
from visiontune.tuning.legs.placement import Node, Placement

GONE, OTHER = Lack("folder", "it is not there"), Lack("pictures", "no room")


def test_what_a_machine_may_lack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is not mounted, another one at its place, one that can't be written, other code, no pictures, no weights."""
    monkeypatch.setattr(node_check, "SEEN_S", 0.0)
    folder = StudyFolder(tmp_path)
    with needs_of(folder) as needs:
        assert lack_of(needs) is None and [path.name for path in tmp_path.iterdir()] == [".token"]
        refuse_unfit(needs)
        wrong: dict[str, dict[str, Any]] = {
            "is not there": {"folder": tmp_path / "not_mounted"},
            "another folder there than the driver's": {"token": "another driver's"},
            "is another one than the driver's": {"package": "0" * 64},
            "must have the store": {"store": tmp_path / "none.arrow"},
            "there is no file of weights": {"weights": ("none.safetensors",)},
        }
        for why, given in wrong.items():
            lack = lack_of(replace(needs, **given))
            assert lack is not None and why in lack.why
        with pytest.raises(UnfitMachine, match="is not there"):
            refuse_unfit(replace(needs, folder=tmp_path / "not_mounted"))
    assert list(tmp_path.iterdir()) == []
    read_only = Path("/proc/self")  # where root may not write either
    monkeypatch.setattr(StudyFolder, "token", property(lambda self: tmp_path / "t" if self.path == tmp_path else self.path / "comm"))
    lack = lack_of(NodeNeeds(read_only, (read_only / "comm").read_text(), node_check.package_digest()))
    assert lack is not None and "can't be written" in lack.why


class Tasks:
    """What each machine says; None of `answer` says nothing, and never will."""

    def __init__(self, **lacks: Lack | None) -> None:
        self.lacks, self.started, self.silent, self.cancelled = lacks, list[str](), set[str](), list[str]()

    def start(self, needs: NodeNeeds, node: str) -> str:
        self.started.append(node)
        return f"{node} {len(self.started)}"

    def answers(self, tasks: Any, most_s: float) -> list[tuple[str, Lack | None]]:
        return [(task, self.lacks[node]) for task in [*tasks] for node in [task.split()[0]] if node not in self.silent]

    def cancel(self, task: str) -> None:
        self.cancelled.append(task)


@pytest.fixture
def search(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the checks use of a search, on a clock of its own."""
    made = SimpleNamespace(now_s=0.0, said=[], out=SimpleNamespace(placement=Placement({"cpu": 1.0}, clock=lambda: made.now_s)))
    made.log = lambda kind, text, is_said=False: made.said.append(text) if is_said else None

    def tick() -> float:
        made.now_s += 0.01
        return float(made.now_s)

    monkeypatch.setattr(ray_ask_nodes.time, "monotonic", tick)
    return made


def nodes(*names: str) -> list[Node]:
    return [Node(name, name, 1.0) for name in names]


NEEDS = NodeNeeds(Path("/studies"), "token", "digest")


def test_a_machine_that_lacks_something_gets_no_trials_until_it_has_it(search: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_ask_nodes, "ANSWER_S", 1.0)
    placement, tasks = search.out.placement, Tasks(a=None, b=GONE, c=None)
    placement.see([*nodes("a", "b", "c"), Node("head", "head", 0.0)])
    checks = NodeChecks(search, tasks)
    tasks.silent = {"c"}
    checks.ask(NEEDS)
    assert placement.shunned("leg") == {"b", "c"} and placement.num_slots == 1 and "head" not in tasks.started
    assert search.said == [
        "b gets no trials: it is not there; it is asked again in 30 s",
        "c gets no trials: it has not answered within 60 s; that is waited for",
    ]
    tasks.silent.clear()
    checks.look()  # c was slow, and is there now
    assert placement.shunned("leg") == {"b"} and search.said[-1] == "c can take trials now"
    for pause_s in (30, 60, 120):
        num, search.now_s = tasks.started.count("b"), search.now_s + pause_s - 3
        checks.look()
        assert tasks.started.count("b") == num
        search.now_s += 4
        checks.look()
        checks.look()
        assert tasks.started.count("b") == num + 1
    assert len(search.said) == 3  # the same reason is said once
    tasks.lacks["b"], search.now_s = None, search.now_s + 1000
    checks.look()
    checks.look()
    assert not placement.shunned("leg") and placement.num_slots == 3


def test_one_that_joins_waits_for_its_answer(search: Any) -> None:
    """Also where it is the only one left: a leg waits for no machine that is not known to be sound, and is taken back once it is."""
    placement, tasks = search.out.placement, Tasks(a=None, b=None)
    placement.see(nodes("a"))
    checks = NodeChecks(search, tasks)
    checks.ask(NEEDS)
    placement.see(nodes("b"))
    checks.look()
    assert (waits := placement.shunned("leg")) == {"b"} and not placement.is_stranded(waits)
    checks.look()
    assert placement.is_stranded(waits) and not placement.shunned("leg")


def test_machines_that_copy_their_pictures_for_an_hour_are_waited_for_and_that_is_said(
    search: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = Tasks(a=None)
    tasks.silent = {"a"}
    search.out.placement.see(nodes("a"))
    is_told = list[bool]()

    def answers(given: Any, most_s: float) -> list[tuple[str, Lack | None]]:
        search.now_s += 20
        is_told.append(bool(search.said))
        return [(task, None) for task in given if search.now_s > 3600]

    monkeypatch.setattr(tasks, "answers", answers)
    NodeChecks(search, tasks).ask(NEEDS)
    assert tasks.started == ["a"] and not search.out.placement.barred
    assert is_told.index(True) < 10 and search.said[-1] == "a can take trials now"


def test_a_machine_that_never_answers_is_not_left_with_a_task_when_it_is_asked_for_more(
    search: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_ask_nodes, "ANSWER_S", 1.0)
    tasks = Tasks(a=None, b=None)
    tasks.silent = {"b"}
    search.out.placement.see(nodes("a", "b"))
    checks = NodeChecks(search, tasks)
    for _ in range(2):
        checks.ask(NEEDS)
        search.now_s += 40
    assert tasks.started == ["a", "b"] * 2 and tasks.cancelled == ["b 2"]


def test_where_all_lack_something_the_search_ends_at_once(search: Any) -> None:
    search.out.placement.see(nodes("a", "b"))
    with pytest.raises(UserError, match=r"studies_dir: no machine .* a: it is not there; b: it is not there\. It must be a folder that"):
        NodeChecks(search, Tasks(a=GONE, b=GONE)).ask(NEEDS)
    with pytest.raises(SearchFailed, match=r"no machine .* a: it is not there; b: no room; once that is mended"):
        NodeChecks(search, Tasks(a=GONE, b=OTHER)).ask(NEEDS)
    search.out.placement.see([])
    NodeChecks(search, Tasks()).ask(NEEDS)  # none is up yet
