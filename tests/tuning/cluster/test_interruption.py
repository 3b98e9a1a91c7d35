"""Signals while Ray starts and while it runs, by handlers that are called as a terminal calls them."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from visiontune.tuning.cluster.interruption import interruptible, own_sigterm


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
