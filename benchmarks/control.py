"""What the control plane takes: a search whose trials do nothing, through everything else that a search is made of.

    .venv/bin/python benchmarks/control.py             # 1,000 trials with Ray and MLflow for two samplers, 2 minutes on 2 cores
    .venv/bin/python benchmarks/control.py --large     # also 10,000 trials, without Ray and MLflow's writer: 4 minutes more
    .venv/bin/python benchmarks/control.py --sampler tpe --profile FILE.prof    # cProfile of the driver

It is `visiontune search search_spaces/digits.yaml` with one thing replaced: inside a worker, `run_leg` answers at once with a
closed-form curve. Ray starts the workers, Tune carries their reports, the study's journal and MLflow take them all.
Proposals are a matter of the sampler, so results a second are shown for random and for TPE, and a TPE proposal by itself.
The peer is the stock callback, measured beside it: MLflowLoggerCallback's own log_trial_result on the same kind of database
for the same metrics (--peer-results of them), without any Tune around it, which favours it.
"""

from __future__ import annotations

import argparse
import cProfile
import itertools
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import machine

from visiontune.spec.domains import RandomParams
from visiontune.spec.fingerprint import keyed_seed
from visiontune.spec.parse import load_study, make_recipe
from visiontune.spec.study_spec import StudySpec
from visiontune.tuning.records import Leg, Report, Snapshot

SIZES = (100, 1_000, 10_000)
NUM_TIMED = 20


