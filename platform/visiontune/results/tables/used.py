"""What a search used of what it was expected to take: epochs, hours, GPU hours, bytes on the disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from visiontune.errors import plural
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.results.screens.text import duration
from visiontune.tuning.preflight.forecast import Forecast
from visiontune.tuning.records.records import StudyRecord


def used_line(study: StudyRecord, folder: StudyFolder) -> str:
    """One line; "" of a study that is older than forecasts."""
    if not study.forecast or not study.spent:
        return ""
    parts = [*_times(study.spent, study.forecast)]
    most = Forecast(**study.forecast).study_bytes
    return f"used: {', '.join(parts)}, {megabytes(bytes_of(folder.path))} in the study's folder (forecast at most {megabytes(most)})"


def _times(spent: Mapping[str, float], forecast: Mapping[str, Any]) -> list[str]:
    """Each with what was forecast of it, where anything was; no GPU hours where there were none."""
    shown = {
        "epochs": lambda value: plural(round(value), "epoch"),
        "hours": lambda value: duration(3600 * value),
        "gpu_hours": "{:.3g} GPU hours".format,
    }
    return [_told(show, spent.get(key, 0.0), forecast.get(key)) for key, show in shown.items() if key != "gpu_hours" or spent.get(key)]


def _told(show: Callable[[float], str], spent: float, forecast: float | None) -> str:
    return show(spent) + (f" (forecast {show(forecast)})" if forecast is not None else "")


def storage_line(found: Forecast, picture_bytes: int) -> str:
    """What it may take of a disk at the most."""
    parts = {"checkpoints": found.checkpoint_bytes, "weights": found.weight_bytes, "records": found.record_bytes}
    listed = ", ".join(f"{what} {megabytes(size)}" for what, size in parts.items() if size)
    beside = f"MLflow {megabytes(found.mlflow_bytes)}, pictures {megabytes(picture_bytes)}"
    return f"at most {megabytes(found.study_bytes)} in the study's folder ({listed}); {beside}"


def bytes_of(folder: Path) -> int:
    """All files in it, of which some may go while they are counted."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.stat().st_size if path.is_file() else 0
    return total


def megabytes(size: int) -> str:
    """
    >>> megabytes(3_200_000), megabytes(25_000_000_000)
    ('3.2 MB', '25 GB')
    """
    return f"{size / 1e9:.3g} GB" if size >= 10**9 else f"{size / 1e6:.3g} MB"
