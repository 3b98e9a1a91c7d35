"""How exactly a share is known, and a mean of few values: 95 % intervals."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from visiontune.spec.tables.metrics import range_of

_Z = 1.959963984540054


def wilson_interval(num_right: int, num: int) -> tuple[float, float]:
    """The 95 % interval of a share that was seen as `num_right` of `num` (Wilson 1927); it stays within 0 to 1.

    >>> [round(end, 4) for end in wilson_interval(9, 10)]
    [0.5958, 0.9821]
    """
    if num == 0:
        return 0.0, 1.0
    share, spread = num_right / num, _Z**2 / num
    middle = share + spread / 2
    half = _Z * math.sqrt(share * (1 - share) / num + spread / (4 * num))
    return max(0.0, (middle - half) / (1 + spread)), min(1.0, (middle + half) / (1 + spread))


def mean_interval(values: Sequence[float], metric: str = "") -> tuple[float, float] | None:
    """The interval of the mean, by Student's t; None for fewer than two values. That of a `metric` is cut at what its values lie within.

    >>> [round(end, 4) for end in mean_interval([0.9, 0.95, 1.0], "val_top1") or ()]
    [0.8258, 1.0]
    """
    half = half_width(values)
    if half is None:
        return None
    mean, (least, most) = statistics.fmean(values), range_of(metric) if metric else (-math.inf, math.inf)
    return max(least, mean - half), min(most, mean + half)


def half_width(values: Sequence[float]) -> float | None:
    """Half of the interval of the mean, by Student's t; None for fewer than two values.

    >>> round(half_width([1.0, 2.0, 3.0]), 4)
    2.4841
    """
    if len(values) < 2:
        return None
    from scipy.stats import t

    return float(t.ppf(0.975, len(values) - 1)) * statistics.stdev(values) / math.sqrt(len(values))
