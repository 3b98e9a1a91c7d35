"""Signals while Ray starts and while it runs, by handlers that are called as a terminal calls them."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from visiontune.tuning.cluster.interruption import heard_afterwards, interruptible, own_sigterm
from visiontune.tuning.cluster.ray_cluster import tokens_asked_anew


@pytest.fixture
def told() -> Iterator[list[int]]:
    """Signals that came to who had them before."""
    seen: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
    yield seen
    signal.signal(signal.SIGTERM, before)


def rays_own(number: int, frame: object) -> None:
    """As `ray.init` sets it (2.60)."""
    raise SystemExit(number)


def test_a_signal_after_rays_start_comes_to_who_had_it_before(told: list[int]) -> None:
    with own_sigterm():
        signal.signal(signal.SIGTERM, rays_own)
    os.kill(os.getpid(), signal.SIGTERM)
    assert told == [signal.SIGTERM]


def test_a_signal_while_ray_starts_is_ctrl_c(told: list[int]) -> None:
    """Ray's handler would end the process without a word of how to go on."""
    with pytest.raises(KeyboardInterrupt), own_sigterm():
        signal.signal(signal.SIGTERM, rays_own)
        os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(SystemExit), own_sigterm():
        raise SystemExit(2)
    assert not told


def test_a_second_signal_may_come_while_the_first_is_handled(told: list[int]) -> None:
    interrupts: list[str] = []

    def interrupt() -> None:
        interrupts.append("to end")
        os.kill(os.getpid(), signal.SIGTERM)

    with interruptible(interrupt, may_exit=True):
        os.kill(os.getpid(), signal.SIGTERM)
    assert (interrupts, told) == (["to end"], [signal.SIGTERM])


def test_an_import_is_done_before_a_signal_is_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while Ray was imported left half of it behind, and the search ended in what Python says of that."""
    (tmp_path / "slow_library.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nwhole = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    before, (heard, told) = signal.getsignal(signal.SIGINT), os.pipe()
    os.set_blocking(told, False)
    listening = signal.set_wakeup_fd(told)
    try:
        with pytest.raises(KeyboardInterrupt), heard_afterwards():
            import slow_library
    finally:
        signal.set_wakeup_fd(listening)
    assert sys.modules.pop("slow_library") is slow_library and slow_library.whole and signal.getsignal(signal.SIGINT) is before
    assert len(os.read(heard, 9)) == 1, "a second Ctrl-C ends at once"
    os.close(heard), os.close(told)


def test_where_ray_is_half_imported_there_is_no_token_to_forget(monkeypatch: pytest.MonkeyPatch) -> None:
    for raylet in (None, ModuleType("ray._raylet")):
        monkeypatch.setitem(sys.modules, "ray._raylet", raylet)
        with pytest.raises(KeyboardInterrupt), tokens_asked_anew():
            raise KeyboardInterrupt
