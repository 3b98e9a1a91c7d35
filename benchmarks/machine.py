"""What every benchmark prints beside its figures: the machine, the versions, how many runs; and plain tables.

Run as a program it prints that line alone:
    .venv/bin/python benchmarks/machine.py
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DIGITS = ROOT / "search_spaces" / "digits.yaml"
VISIONTUNE = str(Path(sys.executable).with_name("visiontune"))
PACKAGES = ("torch", "ray", "optuna", "mlflow", "albumentations", "numpy")


def line(num_runs: int, what: str = "runs") -> str:
    """Hardware, versions, commit, date and n, in two lines."""
    versions = " ".join(f"{name} {_version(name)}" for name in PACKAGES)
    hardware = f"{_cpu()}, {len(os.sched_getaffinity(0))} cores, {_memory_gb():.0f} GB, GPU: {_gpu()}, load {os.getloadavg()[0]:.1f}"
    about = f"{_commit()}; {time.strftime('%Y-%m-%d')}; n = {num_runs} {what}"
    return f"machine: {hardware}\nwith: Python {platform.python_version()} {versions}; {about}"


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns as wide as their widest cell; the first one to the left, numbers to the right."""
    cells = [[str(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(row[k]) for row in cells) for k in range(len(header))]
    lines = [
        "  ".join(cell.ljust(width) if k == 0 else cell.rjust(width) for k, (cell, width) in enumerate(zip(row, widths, strict=True)))
        for row in cells
    ]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def against(what: str, value: float, target: float, *, is_at_most: bool = False, unit: str = "x") -> str:
    """One line of verdict: the figure, what was wanted, whether it is met."""
    is_met = value <= target if is_at_most else value >= target
    sign = "<=" if is_at_most else ">="
    return f"RATIO {what}: {value:.2f}{unit} (wanted {sign} {target:g}{unit}: {'met' if is_met else 'MISSED'})"


def clean_env(**extra: str) -> dict[str, str]:
    """This environment without what would send studies, runs or threads elsewhere."""
    away = ("MLFLOW_TRACKING_URI", "VISIONTUNE_STUDIES", "RAY_ADDRESS", "OMP_NUM_THREADS")
    return {**{key: value for key, value in os.environ.items() if key not in away}, **extra}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()


def _memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9


def _gpu() -> str:
    query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        names = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout.split("\n")
        return names[0].strip() or "none"
    except (OSError, subprocess.SubprocessError):
        return "none"


def _commit() -> str:
    ask = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    try:
        return "commit " + subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "no commit"


if __name__ == "__main__":
    print(line(0))
