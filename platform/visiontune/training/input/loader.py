"""Pictures read and augmented: in this process, or by worker processes that work ahead. Which of the two is measured.

No choice made here, nor a change of it within an epoch, changes a picture, or draws from torch's own generator, which is dropout's.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import math
import multiprocessing
import shutil
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from visiontune.training.heartbeat import HEARTBEAT
from visiontune.training.input.loader_workers import NUM_AHEAD, Maker, Request, Workers

SMALL_SHARE = 0.05
"""Where making pictures takes less than this share of an epoch, they are made in this process."""
SMALL_EPOCH_S = 1.0
"""Where all pictures of an epoch are made in less time, they are made in this process: starting workers takes .1 to .5 s."""
_NUM_WATCHED = 3
# Of the time without them; a core that another trial could have is worth something too.
_WORKERS_SHARE = 0.9
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Measured:
    """Medians of the seconds for a request made in this process, and of those until the next one is asked for; requests of an epoch."""

    make_s: float
    between_s: float
    num_requests: int
    request_bytes: int


def choose(measured: Measured, num_cores: int, shared_bytes: float = math.inf) -> tuple[int, str]:
    """How many workers to start on `num_cores` with so much shared memory free, 0 for none, and why."""
    make_s, between_s = measured.make_s, measured.between_s
    share = make_s / (make_s + between_s)
    if num_cores < 2:
        return 0, "there is one core"
    if share < SMALL_SHARE:
        return 0, f"making them takes {share:.1%} of the time"
    if make_s * measured.num_requests < SMALL_EPOCH_S:
        return 0, f"an epoch's are made in {make_s * measured.num_requests:.2f} s"
    # Half of what is free, as other trials of the node ask too; one request more is on its way in.
    fit = shared_bytes / 2 / (measured.request_bytes * (NUM_AHEAD + 1))
    if fit < 1:
        return 0, f"{shared_bytes / 2**20:.0f} MiB of shared memory are too few for batches of {measured.request_bytes / 2**20:.0f} MiB"
    wanted = 1.25 * make_s / between_s if between_s > 0 else math.inf
    # One core stays the loop's: threads of a network that must wait for theirs cost more than pictures do.
    num = math.ceil(min(wanted, num_cores - 1))
    return min(num, math.floor(min(fit, num))), f"making them here took {share:.0%} of the time"


class Loader:
    """Gives the pictures of requests in order. `how` says who makes them and why; `waited_s` is what its user waited for batches.

    `num_workers` None: measured while the first pictures are made in this process, and measured again against the workers.
    """

    def __init__(self, maker: Maker, device: torch.device, num_workers: int | None = None) -> None:
        self.how, self.waited_s = "made in this process until it is known how long that takes", 0.0
        self.maker, self._device = maker, device
        self._workers: Workers | None = None
        self._num_workers, self._is_chosen, self._is_busy = 0, False, False
        self._watched: list[tuple[float, float]] = []
        self._here_s = math.inf
        if num_workers is not None:
            self._decide(num_workers, "as told")
        elif torch.get_num_threads() < 2:
            self._decide(0, "there is one core")
        elif multiprocessing.current_process().daemon:
            self._decide(0, "a daemonic process may not start others")

    def timed(self, batches: Iterator[Any]) -> Iterator[Any]:
        """The same, with the time that each is waited for added to `waited_s`."""
        end = object()
        while True:
            HEARTBEAT.beat()
            started = time.perf_counter()
            batch = next(batches, end)
            self.waited_s += time.perf_counter() - started
            if batch is end:
                return
            yield batch

    @contextlib.contextmanager
    def off_the_clock(self) -> Iterator[None]:
        """The time that is spent inside does not count as waiting, though a batch is waited for."""
        started = time.perf_counter()
        yield
        self.waited_s -= time.perf_counter() - started

    def __call__(self, requests: Sequence[Request]) -> Iterator[Tensor]:
        """images_NHWC uint8 of each request. Where several calls run at once, the workers serve the first."""
        left = iter(requests)
        if self._num_workers and self._workers is None:
            # What the first one imports, forked workers have.
            yield from self._here(itertools.islice(left, 1), len(requests))
        if self._num_workers == 0 or self._is_busy:
            yield from self._here(left, len(requests))
        if rest := list(left):
            yield from self._by_workers(rest)

    def _here(self, requests: Iterator[Request], num_requests: int) -> Iterator[Tensor]:
        """Made in this process; ends early where what is measured meanwhile decides for workers."""
        for request in requests:
            started = time.perf_counter()
            images_NHWC = self.maker[request]
            made = time.perf_counter()
            yield images_NHWC
            if not self._is_chosen:
                self._watched.append((made - started, time.perf_counter() - made))
                self._choose(num_requests, images_NHWC.nbytes)
                if self._num_workers:
                    return

    def _choose(self, num_requests: int, request_bytes: int) -> None:
        if len(self._watched) > _NUM_WATCHED:
            # The first one pays for what is imported and mapped once.
            make_s, between_s = (statistics.median(times) for times in zip(*self._watched[1:], strict=True))
            self._here_s = make_s + between_s
            measured = Measured(make_s, between_s, num_requests, request_bytes)
            self._decide(*choose(measured, torch.get_num_threads(), _shared_bytes()))

    def _decide(self, num_workers: int, why: str) -> None:
        self._num_workers, self._is_chosen = num_workers, True
        if num_workers == 0:
            self._close()
        who = f"by {num_workers} worker process{'' if num_workers == 1 else 'es'}" if num_workers else "in this process"
        self.how = f"made {who}: {why}"
        _log.info("pictures are %s", self.how)

    def _close(self) -> None:
        if self._workers is not None:
            self._workers.close()
        self._workers = None

    def _by_workers(self, requests: list[Request]) -> Iterator[Tensor]:
        num_given = 0
        for images_NHWC in self._ahead(requests):
            num_given += 1
            yield images_NHWC
        yield from self._here(iter(requests[num_given:]), len(requests))

    def _ahead(self, requests: list[Request]) -> Iterator[Tensor]:
        """Made by workers; ends early where none can be started, or they are no faster than this process was."""
        num_early = NUM_AHEAD * self._num_workers
        num_timed = max(num_early, _NUM_WATCHED)
        started = 0.0
        self._is_busy = True
        try:
            for number, images_NHWC in enumerate(self._asked(requests)):
                started = time.perf_counter() if number == num_early else started
                yield images_NHWC
                if number + 1 == num_early + num_timed and self._were_no_faster((time.perf_counter() - started) / num_timed):
                    return
        except Exception:
            self._close()
            raise
        finally:
            self._is_busy = False

    def _asked(self, requests: list[Request]) -> Iterator[Tensor]:
        self._workers = self._workers or Workers(self.maker, self._num_workers, use_pinned=self._device.type == "cuda")
        try:
            return self._workers(requests)
        except OSError as error:
            if self._here_s == math.inf:  # the caller chose the number
                raise
            self._decide(0, f"no process could be started ({error.strerror})")
            return iter(())

    def _were_no_faster(self, by_workers_s: float) -> bool:
        """Whether workers were no faster; decided once, for a choice that was measured, and then pictures are made here."""
        here_s, self._here_s = self._here_s, math.inf
        is_no_faster = by_workers_s > _WORKERS_SHARE * here_s
        if is_no_faster:
            self._decide(0, f"workers were no faster, {by_workers_s * 1e3:.1f} ms for each request against {here_s * 1e3:.1f}")
        return is_no_faster


def _shared_bytes() -> float:
    """Free shared memory, through which workers hand over pictures; containers often have 64 MiB."""
    try:
        return shutil.disk_usage("/dev/shm").free
    except OSError:
        return math.inf
