"""Wrong inputs of every kind that visiontune reads: each is taken or refused in a sentence; none crashes, hangs or leaves its folder.

    .venv/bin/python benchmarks/fuzz.py --inputs 1_000_000 --workers 2     # hours: 300 to 600 inputs a second and core, most in the readers

Right inputs (parts/fuzz_examples.py, parts/fuzz_study.py) are changed where they have a structure, line by line, byte by byte, or replaced
by random bytes (parts/mutations.py). Counted by target: inputs, accepted, refused (UserError, BadPicture), tracebacks (any other
exception), hangs (over 5 seconds of the processor, or a minute of waiting), and what was done outside of the input's own folder: a file
opened for writing, made, renamed or removed, a program started, a connection opened, a class that pickle looked up, all of which Python's
audit hooks tell. Each input follows from --seed, target and number, and what went wrong is kept in --keep. Exit code 1 where anything did.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from common.result import Result, arguments, parse
from parts.fuzz_batch import Batch, kinds, run_batch

BATCH_S = 20.0
WAIT_S = 60.0
"""Without a word from a process that may be in code which no alarm interrupts."""


def main() -> None:
    """Run, print, write."""
    parser = arguments(__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000, help="of all targets together")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes at once")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", help="targets by name")
    parser.add_argument(
        "--keep", type=Path, default=Path(tempfile.gettempdir()) / "visiontune-fuzz", help="folder for inputs that go wrong"
    )
    args = parse(parser, inputs=69, workers=1)
    with tempfile.TemporaryDirectory(prefix="visiontune-fuzz-") as folder:
        found, wall_s = fuzz(args, Path(folder))
    rows = {name: row(counts) for name, counts in found.items()}
    total = sum(found.values(), Counter())
    total["slowest_ms"] = max(counts["slowest_ms"] for counts in found.values())
    rows["all"] = row(total)
    result = Result("fuzz", args, total["inputs"], "inputs", whole=not args.only)
    result.table("inputs", rows)
    result.table("speed", {"all": {"wall_s": wall_s, "inputs_per_s": total["inputs"] / wall_s, "processes": args.workers}})
    result.target("tracebacks, hangs and what was done outside", bad(total), 0, is_at_most=True, unit="")
    result.write()
    sys.exit(bool(bad(total)))


def fuzz(args: argparse.Namespace, folder: Path) -> tuple[dict[str, Counter[str]], float]:
    """Counts by target, and seconds. All targets get about the same time, in batches of a process each, so that none grows."""
    names = [name for name in kinds(folder) if not args.only or name in args.only]
    found: dict[str, Counter[str]] = {name: Counter() for name in names}
    started, context = time.monotonic(), multiprocessing.get_context("fork")
    running: dict[str, Running] = {}
    while (num_left := args.inputs - sum(counts["inputs"] for counts in found.values())) > 0 or running:
        idle = [name for name in names if name not in running]
        while num_left > 0 and len(running) < args.workers and idle:
            name = min(idle, key=lambda one: (found[one]["ms"], names.index(one)))
            idle.remove(name)
            most = min(num_left, max(1, args.inputs // (len(names) * (1 if args.smoke else 4))))
            running[name] = Running(context, Batch(name, args.seed, found[name]["inputs"], most, folder, args.keep, BATCH_S))
        for name, one in [*running.items()]:
            if (counts := one.ended()) is not None:
                slowest_ms = max(counts.pop("slowest_ms", 0), found[name].pop("slowest_ms", 0))
                found[name] += counts
                found[name]["slowest_ms"] = slowest_ms
                del running[name]
                print(f"{name}: {dict(found[name])}", flush=True)
        time.sleep(0.02)
    return found, time.monotonic() - started


class Running:
    """A process with a batch."""

    def __init__(self, context: multiprocessing.context.ForkContext, batch: Batch) -> None:
        self._counts, theirs = context.Pipe(duplex=False)
        self._process = context.Process(target=run_batch, args=(batch, theirs), daemon=True)
        self._process.start()
        theirs.close()
        self._last, self._found = time.monotonic(), Counter[str]()

    def ended(self) -> Counter[str] | None:
        """Its counts once it is over; a process that died or hangs counts as one of its inputs that did."""
        while self._counts.poll():
            try:
                self._found, is_over = self._counts.recv()
            except EOFError:
                is_over = True
                self._found += Counter(inputs=1, tracebacks=1, died=1)
            self._last = time.monotonic()
            if is_over:
                self._process.join()
                return self._found
        if time.monotonic() - self._last > WAIT_S:
            self._process.kill()
            self._process.join()
            return self._found + Counter(inputs=1, hangs=1)
        return None


def row(counts: Counter[str]) -> dict[str, float]:
    """Of the table."""
    kept = ("inputs", "accepted", "refused", "tracebacks", "hangs", "outside")
    return {**{name: counts[name] for name in kept}, "slowest_s": counts["slowest_ms"] / 1000}


def bad(counts: Counter[str]) -> int:
    """Inputs that went wrong."""
    return counts["tracebacks"] + counts["hangs"] + counts["outside"]


if __name__ == "__main__":
    main()
