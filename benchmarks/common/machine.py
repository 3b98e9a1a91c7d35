"""What stands beside every figure: the hardware, the versions and the commit; and the environment of measured processes."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DIGITS = ROOT / "search_spaces" / "digits.yaml"
VISIONTUNE = str(Path(sys.executable).with_name("visiontune"))
PACKAGES = ("torch", "ray", "optuna", "mlflow", "albumentations", "numpy", "datasets")
MEASURED = ("platform", "search_spaces", "benchmarks", ":!benchmarks/results")
"""What a commit has to hold for a figure to be its own."""


def hardware() -> str:
    """Processor, cores that this process may use, memory, GPU, and how busy it all was."""
    return f"{_cpu()}, {len(os.sched_getaffinity(0))} cores, {_memory_gb():.0f} GB, GPU: {_gpu()}, load {os.getloadavg()[0]:.1f}"


def versions() -> dict[str, str]:
    """Of Python and of the packages that figures depend on most, where they are installed."""
    return {"python": platform.python_version(), **{name: found for name in PACKAGES if (found := _version(name))}}


def commit(checkout: Path = ROOT) -> str:
    """Short, with a word where files that are measured differ from it."""
    try:
        name = _git(checkout, "rev-parse", "--short=12", "HEAD")
        return f"{name}, changed" if _git(checkout, "status", "--porcelain", "--", *MEASURED) else name
    except (OSError, subprocess.SubprocessError):
        return "none"


def command() -> str:
    """As it was typed, without this machine's paths."""
    words = [_without_folder(word) for word in sys.argv[1:]]
    return " ".join([f"benchmarks/{Path(sys.argv[0]).name}", *words])


def clean_env(**extra: str) -> dict[str, str]:
    """This environment with this checkout's package, without what would send studies, runs or threads elsewhere."""
    away = ("MLFLOW_TRACKING_URI", "VISIONTUNE_STUDIES", "RAY_ADDRESS", "OMP_NUM_THREADS")
    kept = {key: value for key, value in os.environ.items() if key not in away}
    return {**kept, "PYTHONPATH": str(ROOT / "platform"), **extra}


def _without_folder(word: str) -> str:
    name, equals, value = word.rpartition("=")
    path = Path(value)
    if not path.is_absolute():
        return word
    return name + equals + (str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name)


def _git(checkout: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", str(checkout), *words], capture_output=True, text=True, check=True).stdout.strip()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


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
