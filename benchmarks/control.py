"""What the control plane takes: a search whose trials do nothing, through everything else that a search is made of.

    .venv/bin/python benchmarks/control.py             # 1,000 trials with Ray and MLflow for two samplers, 2 minutes on 2 cores
    .venv/bin/python benchmarks/control.py --large     # 10,000 trials instead, without Ray and MLflow's writer: 4 minutes
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
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

from common import machine
from common.result import Result, arguments, parse
from parts.idle_search import NUM_TIMED, Meter, make_spec, run_through_ray, run_without_ray
from peers.stock_callback import stock_results_per_s
from visiontune.filesystem.study_folder import StudiesFolder

SAMPLERS = ("random", "tpe")
WANTED_PER_S = 100
Figures = dict[str, dict[str, float]]


def sizes_up_to(num_trials: int) -> list[int]:
    """Powers of ten from 100, or the number itself where that is less."""
    return [size for size in (100, 1_000, 10_000) if size <= num_trials] or [num_trials]


def through_ray(args: argparse.Namespace, folder: Path) -> Figures:
    """Of one sampler: proposals and memory by number of trials, and what passed a second."""
    spec, meter = make_spec(args.trials, args.sampler), Meter(sizes_up_to(args.trials))
    profile = cProfile.Profile() if args.profile else None
    with profile or nullcontext():
        wall_s, flushed_s = run_through_ray(spec, StudiesFolder(folder), meter)
    if profile:
        profile.dump_stats(args.profile)
    num_results, proposing_s = len(meter.result_times), sum(meter.propose_s)
    spent_s = meter.result_times[-1] - meter.result_times[0]
    per_s, stock_per_s = num_results / spent_s, stock_results_per_s(spec, args.peer_results, folder)
    rate = {"results": num_results, "results_per_s": per_s, "results_per_s_without_proposals": num_results / (spent_s - proposing_s)}
    times = {"driver_cpu_s": meter.cpu_s[-1] - meter.cpu_s[0], "whole_call_s": wall_s, "until_mlflow_had_the_rest_s": flushed_s}
    by_size = {
        f"{args.sampler}, {size:,} trials": {"proposal_ms": meter.propose_ms(size), "driver_mb": meter.rss_mb[size]} for size in meter.sizes
    }
    return {**by_size, args.sampler: {**rate, "stock_callback_results_per_s": stock_per_s, "times_as_many": per_s / stock_per_s, **times}}


def report_ray(args: argparse.Namespace, found: Figures) -> None:
    """The tables of all samplers that ran."""
    samplers = [name for name in SAMPLERS if name in found]
    what = f"run of {args.trials:,} trials for each sampler, rungs 1, 3, 9; {args.peer_results} results to the stock callback"
    result = Result("control", args, 1, what, whole=len(samplers) == len(SAMPLERS))
    result.table("proposals", {name: row for name, row in found.items() if name not in samplers})
    result.table("sampler", {name: found[name] for name in samplers})
    if "random" in samplers:
        result.target("results a second, MLflow on, random proposals", found["random"]["results_per_s"], WANTED_PER_S, unit="")
    result.write()


def in_own_process(args: argparse.Namespace, sampler: str, folder: Path) -> Figures:
    """So that memory is the sampler's own."""
    options = ["--sampler", sampler, "--trials", args.trials, "--peer-results", args.peer_results, "--hand-over", folder / sampler]
    subprocess.run([sys.executable, __file__, *map(str, options)], check=True)
    return json.loads((folder / sampler).read_text())  # type: ignore[no-any-return]


def large(args: argparse.Namespace, folder: Path) -> None:
    """Many trials proposed at random, then TPE asked over the first 100, 1,000 and 10,000 of them."""
    from visiontune.tuning.proposals.sampler import Proposer
    from visiontune.tuning.study.open_storage import open_existing

    result = Result("control_large", args, 1, f"run of {args.large_trials:,} trials without Ray and without MLflow's writer")
    spec, studies, meter = make_spec(args.large_trials, "random"), StudiesFolder(folder), Meter(sizes_up_to(args.large_trials))
    wall_s = run_without_ray(spec, studies, meter)
    trials, rows = open_existing(studies.study(spec.study)).trials(), {}
    for size in meter.sizes:
        proposer = Proposer(make_spec(size, "tpe"), trials[:size])
        spent_s = []
        for number in range(size, size + NUM_TIMED):
            started = time.perf_counter()
            proposer.propose(number)
            spent_s.append(time.perf_counter() - started)
        row = {"tpe_proposal_ms": 1e3 * statistics.median(spent_s), "random_proposal_ms": meter.propose_ms(size)}
        rows[f"{size:,}"] = {**row, "driver_mb": meter.rss_mb[size]}
    num_results = len(meter.result_times)
    result.table("trials", rows)
    result.table("run", {"all": {"results": num_results, "wall_s": wall_s, "results_per_s": num_results / wall_s}})
    result.write()


def main() -> None:
    """Each sampler in a process of its own."""
    parser = arguments(__doc__)
    parser.add_argument("--trials", type=int, default=1_000)
    parser.add_argument("--sampler", choices=SAMPLERS, help="this one alone")
    parser.add_argument("--large", action="store_true", help="many trials without Ray instead")
    parser.add_argument("--large-trials", type=int, default=10_000)
    parser.add_argument("--peer-results", type=int, default=40, help="results given to the stock callback")
    parser.add_argument("--profile", type=Path, help="where to write a cProfile of the driver; needs --sampler")
    parser.add_argument("--hand-over", type=Path, help=argparse.SUPPRESS)  # to the process that started this one
    args = parse(parser, trials=6, large_trials=30, peer_results=2)
    for name in set(os.environ) - set(machine.clean_env()):
        del os.environ[name]
    with tempfile.TemporaryDirectory(prefix="visiontune-control-") as scratch:
        folder = Path(scratch)
        if args.large or args.smoke:
            large(args, folder / "large")
        if args.hand_over:
            args.hand_over.write_text(json.dumps(through_ray(args, folder)))
        elif not args.large:
            report_ray(args, through_ray(args, folder) if args.sampler else in_turn(args, folder))


def in_turn(args: argparse.Namespace, folder: Path) -> Figures:
    """Every sampler; one says whether it runs."""
    samplers = SAMPLERS[:1] if args.smoke else SAMPLERS
    return {name: row for sampler in samplers for name, row in in_own_process(args, sampler, folder).items()}


if __name__ == "__main__":
    main()
