"""The learning-rate range test: the rate rises exponentially, step by step, until the loss diverges (Smith 2017).

Read off the curve: the rate at which the loss begins to fall, and the edge, the last rate before it leaves its floor.
For gradient descent on a quadratic that is 2 / (largest curvature), where every step begins to overshoot by more than it gains.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NUM_STEPS = 120
_WINDOW = 5
_RUN_AWAY = 4.0  # fastai's
_BEGUN, _LEFT = 0.1, 0.05
_NO_FALL = 0.02
# In deviations of one loss from batch to batch. Medians of five deviate by .54 (of normal noise), the least and the greatest of some
# 24 apart ones by about 1.1: noise alone ends 2.2 apart, and its least lies 1.1 below the start, with the start's own .4.
_NOISE_FALLS, _NOISE_LEAVES = 2.5, 3.0


@dataclass(frozen=True)
class RangeTest:
    """The loss before each step of a sweep. `begins` and `edge` are rates, None where the loss fell by no more than it varies.

    `not_finite_at` is the rate at which the loss was no number, None where it always was one.
    """

    lrs: tuple[float, ...]
    losses: tuple[float, ...]
    begins: float | None
    edge: float | None
    is_stopped: bool
    not_finite_at: float | None = None

    @property
    def suggested(self) -> tuple[float, float] | None:
        """Rates to search. A sweep sees the edge late, on noisy quadratics 0.8 to 1.9 times 2 / curvature: so a third of it."""
        if self.begins is None or self.edge is None:
            return None
        return min(self.begins, self.edge / 3), self.edge / 3


def range_test(step: Callable[[float], float], low: float, high: float, num_steps: int = NUM_STEPS) -> RangeTest:
    """Sweep from `low` to `high`; `step(lr)` takes one training step and gives the loss before it.

    It ends early where the loss is not finite, or its median over five steps is 4 times that of the first five.
    """
    lrs, losses = [], []
    is_stopped, not_finite_at = False, None
    for lr in np.geomspace(low, high, num_steps).tolist():
        loss = step(lr)
        if not math.isfinite(loss):
            is_stopped, not_finite_at = True, lr
            break
        lrs.append(lr)
        losses.append(loss)
        if len(losses) > 2 * _WINDOW and np.median(losses[-_WINDOW:]) > _RUN_AWAY * np.median(losses[:_WINDOW]):
            is_stopped = True
            break
    return RangeTest(tuple(lrs), tuple(losses), *_begin_and_edge(lrs, losses), is_stopped, not_finite_at)


def _begin_and_edge(lrs: Sequence[float], losses: Sequence[float]) -> tuple[float | None, float | None]:
    if len(losses) <= 2 * _WINDOW:
        return None, None
    smooth = smoothed(losses)
    start, bottom = float(np.median(losses[: 2 * _WINDOW])), int(smooth.argmin())
    fall, noise = start - float(smooth[bottom]), _noise(losses)
    if not fall > max(_NO_FALL * abs(start), _NOISE_FALLS * noise):
        return None, None
    # The last rate, not the first: before the fall a noisy loss is below any line now and then.
    begun = int(np.flatnonzero(np.insert(smooth[:bottom], 0, np.inf) > start - _BEGUN * fall)[-1])
    left = int(np.argmax(np.append(smooth[bottom:], np.inf) > smooth[bottom] + max(_LEFT * fall, _NOISE_LEAVES * noise))) + bottom
    return lrs[begun], lrs[left - 1]


def _noise(losses: Sequence[float]) -> float:
    """Standard deviation of one loss from batch to batch, from the median difference of neighbours, which a trend hardly changes."""
    return float(1.4826 * np.median(np.abs(np.diff(losses))) / math.sqrt(2))


def smoothed(losses: Sequence[float]) -> NDArray[np.float64]:
    """Median of five neighbours, fewer at the ends: unlike a running mean it moves neither a fall nor an edge."""
    half = _WINDOW // 2
    return np.array([np.median(losses[max(0, k - half) : k + half + 1]) for k in range(len(losses))])


def compare(low: float, high: float, test: RangeTest, key: str = "optimizer.lr") -> tuple[str, str]:
    """Verdict and hint for a file's rates from `low` to `high`, its param `key`, beside what a range test suggests.

    Lengths are counted in log(lr). A sweep is one recipe without warm-up: only a loss that was no number below `low` is bad.
    """
    if test.not_finite_at is not None and low >= test.not_finite_at:
        start = f" near {test.suggested[0]:.2g}" if test.suggested else f" far below {test.not_finite_at:.2g}"
        return "bad", f"the loss is no number from {test.not_finite_at:.2g} on, below every rate of the file: let {key} start{start}"
    if test.begins is None or test.edge is None or test.suggested is None:
        return "look", "no rate can be read off: see what the check of one batch says of this network, or take larger batches"
    first, last = test.suggested
    if low > test.edge:
        return "look", f"in the sweep the loss rises before the file's lowest rate: let {key} start near {first:.2g}"
    if high < first / 10:
        return "look", f"every rate of the file is far below where the loss begins to fall: let {key} reach up to {last:.2g}"
    if low == high:
        return ("ok", "") if first / 10 <= low <= test.edge else ("look", f"the one rate is outside: try {first:.2g} to {last:.2g}")
    if math.log(high / max(low, test.edge)) > 2 / 3 * math.log(high / low):
        return "look", f"most rates of the file are too high here: if no other pair needs them, let {key} end near {test.edge:.2g}"
    if high < last / 10:
        return "look", f"the file's range ends far below what works: let {key} reach up to {last:.2g}"
    return "ok", ""
