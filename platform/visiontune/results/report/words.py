"""Figures with their units, as a person reads them."""

from __future__ import annotations

from visiontune.results.screens.text import duration, number
from visiontune.spec.tables.metrics import METRICS
from visiontune.tuning.ranking.constraints import shown

SHARES = frozenset(metric for metric, mode in METRICS.items() if mode == "max") | {"test_top1", "test_top5"}
"""Metrics from 0 to 1, which are shown as percentages."""

IN_WORDS = {
    "val_top1": "validation accuracy",
    "val_map": "validation mean average precision",
    "val_top5": "validation accuracy within five guesses",
    "val_loss": "validation loss",
    "train_loss": "training loss",
    "val_macro_recall": "validation recall, mean over classes",
    "val_macro_f1": "validation F1, mean over classes",
    "val_micro_f1": "validation F1, all classes together",
    "val_calibration_error": "validation calibration error",
}

COST_WORDS = {
    "num_parameters": "parameters",
    "multiply_adds": "multiply-adds",
    "weight_bytes": "weights",
    "latency_ms": "latency, one picture",
    "latency_p95_ms": "latency, 95 % below",
    "latency_64_ms": "latency, 64 pictures",
    "latency_64_p95_ms": "latency of 64, 95 % below",
    "train_s": "training",
    "gpu_hours": "GPU hours",
    "price": "price",
}


def figure(metric: str, value: float | None) -> str:
    """
    >>> figure("val_top1", 0.9234), figure("val_loss", 0.31415926), figure("val_top1", None)
    ('92.3\\xa0%', '0.3142', '-')
    """
    return f"{100 * value:.1f}\xa0%" if metric in SHARES and value is not None else number(value)


def between(metric: str, low: float | None, high: float | None) -> str:
    """An interval's ends with one unit, a share's within 0 to 100 %; empty where there is none.

    >>> between("val_top1", 0.9, 1.02), between("val_loss", 0.1, 0.25)
    ('90.0 to 100.0\\xa0%', '0.1 to 0.25')
    """
    if low is None or high is None:
        return ""
    if metric not in SHARES:
        return f"{number(low)} to {number(high)}"
    return f"{100 * max(0.0, low):.1f} to {100 * min(1.0, high):.1f}\xa0%"


def size(num_bytes: float) -> str:
    """
    >>> size(690_144), size(12), size(25_600_000)
    ('690\\xa0kB', '12\\xa0B', '25.6\\xa0MB')
    """
    for unit, of in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if num_bytes >= of:
            return f"{num_bytes / of:.3g}\xa0{unit}"
    return f"{num_bytes:g}\xa0B"


def count(value: float) -> str:
    """
    >>> count(57_123), count(1_810_000_000)
    ('57,123', '1.81 billion')
    """
    for word, of in (("billion", 1e9), ("million", 1e6)):
        if value >= of:
            return f"{value / of:.3g} {word}"
    return f"{value:,.0f}"


def cost(name: str, value: float | None) -> str:
    """What something costs, with its unit; "-" where that is not known."""
    if value is None:
        return "-"
    if name.endswith("_bytes"):
        return size(value)
    if name.endswith("_ms"):
        return f"{value:.3g}\xa0ms"
    if name.endswith("_s"):
        return duration(value).replace(" ", "\xa0") if value >= 10 else f"{value:.2g}\xa0s"
    return count(value) if name in ("num_parameters", "multiply_adds") else shown(value)
