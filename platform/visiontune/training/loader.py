"""Pictures read and augmented: in this process, or by worker processes that work ahead. Which of the two is measured.

A request is (index_N, key_N, epoch), and what it gives, images_NHWC uint8, is a function of it alone: no choice made here, nor a
change of it within an epoch, shows in a picture. Nor does it draw from torch's own generator, which is dropout's.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import math
import multiprocessing
import os
import shutil
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

if TYPE_CHECKING:
    from visiontune.augmentation.policy import Policy
    from visiontune.data.store import Store

Request = tuple[NDArray[np.int64], NDArray[np.int64], int]

SMALL_SHARE = 0.05
"""Of an epoch: pictures that take less of it to make are made in this process."""
SMALL_EPOCH_S = 1.0
"""Pictures of an epoch that are made in less are made in this process: starting workers takes .1 to .5 s."""
_NUM_WATCHED = 3
_NUM_AHEAD = 2  # requests for each worker, torch's own default
_START = "fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn"
# A worker that hangs becomes an error, and the trial is handed out again.
_TIMEOUT_S = 600
_WATCH_S = 0.5
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Maker:
    """Reads pictures of a store and augments them by their keys; a torch dataset over requests."""

    store: Store
    policy: Policy | None
    seed: int

    def __getitem__(self, request: Request) -> Tensor:
        index_N, key_N, epoch = request
        images_NHWC = self.store.read(index_N, self.store.image_size)
        if self.policy is not None:
            images_NHWC = self.policy(images_NHWC, seed=self.seed, epoch=epoch, index_N=key_N)
        return torch.from_numpy(images_NHWC)

    def __reduce__(self) -> tuple[Any, ...]:
        """A started (not forked) worker maps the same file; pictures are never copied to it."""
        if self.store.path.is_file():
            return _reopened, (self.store.path, self.policy, self.seed)
        return Maker, (self.store, self.policy, self.seed)


@dataclass(frozen=True)
class Measured:
    """Seconds for a request made in this process, and for all else until the next is asked for; requests of an epoch."""

    make_s: float
    rest_s: float
    num_requests: int
    request_bytes: int


def choose(measured: Measured, num_cores: int, shared_bytes: float = math.inf) -> tuple[int, str]:
    """How many workers to start on `num_cores` with so much shared memory free, 0 for none, and why."""
    make_s, rest_s = measured.make_s, measured.rest_s
    share = make_s / (make_s + rest_s)
    if num_cores < 2:
        return 0, "there is one core"
    if share < SMALL_SHARE:
        return 0, f"making them takes {share:.1%} of the time"
    if make_s * measured.num_requests < SMALL_EPOCH_S:
        return 0, f"an epoch's are made in {make_s * measured.num_requests:.2f} s"
    # Half of what is free, as other trials of the node ask too; one request more is on its way in.
    fit = shared_bytes / 2 / (measured.request_bytes * (_NUM_AHEAD + 1))
    if fit < 1:
        return 0, f"{shared_bytes / 2**20:.0f} MiB of shared memory are too few for batches of {measured.request_bytes / 2**20:.0f} MiB"
    wanted = math.ceil(1.25 * make_s / rest_s) if rest_s > 0 else num_cores
    return min(wanted, num_cores, int(min(fit, num_cores))), f"making them here took {share:.0%} of the time"


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
            started = time.perf_counter()
            batch = next(batches, end)
            self.waited_s += time.perf_counter() - started
            if batch is end:
                return
            yield batch

    @contextlib.contextmanager
    def off_the_clock(self) -> Iterator[None]:
        """What is done inside is no waiting, though a batch is waited for."""
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
        """Ends early where what is measured meanwhile speaks for workers."""
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
            make_s, rest_s = (statistics.median(times) for times in zip(*self._watched[1:], strict=True))
            self._here_s = make_s + rest_s
            measured = Measured(make_s, rest_s, num_requests, request_bytes)
            self._decide(*choose(measured, torch.get_num_threads(), _shared_bytes()))

    def _decide(self, num_workers: int, why: str) -> None:
        self._num_workers, self._is_chosen = num_workers, True
        self._workers = self._workers if num_workers else None
        self.how = f"made by {num_workers} worker processes: {why}" if num_workers else f"made in this process: {why}"
        _log.info("pictures are %s", self.how)

    def _by_workers(self, requests: list[Request]) -> Iterator[Tensor]:
        if self._workers is None:
            self._workers = Workers(self.maker, self._num_workers, use_pinned=self._device.type == "cuda")
        try:
            made = self._workers(requests)
        except OSError as error:
            if self._here_s == math.inf:  # told to
                raise
            self._decide(0, f"no process could be started ({error.strerror})")
            yield from self._here(iter(requests), len(requests))
            return
        num_early, settled = _NUM_AHEAD * self._num_workers, 0.0
        self._is_busy = True
        try:
            for place, images_NHWC in enumerate(made):
                settled = time.perf_counter() if place == num_early else settled
                yield images_NHWC
        except Exception:
            self._workers.close()
            self._workers = None
            raise
        finally:
            self._is_busy = False
        if len(requests) >= num_early + _NUM_WATCHED:
            self._look_back((time.perf_counter() - settled) / (len(requests) - num_early))

    def _look_back(self, by_workers_s: float) -> None:
        """Once for a choice that was measured: were workers really faster?"""
        here_s, self._here_s = self._here_s, math.inf
        if by_workers_s > here_s:
            self._decide(0, f"worker processes were slower, {by_workers_s * 1e3:.1f} against {here_s * 1e3:.1f} ms for each request")


class Workers:
    """Processes that make pictures ahead of their use, from the first call on until this object is gone or this process is.

    Raises OSError where they can't be started, RuntimeError where one dies.
    """

    def __init__(self, maker: Maker, num: int, *, use_pinned: bool = False) -> None:
        from torch.utils.data import DataLoader

        self._requests: list[Request] = []
        self._made: Any = None
        self._loader: Any = DataLoader(
            maker,  # type: ignore[arg-type]
            batch_size=None,
            sampler=self._requests,
            num_workers=num,
            persistent_workers=True,
            prefetch_factor=_NUM_AHEAD,
            pin_memory=use_pinned,
            worker_init_fn=partial(_begin, os.getpid()),
            multiprocessing_context=_START,
            timeout=_TIMEOUT_S,
            generator=torch.Generator(),  # each epoch draws a seed: from the default one it would move dropout's stream
        )

    def __call__(self, requests: Sequence[Request]) -> Iterator[Tensor]:
        """images_NHWC of each, in order. A call gives up what the one before it has not taken."""
        self._requests[:] = requests
        self._made = iter(self._loader)
        return self._made  # type: ignore[no-any-return]

    def close(self) -> None:
        """End the processes. Without it they end with this object, but where that is left to the garbage collector after 5 s."""
        if self._made is not None:
            self._made._shutdown_workers()


def _begin(parent: int, worker: int) -> None:
    import cv2

    cv2.setNumThreads(0)  # the cores are the other workers'
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """However the parent ends. torch's own workers look only between two requests, and every 5 s."""
    while os.getppid() == parent:
        time.sleep(_WATCH_S)
    os._exit(1)


def _reopened(path: Path, policy: Policy | None, seed: int) -> Maker:
    from visiontune.data.store import Store

    return Maker(Store.open(path), policy, seed)


def _shared_bytes() -> float:
    """Free shared memory, through which workers hand over pictures; containers often have 64 MiB."""
    try:
        return shutil.disk_usage("/dev/shm").free
    except OSError:
        return math.inf
