"""Legs whose worker freezes or hangs, or whose checkpoint is damaged, without Ray: what is said, kept, and trained again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from places import HELPERS
from simulated_search import drive, make_spec
from simulated_search import report as simulated
from tiny import make_recipe, make_store

from visiontune.errors import Preempted, UnfitMachine
from visiontune.filesystem.checkpoint_files import Attempt, states_in
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.spec.declarations.hang_limit import limit_s
from visiontune.training.heartbeat import HEARTBEAT
from visiontune.tuning.legs.run_leg import run_leg
from visiontune.tuning.legs.silent_workers import SilentWorkers, take_stacks
from visiontune.tuning.records.leg import Leg, Report
from visiontune.tuning.study.event_log import read_events
from visiontune.tuning.study.trial_history import read_history

TRAIN = """
import ctypes, sys, torch
from pathlib import Path
from simulated_search import drive, make_spec
from simulated_search import report as simulated
from tiny import make_recipe, make_store
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.training.heartbeat import HEARTBEAT
from visiontune.training.step import Stepper
from visiontune.tuning.records.leg import Leg
from visiontune.tuning.legs.run_leg import run_leg

torch.set_num_threads(1)
hang_s, step, said = float(sys.argv[2]), Stepper.step, []

def hang(self, x_NCHW, y_N, lr, number, num):
    if hang_s < 60 and said:  # in the second epoch
        ctypes.PyDLL(None).sleep(1000)  # and nobody else gets Python's lock
    return step(self, x_NCHW, y_N, lr, number, num)

Stepper.step = hang
leg = run_leg(Leg("00000", 0, make_recipe(num_epochs=8), 0), make_store(), StudyFolder(Path(sys.argv[1])), "cpu")
try:
    while True:
        with HEARTBEAT.watched(hang_s):
            said.append(next(leg).epoch)
        print(said[-1], flush=True)
        input()
except Exception as error:
    print(error, flush=True)
