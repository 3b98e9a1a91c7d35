"""How long the commands take that train nothing, beside their limits and beside `import torch`.

    .venv/bin/python benchmarks/startup.py          # medians of 5 runs of each, 1 minute on 2 cores

Whole processes, files in the page cache (one run of each is thrown away). `show` is of a study with 24 ended trials, made here
without training. The ratio is against `python -c "import torch"`, what any command pays that touches a tensor.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import machine
from common.result import Result, arguments, median_of, parse

LIMITS_S = {"--help": 0.5, "a wrong file": 1.0, "sample": 2.0, "show": 2.0, "check": 8.0}
EXITS = {"a wrong file": 2}
PEER = "import torch"


def commands(folder: Path) -> dict[str, list[str]]:
    """What is timed, by name."""
    wrong = folder / "wrong.yaml"
    text = machine.DIGITS.read_text().replace("max_epochs: 9", "max_epochs: 10").replace("dropout:", "dropuot:")
    wrong.write_text(text)
    digits = str(machine.DIGITS)
    return {
        "--help": [machine.VISIONTUNE, "--help"],
        "a wrong file": [machine.VISIONTUNE, "check", str(wrong)],
        "sample": [machine.VISIONTUNE, "sample", digits, "-n", "3", "--seed", "0"],
        "show": [machine.VISIONTUNE, "show", "digits", "--studies-dir", str(folder)],
        "check": [machine.VISIONTUNE, "check", digits],
        PEER: [sys.executable, "-c", PEER],
    }


def make_study(folder: Path) -> None:
    """A finished study named digits, by a search whose trials answer at once."""
    from parts.idle_search import Meter, make_spec, run_without_ray
    from visiontune.filesystem.study_folder import StudiesFolder

    studies = StudiesFolder(folder)
    run_without_ray(make_spec(24, "random"), studies, Meter([]))
    studies.study("digits").lock.touch()


def seconds(command: list[str], expected: int) -> float:
    """One whole process; ends the benchmark if it does not end as it should."""
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env=machine.clean_env())
    spent_s = time.perf_counter() - started
    if done.returncode != expected:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr or done.stdout}")
    return spent_s


def main() -> None:
    """Time each command in turn, so that a slow minute of the machine hits all of them."""
    parser = arguments(__doc__)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--thrown-away", type=int, default=1, help="runs of each before those")
    args = parse(parser, repeat=1, thrown_away=0)
    result = Result("startup", args, args.repeat, "runs of each command")
    with tempfile.TemporaryDirectory(prefix="visiontune-startup-") as folder:
        make_study(Path(folder))
        todo = commands(Path(folder))
        rounds = [
            {name: seconds(command, EXITS.get(name, 0)) for name, command in todo.items()} for _ in range(args.thrown_away + args.repeat)
        ]
    spent_s = {name: [one[name] for one in rounds[args.thrown_away :]] for name in todo}
    medians = {name: statistics.median(values) for name, values in spent_s.items()}
    rows = {name: {**median_of("median_s", values), "per_import_torch": medians[name] / medians[PEER]} for name, values in spent_s.items()}
    result.table("command", rows)
    for name, limit_s in LIMITS_S.items():
        result.target(name, medians[name], limit_s, is_at_most=True, unit=" s")
    result.write()


if __name__ == "__main__":
    main()