def answer(leg: Leg, epoch: int) -> Report:
    """Better with every epoch, best at a learning rate of 0.01, a little noise keyed by trial."""
    noise = keyed_seed(leg.number, epoch) / 2**31
    value = 1.0 - abs(math.log10(leg.recipe.optimizer["lr"]) + 2) / 4 - 0.3 / epoch - 0.05 * noise
    metrics = {"train_loss": -value, "val_loss": -value, "val_top1": value, "lr": 0.0, "epoch_s": 0.0}
    return Report(epoch, metrics, time.time_ns() // 1_000_000, checkpoint_bytes=1000)


def make_spec(folder: Path, num_trials: int, sampler: str) -> StudySpec:
    """The digits space with so many trials and no confirmations."""
    return load_study(machine.DIGITS, [f"budget.num_trials={num_trials}", "confirm.num_seeds=0", f"sampler.name={sampler}"])


def rss_mb() -> float:
    """Resident memory of this process now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


class Meter:
    """Counts what passes: results by time, memory and proposal time by number of trials."""

    def __init__(self) -> None:
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
        from visiontune.tuning.sampler import Proposer

        original = Proposer.propose

        def timed(proposer: Proposer, number: int) -> Any:
            started = time.perf_counter()
            proposal = original(proposer, number)
            self.propose_s.append(time.perf_counter() - started)
            if number + 1 in SIZES:
                self.rss_mb[number + 1] = rss_mb()
            return proposal

        Proposer.propose = timed  # type: ignore[method-assign]
        try:
            yield
        finally:
            Proposer.propose = original  # type: ignore[method-assign]

    def propose_ms(self, size: int) -> float:
        """Median over the last proposals before this many trials."""
        return 1e3 * statistics.median(self.propose_s[max(0, size - 5 * NUM_TIMED) : size])


def run_through_ray(spec: StudySpec, folder: Path) -> tuple[Meter, float, float]:
    """`run_search` with idle workers; the meter, wall seconds, and the seconds MLflow's writer needed after the end."""
    from visiontune.cli.verbs import _tracker
    from visiontune.tuning import ray_adapter
    from visiontune.tuning.launch import run_search

    class IdleWorker(ray_adapter.LegWorker):  # type: ignore[misc]
        def setup(self, config: dict[str, Any]) -> None:
            from visiontune.tuning import run_leg

            run_leg.run_leg = lambda leg, *_: (answer(leg, epoch) for epoch in itertools.count(leg.known_epochs + 1))
            super().setup(config)

    meter, ended = Meter(), [0.0]

    @contextmanager
    def tracker() -> Iterator[Callable[[Mapping[str, Any]], None]]:
        with _tracker(folder) as put:

            def counted(event: Mapping[str, Any]) -> None:
                meter.put(event)
                put(event)

            yield counted
            ended[0] = time.perf_counter()

    ray_adapter.LegWorker = IdleWorker  # type: ignore[misc]
    started = time.perf_counter()
    with meter.proposals():
        outcome = run_search(spec, folder, tracker=tracker, screen=ignore)
    finished = time.perf_counter()
    if outcome.status != "finished" or len(outcome.view.rows) != spec.budget.num_trials:
        sys.exit(f"the search ended {outcome.status} with {len(outcome.view.rows)} trials")
    return meter, finished - started, finished - ended[0]


def ignore(snapshot: Snapshot) -> None:
    """No screen."""


def run_session(spec: StudySpec, folder: Path) -> tuple[Meter, float]:
    """Two legs at a time answered in turn, without Ray and without MLflow's writer; the journal and the outbox are real."""
    from visiontune.tracking.outbox import Outbox
    from visiontune.tuning.search_run import SearchRun
    from visiontune.tuning.study_storage import create_or_resume

    folder.mkdir(parents=True)
    meter, outbox = Meter(), Outbox(folder)

    def put(event: Mapping[str, Any]) -> None:
        meter.put(event)
        outbox.put(event)

    session = SearchRun(spec, create_or_resume(folder, spec), folder, put)
    session.num_slots = 2
    started, legs = time.perf_counter(), dict[str, tuple[Leg, int]]()
    with meter.proposals():
        while not session.is_finished:
            while (leg := session.next_leg()) is not None:
                legs[leg.key] = (leg, leg.known_epochs + 1)
            for key, (leg, epoch) in list(legs.items()):
                if session.report(key, answer(leg, epoch)):
                    legs[key] = (leg, epoch + 1)
                else:
                    del legs[key]
    outbox.close()
    return meter, time.perf_counter() - started


@dataclass(frozen=True)
class StockTrial:
    """What the stock callback reads of a Tune trial."""

    config: Mapping[str, Any]
    trial_id: str = "stock"

    def __hash__(self) -> int:
        return hash(self.trial_id)

    def __str__(self) -> str:
        return self.trial_id


def stock_results_per_s(spec: StudySpec, num_results: int, folder: Path) -> float:
    """Ray's MLflowLoggerCallback by itself: results it takes a second, with the fields that Tune adds to each."""
    from ray.air.integrations.mlflow import MLflowLoggerCallback

    recipe = make_recipe(spec, spec.space.resolve(RandomParams(0)), 0)
    trial: Any = StockTrial(recipe.flat())
    added = dict.fromkeys(("time_this_iter_s", "time_total_s", "time_since_restore", "iterations_since_restore", "timestamp", "pid"), 1)
    callback = MLflowLoggerCallback(tracking_uri=f"sqlite:///{folder}/stock.db", experiment_name="stock")
    callback.setup()
    callback.log_trial_start(trial)
    started = time.perf_counter()
    for epoch in range(1, num_results + 1):
        metrics = answer(Leg("00000", 0, recipe, 0), epoch).metrics
        callback.log_trial_result(epoch, trial, {**metrics, **added, "training_iteration": epoch, "config": trial.config})
    return num_results / (time.perf_counter() - started)


def large(folder: Path) -> None:
    """10,000 trials proposed at random, then TPE asked over the first 100, 1,000 and 10,000 of them."""
    from visiontune.tuning.sampler import Proposer
    from visiontune.tuning.study_storage import open_existing

    spec = make_spec(folder, SIZES[-1], "random")
    meter, wall_s = run_session(spec, folder / spec.study)
    trials, rows = open_existing(folder / spec.study).trials(), []
    for size in SIZES:
        proposer = Proposer(make_spec(folder, size, "tpe"), trials[:size])
        spent_s = []
        for number in range(size, size + NUM_TIMED):
            started = time.perf_counter()
            proposer.propose(number)
            spent_s.append(time.perf_counter() - started)
        tpe_ms = f"{1e3 * statistics.median(spent_s):.0f}"
        rows.append([f"{size:,}", tpe_ms, f"{meter.propose_ms(size):.1f}", f"{meter.rss_mb[size]:.0f}"])
    num_results = len(meter.result_times)
    print(machine.line(1, f"run of {SIZES[-1]:,} trials without Ray and without MLflow's writer"))
    print(f"{num_results:,} results in {wall_s:.0f} s ({num_results / wall_s:.0f} a second); medians of {NUM_TIMED} TPE proposals")
    print(machine.table(["trials", "ms per TPE proposal", "ms per random proposal", "driver MB"], rows))


def through_ray(args: argparse.Namespace, folder: Path) -> None:
    """The main table and the ratio of one sampler."""
    spec = make_spec(folder, args.trials, args.sampler)
    profile = cProfile.Profile() if args.profile else None
    if profile:
        profile.enable()
    meter, wall_s, flushed_s = run_through_ray(spec, folder / spec.study)
    if profile:
        profile.disable()
        profile.dump_stats(args.profile)
    sizes = [size for size in SIZES if size <= args.trials]
    print(machine.line(1, f"run of {args.trials:,} trials, sampler {args.sampler}, rungs 1, 3, 9"))
    rows = [[f"{size:,}", f"{meter.propose_ms(size):.1f}", f"{meter.rss_mb[size]:.0f}"] for size in sizes]
    print(machine.table(["trials", "ms per proposal", "driver MB"], rows))
    num_results, proposing_s = len(meter.result_times), sum(meter.propose_s)
    spent_s, cpu_s = meter.result_times[-1] - meter.result_times[0], meter.cpu_s[-1] - meter.cpu_s[0]
    print(f"{num_results:,} results in {spent_s:.1f} s, {proposing_s:.1f} s of it proposing; {cpu_s:.1f} s on the driver's CPU")
    print(f"the whole call {wall_s:.1f} s, the last {flushed_s:.1f} s of it until MLflow had the rest")
    per_s, stock = num_results / spent_s, stock_results_per_s(spec, args.peer_results, folder)
    what = f"results a second, MLflow on, {args.sampler} proposals"
    print(machine.against(what, per_s, 100, unit="") if args.sampler == "random" else f"RATIO {what}: {per_s:.2f}")
    print(f"RATIO {what}, time for proposals left out: {num_results / (spent_s - proposing_s):.2f}")
    print(
        f"RATIO visiontune / stock callback alone ({stock:.1f} results a second over {args.peer_results}): {per_s / stock:.0f}x", flush=True
    )


def main() -> None:
    """Each sampler in a process of its own, so that memory is its own."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--trials", type=int, default=1_000)
    parser.add_argument("--sampler", help="this one alone, such as random or tpe; else both")
    parser.add_argument("--large", action="store_true", help="10,000 trials too, without Ray")
    parser.add_argument("--session", action="store_true", help="only without Ray")
    parser.add_argument("--peer-results", type=int, default=40, help="results given to the stock callback")
    parser.add_argument("--profile", type=Path, help="where to write a cProfile of the driver; needs --sampler")
    args = parser.parse_args()
    for name in set(os.environ) - set(machine.clean_env()):
        del os.environ[name]
    with tempfile.TemporaryDirectory(prefix="visiontune-control-") as scratch:
        if args.sampler and not args.session:
            through_ray(args, Path(scratch) / "ray")
        elif not args.session:
            for sampler in ("random", "tpe"):
                options = ["--sampler", sampler, "--trials", str(args.trials), "--peer-results", str(args.peer_results)]
                subprocess.run([sys.executable, __file__, *options], check=True)
        if args.large or args.session:
            large(Path(scratch) / "large")


if __name__ == "__main__":
    main()
