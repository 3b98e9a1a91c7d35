"""Searches whose trials answer at once with a closed-form curve, and a meter of what passes through the control plane."""

from __future__ import annotations

import itertools
import math
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common import machine
from visiontune.filesystem.study_folder import StudiesFolder
from visiontune.spec.declarations.fingerprint import keyed_seed
from visiontune.spec.parse import load_study
from visiontune.spec.space.study_spec import StudySpec
from visiontune.tuning.records.leg import Leg, Report
from visiontune.tuning.records.snapshot import Snapshot

NUM_TIMED = 20


def answer(leg: Leg, epoch: int) -> Report:
    """Better with every epoch, best at a learning rate of 0.01, a little noise keyed by trial."""
    noise = keyed_seed(leg.number, epoch) / 2**31
    value = 1.0 - abs(math.log10(leg.recipe.optimizer["lr"]) + 2) / 4 - 0.3 / epoch - 0.05 * noise
    metrics = {"train_loss": -value, "val_loss": -value, "val_top1": value, "lr": 0.0, "epoch_s": 0.0}
    return Report(epoch, metrics, time.time_ns() // 1_000_000, checkpoint_bytes=1000)


def answers(leg: Leg, epoch_s: float) -> Iterator[Report]:
    """One after another, each so many seconds after it was asked for."""
    for epoch in itertools.count(leg.known_epochs + 1):
        time.sleep(epoch_s)
        yield answer(leg, epoch)


def make_spec(num_trials: int, sampler: str) -> StudySpec:
    """The digits space with so many trials and no confirmations."""
    return load_study(machine.DIGITS, [f"budget.num_trials={num_trials}", "confirm.num_seeds=0", f"sampler.name={sampler}"])


def rss_mb() -> float:
    """Resident memory of this process now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


class Meter:
    """Counts what passes: results by time, proposals by number, memory at the numbers of trials in `sizes`."""

    def __init__(self, sizes: Sequence[int]) -> None:
        self.sizes = sizes
        self.result_times: list[float] = []
        self.cpu_s: list[float] = []
        self.propose_s: list[float] = []
        self.rss_mb: dict[int, float] = {}

    def put(self, event: Mapping[str, Any]) -> None:
        """One event on its way to the outbox."""
        if event["event"] == "epoch":
            self.result_times.append(time.perf_counter())
            self.cpu_s.append(time.process_time())

    @contextmanager
    def proposals(self) -> Iterator[None]:
        """Times every proposal while the block runs."""
        from visiontune.tuning.proposals.sampler import Proposer

        original = Proposer.propose

        def timed(proposer: Proposer, number: int, start: Any = None) -> Any:
            started = time.perf_counter()
            proposal = original(proposer, number, start)
            self.propose_s.append(time.perf_counter() - started)
            if number + 1 in self.sizes:
                self.rss_mb[number + 1] = rss_mb()
            return proposal

        Proposer.propose = timed  # type: ignore
        try:
            yield
        finally:
            Proposer.propose = original  # type: ignore

    def propose_ms(self, size: int) -> float:
        """Median over the last proposals before this many trials."""
        return 1e3 * statistics.median(self.propose_s[max(0, size - 5 * NUM_TIMED) : size])


def run_through_ray(spec: StudySpec, studies: StudiesFolder, meter: Meter, epoch_s: float = 0.0) -> tuple[float, float]:
    """`run_search` with workers that sleep for an epoch; wall seconds, and those that MLflow's writer needed after the last trial."""
    from visiontune.tracking.tracker import tracker
    from visiontune.tuning.cluster import ray_adapter
    from visiontune.tuning.cluster.ray_worker import LegWorker
    from visiontune.tuning.launch import run_search

    class IdleWorker(LegWorker):
        def setup(self, config: dict[str, Any]) -> None:
            from visiontune.tuning.legs import run_leg

            run_leg.run_leg = lambda leg, *_, **__: answers(leg, epoch_s)
            super().setup(config)

    ended = [0.0]

    @contextmanager
    def counting() -> Iterator[Callable[[Mapping[str, Any]], None]]:
        with tracker(studies.study(spec.study)) as put:

            def counted(event: Mapping[str, Any]) -> None:
                meter.put(event)
                put(event)

            yield counted
            ended[0] = time.perf_counter()

    ray_adapter.LegWorker = IdleWorker  # type: ignore
    started = time.perf_counter()
    with meter.proposals():
        outcome = run_search(spec, studies, tracker=counting, screen=ignore)
    finished = time.perf_counter()
    if outcome.status != "finished" or len(outcome.study.trials) != spec.budget.num_trials:
        sys.exit(f"the search ended {outcome.status} with {len(outcome.study.trials)} trials")
    return finished - started, finished - ended[0]


def ignore(snapshot: Snapshot) -> None:
    """No screen."""


def run_without_ray(spec: StudySpec, studies: StudiesFolder, meter: Meter) -> float:
    """Two legs at a time answered in turn, without Ray and without MLflow's writer; the journal and the outbox are real. Wall seconds."""
    from visiontune.tracking.outbox import Outbox
    from visiontune.tuning.search.search_run import SearchRun
    from visiontune.tuning.study.open_storage import create_or_resume

    folder = studies.study(spec.study)
    folder.path.mkdir(parents=True)
    outbox = Outbox(folder)

    def put(event: Mapping[str, Any]) -> None:
        meter.put(event)
        outbox.put(event)

    run = SearchRun(spec, create_or_resume(folder, spec), folder, put)
    run.num_slots = 2
    started, legs = time.perf_counter(), dict[str, tuple[Leg, int]]()
    with meter.proposals():
        while not run.is_finished:
            while (leg := run.next_leg()) is not None:
                legs[leg.key] = (leg, leg.known_epochs + 1)
            for key, (leg, epoch) in list(legs.items()):
                if run.report(key, answer(leg, epoch)):
                    legs[key] = (leg, epoch + 1)
                else:
                    del legs[key]
    outbox.close()
    return time.perf_counter() - started
