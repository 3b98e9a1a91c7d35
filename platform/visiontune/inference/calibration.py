"""Whether a network's probabilities are as often right as they say, and the one temperature that makes them so.

Guo et al. 2017: logits divided by a temperature T that is fitted to pictures not trained on. It changes no predicted class. The diagram
and the expected calibration error have 15 equal bins of the highest probability, as theirs and torchmetrics' have.
Letters: N pictures, K classes, B bins.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from visiontune.errors import UserError
from visiontune.filesystem.atomic_write import replacing
from visiontune.inference.intervals import wilson_interval

NUM_BINS = 15
LOWEST, HIGHEST = 0.01, 100.0
"""Temperatures in which the best is sought."""
_NUM_HALVINGS = 50

Labels = Tensor | NDArray[np.int64]


def fit_temperature(logits_NK: Tensor, y_N: Labels) -> float:
    """The temperature from 0.01 to 100 with the least mean cross-entropy of logits / temperature.

    1.0 where every picture is right (or there is none): the colder, the better then, and nothing says where to stop. Raises UserError for
    logits that are not finite.
    """
    z_NK, y = logits_NK.double(), torch.from_numpy(np.array(y_N))
    if not bool(torch.isfinite(z_NK).all()):
        raise UserError("a temperature can't be fitted: the network's outputs on validation pictures are NaN or infinite")
    right_N = z_NK.gather(1, y[:, None])[:, 0]
    if len(y) == 0 or bool((right_N >= z_NK.amax(1)).all()):
        return 1.0
    # The cross-entropy is convex in 1 / T, and this, its slope, rises: mean logit by the probabilities, less that of the true class.
    low, high = math.log(1 / HIGHEST), math.log(1 / LOWEST)
    for _ in range(_NUM_HALVINGS):
        middle = (low + high) / 2
        p_NK = (z_NK * math.exp(middle)).softmax(1)
        low, high = (middle, high) if float(((p_NK * z_NK).sum(1) - right_N).mean()) < 0 else (low, middle)
    return math.exp(-(low + high) / 2)


@dataclass(frozen=True)
class Reliability:
    """A row for each bin (i / 15, (i + 1) / 15] of the highest probability: pictures, their mean probability and the share that is right.

    Of an empty bin both are NaN. `error` is the expected calibration error, the mean distance of the two, weighted by pictures.
    """

    num_B: tuple[int, ...]
    probability_B: tuple[float, ...]
    top1_B: tuple[float, ...]
    error: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON can carry it: None for NaN."""
        content = asdict(self)
        return content | {name: [None if math.isnan(x) else x for x in content[name]] for name in ("probability_B", "top1_B")}


def reliability(logits_NK: Tensor, y_N: Labels, temperature: float = 1.0) -> Reliability:
    """Of logits / temperature."""
    highest_N, taken_N = (logits_NK.double() / temperature).softmax(1).max(1)
    bin_N = (highest_N * NUM_BINS).ceil().long().clamp(1, NUM_BINS).numpy() - 1
    is_right_N = taken_N.numpy() == np.asarray(y_N)
    num_B = np.bincount(bin_N, minlength=NUM_BINS)
    sums = [np.bincount(bin_N, weights, NUM_BINS) for weights in (highest_N.numpy(), is_right_N)]
    with np.errstate(invalid="ignore"):
        probability_B, top1_B = (one / num_B for one in sums)
    error = float(np.abs(sums[0] - sums[1]).sum() / max(len(bin_N), 1))
    return Reliability(tuple(num_B.tolist()), tuple(probability_B.tolist()), tuple(top1_B.tolist()), error)


def plot_reliability(diagrams: dict[str, Reliability], path: Path) -> None:
    """Write a PNG of the share that is right against the probability, with its 95 % interval, and of where the pictures are.

    Raises OSError.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # pyplot would look for a display
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 6), layout="constrained")
    FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.plot([0, 1], [0, 1], color="grey", linestyle=":", label="as often right as it says")
    edges = np.linspace(0, 1, NUM_BINS + 1)
    for name, one in diagrams.items():
        upper.errorbar(*_points(one), fmt="o", markersize=4, elinewidth=1, clip_on=False, label=f"{name}: off by {one.error:.1%}")
        lower.stairs(np.divide(one.num_B, max(sum(one.num_B), 1)), edges)
    upper.set(xlim=(0, 1), ylim=(0, 1), ylabel="share that is right")
    upper.legend(fontsize="small", loc="lower left", bbox_to_anchor=(0, 1), frameon=False)
    lower.set(xlabel="probability of the predicted class", ylabel="share of pictures")
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=120, format="png")


def _points(one: Reliability) -> tuple[list[float], list[float], list[list[float]]]:
    """Probabilities, shares, and how far the interval of a share lies below and above it; of the bins that have pictures."""
    rows = [row for row in zip(one.probability_B, one.top1_B, one.num_B, strict=True) if row[2]]
    ends = [wilson_interval(round(share * num), num) for _, share, num in rows]
    below = [max(0.0, share - low) for (_, share, _), (low, _) in zip(rows, ends, strict=True)]
    above = [max(0.0, high - share) for (_, share, _), (_, high) in zip(rows, ends, strict=True)]
    return [row[0] for row in rows], [row[1] for row in rows], [below, above]
