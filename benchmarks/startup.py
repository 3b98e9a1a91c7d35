"""How long the commands take that train nothing, beside their limits and beside `import torch`.

    .venv/bin/python benchmarks/startup.py          # medians of 5 runs of each, 1 minute on 2 cores

Whole processes, files in the page cache (one run of each is thrown away). `show` is of a study with 24 ended trials, made here
without training. The ratio is against `python -c "import torch"`, what any command pays that touches a tensor.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import machine

LIMITS_S = {"--help": 0.5, "a wrong file": 1.0, "sample": 2.0, "show": 2.0, "check": 8.0}
EXITS = {"a wrong file": 2}


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
        "import torch": [sys.executable, "-c", "import torch"],
    }


def make_study(folder: Path) -> None:
    """A finished study named digits, by a session whose trials answer at once."""
    from control import make_spec, run_session

    run_session(make_spec(folder, 24, "random"), folder / "digits")
    (folder / "digits" / "driver.lock").touch()


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
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--repeat", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="visiontune-startup-") as folder:
        make_study(Path(folder))
        todo = commands(Path(folder))
        spent_s: dict[str, list[float]] = {name: [] for name in todo}
        for index in range(args.repeat + 1):
            for name, command in todo.items():
                one_s = seconds(command, EXITS.get(name, 0))
                if index:
                    spent_s[name].append(one_s)
    medians = {name: statistics.median(values) for name, values in spent_s.items()}
    print(machine.line(args.repeat, "runs of each"))
    rows = [[name, f"{medians[name]:.2f}", f"{min(values):.2f}", f"{max(values):.2f}"] for name, values in spent_s.items()]
    print(machine.table(["command", "median s", "min", "max"], rows))
    for name, limit_s in LIMITS_S.items():
        print(machine.against(name, medians[name], limit_s, is_at_most=True, unit=" s"))
        print(f"RATIO {name} / import torch: {medians[name] / medians['import torch']:.2f}x")


if __name__ == "__main__":
    main()