"""


def training(folder: Path, hang_s: float) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HELPERS), *sys.path])}
    command = [sys.executable, "-c", TRAIN, str(folder), str(hang_s)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def reports(path: Path, num_epochs: int = 8, **leg: object) -> Iterator[Report]:
    whole = Leg("00000", 0, make_recipe(num_epochs=num_epochs), **{"known_epochs": 0, **leg})  # type: ignore[arg-type]
    return run_leg(whole, make_store(), StudyFolder(path), "cpu")


def losses(found: Iterator[Report]) -> dict[int, float]:
    return {report.epoch: report.metrics["val_loss"] for report in found}


@pytest.mark.heavy
def test_a_worker_that_was_frozen_touches_nothing_of_the_one_that_went_on(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "study").checkpoint(0)
    every = losses(reports(tmp_path / "whole"))
    with training(tmp_path / "study", 1e4) as frozen:
        assert frozen.stdin is not None and frozen.stdout is not None
        for epoch in (1, 2, 3):
            assert frozen.stdout.readline() == f"{epoch}\n"
            if epoch < 3:
                frozen.stdin.write("\n")
                frozen.stdin.flush()
        frozen.send_signal(signal.SIGSTOP)
        later = reports(tmp_path / "study", known_epochs=3, has_checkpoint=True)
        known = {report.epoch: report.metrics["val_loss"] for report in (next(later), next(later))}
        there = states_in(folder)
        frozen.send_signal(signal.SIGCONT)
        frozen.stdin.write("\n" * 8)
        frozen.stdin.flush()
        said = frozen.stdout.read()
        assert said == f"{socket.gethostname()}: attempt 1 at 00000 is over: attempt 2 goes on\n"
        assert states_in(folder) == there and [(one.attempt, one.epoch) for one in there] == [(2, 5), (2, 4)]
    assert known | losses(later) == {epoch: loss for epoch, loss in every.items() if epoch > 3}


@pytest.mark.heavy
def test_a_worker_that_hangs_says_where_ends_and_its_leg_goes_on(tmp_path: Path) -> None:
    """In code that holds Python's lock, so that no thread of Python's could do it."""
    with training(tmp_path, 3.0) as hung:  # ten times as long for the first epoch, on a machine that may be busy
        said, warned = hung.communicate("\n" * 9, timeout=60)
    assert (said, hung.returncode) == ("1\n", 1), warned
    folder = StudyFolder(tmp_path)
    kept = take_stacks(folder, "00000")
    assert kept == "hung/00000.attempt-1.txt" and take_stacks(folder, "00000") == "", "of one hang it is said once"
    stacks = (tmp_path / kept).read_text()
    assert stacks.startswith("Timeout") and "in hang" in stacks and "loop.py" in stacks
    assert [one.epoch for one in reports(tmp_path, 3, known_epochs=1)] == [2, 3]


def test_what_took_long_in_the_first_epoch_may_do_so_again() -> None:
    """As compiling does, for pictures of another size."""
    epochs_s = [400.0, 30.0, 30.0, 30.0]
    assert limit_s(120.0, epochs_s, is_first=False) == 800 and limit_s(120.0, epochs_s[1:], is_first=False) == 150
    assert limit_s(120.0, [1.0], is_first=False) == 120 and limit_s(120.0, [], is_first=True) == 1200


@pytest.mark.parametrize("damage", ["torn", "flipped", "both torn", "gone"])
def test_damaged_checkpoints_are_said_and_what_follows_is_equal_to_the_last_bit(damage: str, tmp_path: Path) -> None:
    every, begun = losses(reports(tmp_path / "whole", 5)), reports(tmp_path, 5)
    assert [next(begun).epoch for _ in range(3)] == [1, 2, 3]
    begun.close()  # type: ignore[attr-defined]
    newest, before = (one.path for one in states_in(StudyFolder(tmp_path).checkpoint(0)))
    content = newest.read_bytes()
    if damage == "gone":
        newest.unlink()
    elif damage == "flipped":
        newest.write_bytes(content[:2000] + bytes([content[2000] ^ 4]) + content[2001:])
    else:
        newest.write_bytes(content[:-1])
    if damage == "both torn":
        before.write_bytes(b"")
    first, *rest = reports(tmp_path, 5, known_epochs=3, has_checkpoint=True)
    then = "it is trained from its start" if damage == "both torn" else "it goes on from epoch 2"
    assert first.note == ("" if damage == "gone" else f"its checkpoint {newest.name} is damaged; {then}")
    assert losses(iter([first, *rest])) == {4: every[4], 5: every[5]} and not any(one.note for one in rest)


def test_a_machine_that_does_not_see_the_checkpoint_does_not_start_over(tmp_path: Path) -> None:
    with pytest.raises(UnfitMachine, match="has a checkpoint of trial 0 that this machine does not see"):
        next(reports(tmp_path, known_epochs=3, has_checkpoint=True))
    assert next(reports(tmp_path, known_epochs=1)).note == "no checkpoint of it is there; it is trained from its start"


def test_a_worker_without_a_sign_of_life_is_told_from_one_that_nobody_looked_at(tmp_path: Path) -> None:
    now_s, folder = [0.0], StudyFolder(tmp_path)
    workers = SilentWorkers(folder, 100.0, lambda: now_s[0])
    attempt = Attempt.claim(folder.checkpoint(0))

    def silent_at(at_s: float, trained: dict[str, int], epoch_s: float = 1.0) -> list[str]:
        while now_s[0] < at_s:
            now_s[0] += 5.0
            found = workers.look(["00000"], trained, lambda key: [epoch_s])
        return list(found)

    assert silent_at(1500, {}) == [], "its first epoch may compile, or copy pictures, for ten times as long"
    assert silent_at(1650, {"00000": 1}) == [] and silent_at(1660, {"00000": 1}) == ["00000"]
    os.utime(attempt.file, (1, 1))
    assert silent_at(1800, {"00000": 1}) == [], "it has touched its file since"
    now_s[0] = 9000.0
    assert workers.look(["00000"], {"00000": 1}, lambda key: [1.0]) == {}, "its driver was asleep"
    assert silent_at(12_000, {"00000": 2}, epoch_s=600.0) == [], "an epoch takes ten minutes"


@pytest.mark.parametrize("every_s", [0.0, 1e6])
def test_a_worker_whose_machine_is_to_go_writes_what_it_has_and_leaves(every_s: float, tmp_path: Path) -> None:
    """With 0 nobody looked, and each checkpoint removed what said so."""
    folder, leg = StudyFolder(tmp_path), Leg("00000", 0, make_recipe(num_epochs=1000), 0)
    training = run_leg(leg, make_store(), folder, "cpu", checkpoint_every_s=every_s)
    seen = []
    try:
        with HEARTBEAT.watched(1000.0), pytest.raises(Preempted, match="told to leave"):
            for report in training:
                seen.append(report.epoch)
                folder.leaving("00000").touch()
    finally:
        HEARTBEAT.is_leaving.clear()
    assert states_in(folder.checkpoint(0))[0].epoch == seen[-1] < 1000
    assert next(run_leg(replace(leg, known_epochs=seen[-1]), make_store(), folder, "cpu")).epoch == seen[-1] + 1, "and the next one stays"


def test_what_was_damaged_stands_in_the_event_log_and_with_the_trial(tmp_path: Path) -> None:
    said = "its checkpoint epoch-000003.ckpt is damaged; it goes on from epoch 1"

    def answer(leg: Leg, epoch: int, value: float) -> Report:
        place = {"node": "a", "num_threads": 1, "gpu": ""}
        return replace(simulated(leg, epoch, value), **({"place": place, "note": said} if (leg.number, epoch) == (2, 1) else {}))

    drive(make_spec(tmp_path / "study", 4, sampler="random"), tmp_path / "study", answer=answer)
    folder = StudyFolder(tmp_path / "study")
    assert [(event.trial, event.text) for event in read_events(folder.events) if event.kind == "restored"] == [(2, said)]
    assert [place.note for place in read_history(folder, 2).places] == [said]
