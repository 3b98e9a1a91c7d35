"""Ten thousand trials in one study: what one more costs, what the driver holds, how long it takes to start again and to be shown.

    .venv/bin/python benchmarks/load.py               # 12 minutes on 2 cores
    .venv/bin/python benchmarks/load.py --sampler random
    .venv/bin/python benchmarks/load.py --soak 2400      # through Ray, epochs of a second: an hour; what its processes hold

The search of search_spaces/digits.yaml as it is (sampler, promotion, journal with its copy and checksums, log of events, outbox of MLflow's
writer, a budget in hours that is looked at before each leg) with 64 workers that answer at once, without Ray. Of the trials up to each
size the last half is what is timed; wall time has the disk's syncs in it and whatever else the machine does, so targets are seconds of the
processor. Afterwards the whole study is opened by a driver that goes on, and by verbs in processes of their own; and smaller studies are
searched by as many as 1,000 legs at once, over as many as 1,000 machines of the simulator.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from common import machine
from common.result import Result, arguments, parse
from parts.loaded_search import Marks, loaded_spec, run_marked, size_mb
from parts.simulated_crowd import CROWDS, crowd
from visiontune.filesystem.study_folder import StudiesFolder
from visiontune.spec.space.study_spec import StudySpec

SIZES = (100, 1_000, 10_000)
FLAT, MOST_MB, MOST_SHOW_S = 1.5, 2_000, 3.0
MOST_MORE = 10.0
WORDS: Mapping[str, Sequence[str]] = {"studies": ()}
"""Of a verb where it takes no study."""


def rows_of(marks: Marks) -> dict[str, dict[str, float]]:
    """By size: of one trial among the newer half of so many."""
    return {f"{size:,}": marks.row(size) for size in marks.sizes}


def start_again(spec: StudySpec, studies: StudiesFolder) -> dict[str, float]:
    """Seconds of the processor until a driver that takes a whole study over could hand out its first leg."""
    from visiontune.tuning.search.search_run import SearchRun
    from visiontune.tuning.study.open_storage import create_or_resume, mend_journal

    folder, started = studies.study(spec.study), time.process_time()
    mend_journal(folder)
    mended = time.process_time()
    storage = create_or_resume(folder, spec)
    opened = time.process_time()
    SearchRun(spec, storage, folder, lambda event: None).next_leg()
    ready = time.process_time()
    spent = {"check_s": mended - started, "replay_s": opened - mended, "run_s": ready - opened}
    return {"folder_mb": size_mb(folder.path), **spent}


def read(spec: StudySpec, studies: StudiesFolder, verbs: Sequence[str]) -> dict[str, dict[str, float]]:
    """By verb: seconds of the processor of a process of its own, and what it writes."""
    found: dict[str, dict[str, float]] = {}
    for verb in verbs:
        words, before = WORDS.get(verb, (spec.study,)), _children_cpu_s()
        command = [machine.VISIONTUNE, verb, *words, "--studies-dir", str(studies.path)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=machine.clean_env())
        found[verb] = {"cpu_s": _children_cpu_s() - before}
        if verb == "report":
            found[verb]["file_mb"] = (studies.study(spec.study).path / "report.html").stat().st_size / 1e6
    return found


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(args: argparse.Namespace, folder: Path) -> None:
    """The search, then whoever comes after it."""
    result = Result(
        "load", args, 1, f"search of {args.trials:,} trials, {args.slots} workers that answer at once", whole=args.sampler == "tpe"
    )
    spec, studies = loaded_spec(args.trials, args.sampler), StudiesFolder(folder)
    marks = run_marked(spec, studies, [size for size in SIZES if size <= args.trials] or [args.trials], args.slots)
    rows = rows_of(marks)
    result.table("trials", rows)
    result.table("start again", {f"{args.trials:,} trials": start_again(spec, studies)})
    verbs = read(spec, studies, ("show",) if args.smoke else ("show", "studies", "report"))
    result.table("verbs", verbs)
    crowds = ((4, 2),) if args.smoke else CROWDS
    found = {f"{legs:,} legs, {machines:,} machines": crowd(legs, machines, folder / f"{legs}-{machines}") for legs, machines in crowds}
    result.table("at once", found)
    *before, last = rows
    for size in before:  # TPE proposes hardly any of the first hundred
        what = f"processor time of a trial up to {last} per one up to {size}"
        result.target(what, rows[last]["trial_cpu_ms"] / rows[size]["trial_cpu_ms"], FLAT, is_at_most=True)
    result.target("the driver's memory", rows[last]["driver_mb"], MOST_MB, is_at_most=True, unit=" MB")
    result.target("processor time of `visiontune show`", verbs["show"]["cpu_s"], MOST_SHOW_S, is_at_most=True, unit=" s")
    result.write()


def soak_through_ray(args: argparse.Namespace, folder: Path) -> None:
    """Random proposals, so that it is results that fill the time."""
    from parts.soaked_search import soak

    result = Result(
        "load_soak",
        args,
        1,
        f"search of {args.soak:,} trials through Ray and MLflow, {args.epoch_s:g} s an epoch, in which nothing is trained",
    )
    samples, meter = soak(loaded_spec(args.soak, "random"), StudiesFolder(folder), args.every, args.epoch_s)
    table, spent_s = samples.table(), meter.result_times[-1] - meter.result_times[0]
    result.table("processes", table)
    share = (meter.cpu_s[-1] - meter.cpu_s[0]) / spent_s
    result.table("run", {"all": {"minutes": spent_s / 60, "results_per_s": len(meter.result_times) / spent_s, "driver_cpu_share": share}})
    for kind, row in table.items():
        for what in ("files", "threads"):
            result.target(f"{what} of the {kind} more in an hour", row[f"{what}_per_hour"], MOST_MORE, is_at_most=True, unit="")
    result.write()


def main() -> None:
    """Measure."""
    parser = arguments(__doc__)
    parser.add_argument("--trials", type=int, default=SIZES[-1])
    parser.add_argument("--slots", type=int, default=64)
    parser.add_argument("--sampler", choices=("tpe", "random"), default="tpe")
    parser.add_argument("--soak", type=int, default=0, help="trials of a search through Ray instead")
    parser.add_argument("--epoch-s", type=float, default=1.0, help="that a worker of --soak takes for an epoch")
    parser.add_argument("--every", type=float, default=15.0, help="seconds between two looks at its processes")
    args = parse(parser, trials=30, slots=4)
    for name in set(os.environ) - set(machine.clean_env()):
        del os.environ[name]
    with tempfile.TemporaryDirectory(prefix="visiontune-load-", ignore_cleanup_errors=True) as scratch:
        (soak_through_ray if args.soak else measure)(args, Path(scratch))


if __name__ == "__main__":
    main()
