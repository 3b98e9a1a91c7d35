"""Faults of every kind, each caused for real: what a search loses, doubles and trains again by it.

    .venv/bin/python benchmarks/chaos.py                                    # all of them, some 40 minutes on 2 cores
    .venv/bin/python benchmarks/chaos.py --set chaos_mlflow                  # those of one table of figures, a third of that
    .venv/bin/python benchmarks/chaos.py --faults worker,driver --times 3   # some, each so often
    .venv/bin/python benchmarks/chaos.py --faults node --times 20 --trials 100 --out node20  # chaos_node.json, a quarter of an hour
    .venv/bin/python benchmarks/chaos.py --faults crowd --trials 96           # as many at once as 16 GB of memory take, over 8 nodes
    .venv/bin/python benchmarks/chaos.py --list

Real searches of digits with Ray and MLflow as always; raylets, a PostgreSQL, an MLflow server, a small disk and network namespaces are
made here and end with the script. What can't be caused on a machine says why. lost: trials that were asked for and epochs that the study or
MLflow lacks at the end; doubled: trials, runs and points of MLflow that are there twice; epochs repeated: epochs of the study that were
trained again, as checkpoints (every 2 s, and at rungs) were behind it; problems: whatever else is not whole, said at the end with exit
code 1. The simulated searches are thousands, on a made clock (parts/simulated_weather.py).
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from common.result import Result, arguments, parse
from parts import chaos_cluster, chaos_crowd, chaos_local, chaos_mlflow, chaos_servers, chaos_workers
from parts.chaos_ground import Cause, Ground, NotRun, Row
from parts.chaos_simulated import processes_killed, simulated


@dataclass(frozen=True)
class Fault:
    """What happens, in words; how often by itself; what causes it, in a search of `num_trials` by `max_epochs`."""

    what: str
    times: int
    cause: Cause
    num_trials: int = 10
    max_epochs: int = 9


LOCAL: Mapping[str, Fault] = {
    "simulated": Fault("simulated: machines come, go, break, freeze; drivers killed between facts", 2000, simulated),
    "process": Fault("simulated machines, a real journal: the driver's process killed -9", 20, processes_killed),
    "worker": Fault("all workers killed -9", 3, chaos_workers.workers_killed),
    "frozen": Fault("a worker frozen for 10 s", 2, chaos_workers.workers_frozen),
    "notice": Fault("SIGTERM to a worker", 3, chaos_workers.workers_told),
    "hang": Fault("a trial hangs", 2, chaos_workers.trials_hung),
    "driver": Fault("the driver killed -9", 4, chaos_local.drivers_killed),
    "told": Fault("SIGTERM, SIGINT", 2, chaos_local.drivers_told),
    "checkpoint": Fault("checkpoints cut, flipped, emptied, deleted", 2, chaos_local.checkpoints_damaged),
    "journal": Fault("the journal torn, flipped, cut, deleted", 2, chaos_local.journals_damaged),
    "disk": Fault("the disk full", 1, chaos_local.disk_full),
}
MLFLOW: Mapping[str, Fault] = {
    "mlflow": Fault("MLflow's server away for 20 s", 1, chaos_mlflow.server_away),
    "outage": Fault(
        "MLflow's server away for 5 minutes, and the search ends meanwhile",
        1,
        partial(chaos_mlflow.server_away, away_s=chaos_mlflow.LONG_S),
    ),
    "refused": Fault("MLflow's server answers 401, then 403", 1, chaos_mlflow.credentials_refused, 30),
    "deleted": Fault("a trial's run, the study's, the experiment deleted in MLflow", 3, chaos_mlflow.runs_deleted),
}
CLUSTER: Mapping[str, Fault] = {
    "database": Fault("the study's PostgreSQL restarted", 2, chaos_servers.database_restarts),
    "drivers": Fault("two drivers on one database", 1, chaos_servers.two_drivers, 40),
    "network": Fault("the network to a node cut for 60 s", 1, chaos_servers.network_cut, 16),
    "node": Fault("a node of three killed -9, another joins", 2, chaos_cluster.nodes_killed, 16),
    "follower": Fault("the node of a trial's second worker killed -9, another joins", 2, chaos_cluster.followers_killed, 6),
    "preempted": Fault("a node of three drained, or SIGTERM to all of it, another joins", 2, chaos_cluster.nodes_preempted, 20),
    "joins": Fault("nodes join a search on one", 1, chaos_cluster.nodes_join, 16),
    "crowd": Fault("two of eight nodes killed -9 with 48 trials at work, whose workers train nothing", 2, chaos_crowd.crowd, 48, 12),
    "live": Fault("two of three nodes killed, one joins, the driver killed", 1, chaos_cluster.through_all, 16),
}
SETS: Mapping[str, Mapping[str, Fault]] = {"chaos": LOCAL, "chaos_mlflow": MLFLOW, "chaos_cluster": CLUSTER}
"""By the name of their figures: each table can be measured again by itself."""
FAULTS: Mapping[str, Fault] = {**LOCAL, **MLFLOW, **CLUSTER}
SMOKE = "simulated,process"


def run(name: str, fault: Fault, args: argparse.Namespace) -> Row | None:
    """One line of the table; None for what can't be caused here."""
    ground, started_s = Ground(args.seed, args.trials or fault.num_trials, fault.max_epochs), time.monotonic()
    try:
        row = fault.cause(ground, args.times or fault.times)
    except NotRun as why:
        print(f"{name}: not run: {why}", flush=True)
        return None
    finally:
        ground.end()
    print(f"{name}: {row.figures()}, {time.monotonic() - started_s:.0f} s", *row.problems, sep="\n  ", flush=True)
    return row


def main() -> None:
    """Cause them, one after the other, and say what followed."""
    parser = arguments(__doc__)
    parser.add_argument("--set", choices=SETS, help="those of one table; all of them")
    parser.add_argument("--faults", help="names of some, by commas")
    parser.add_argument("--list", action="store_true", help="say what there is")
    parser.add_argument("--times", type=int, help="how often each is caused; as often as its entry says")
    parser.add_argument("--trials", type=int, help="of each real search; as its entry says")
    parser.add_argument("--seed", type=int, default=0, help="of moments and of the simulated weather")
    args = parse(parser, faults=SMOKE, times=2)
    if args.list:
        sys.exit("\n".join(f"{name:12} {fault.what}" for name, fault in FAULTS.items()))
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started ends with the script
    names = args.faults.split(",") if args.faults else [*(SETS[args.set] if args.set else FAULTS)]
    if unknown := [name for name in names if name not in FAULTS]:
        parser.error(f"faults are {', '.join(FAULTS)}, but got {', '.join(unknown)}")
    if problems := [problem for name, faults in SETS.items() for problem in measure(name, [one for one in names if one in faults], args)]:
        sys.exit("\n".join(problems))


def measure(table: str, names: Sequence[str], args: argparse.Namespace) -> list[str]:
    """Cause some of a table's faults, write what followed as its figures, give the problems."""
    if not names:
        return []
    result = Result(table, args, 1, "run of each fault, so often as the table says", whole=len(names) == len(SETS[table]))
    rows = {FAULTS[name].what: row for name in names if (row := run(name, FAULTS[name], args)) is not None}
    result.table("faults", {what: row.figures() for what, row in rows.items()})
    for column in ("lost", "doubled"):
        result.target(column, sum(getattr(row, column) for row in rows.values()), 0, is_at_most=True, unit="")
    problems = [problem for row in rows.values() for problem in row.problems]
    result.target("problems", len(problems), 0, is_at_most=True, unit="")
    result.write()
    return problems


if __name__ == "__main__":
    main()
