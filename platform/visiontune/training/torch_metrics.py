"""Metrics beyond loss and top-1, from torchmetrics: logits_NK float32 and y_N int64, over the pictures of a split.

This module imports torchmetrics, 3.5 s: import it where the metrics are asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics import MetricCollection
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassCalibrationError,
    MulticlassConfusionMatrix,
    MulticlassF1Score,
    MulticlassPrecision,
    MulticlassRecall,
)

from visiontune.training.class_figures import ClassTable
from visiontune.training.input.epoch_order import batch_bounds

if TYPE_CHECKING:
    from visiontune.training.input.batches import Pictures

Model = Callable[[Tensor], Tensor]

NUM_BINS = 15
_BELOW_1 = 1 - 2**-24
"""The largest float32 below 1."""
# Each rank of several has the logits of all; left to itself a metric would add up those of torch's process group.
_KEPT = {"validate_args": False, "sync_on_compute": False}


class FullMetrics:
    """Collects batches. top5 is the share of pictures whose class is among the five highest logits, with five or fewer classes
    among all but the lowest; macro_recall is the mean over the classes that have pictures (scikit-learn's balanced accuracy),
    macro_f1 over those that have some or are predicted (its f1_score); calibration_error is that of 15 equal bins of the highest
    probability, weighted by their pictures (Guo et al. 2017).
    """

    def __init__(self, num_classes: int, device: torch.device) -> None:
        kept: dict[str, Any] = {"num_classes": num_classes, **_KEPT}
        self.by_logits = MetricCollection(
            {
                "top5": MulticlassAccuracy(top_k=min(5, num_classes - 1), average="micro", **kept),
                "macro_recall": MulticlassRecall(average="none", **kept),
                "macro_f1": MulticlassF1Score(average="macro", **kept),
            }
        ).to(device)
        self.occurs_K = torch.zeros(num_classes, dtype=torch.bool, device=device)
        self.calibration = MulticlassCalibrationError(n_bins=NUM_BINS, norm="l1", **kept).to(device)

    def update(self, logits_NK: Tensor, y_N: Tensor) -> None:
        """Take in a batch."""
        self.by_logits.update(logits_NK, y_N)
        self.occurs_K[y_N] = True
        # Left to itself it takes logits that happen to lie in [0, 1] for probabilities, and has a bin of its own for 1.
        self.calibration.update(logits_NK.softmax(1).clamp(max=_BELOW_1), y_N)

    def compute(self, *, is_finite: bool = True) -> dict[str, float]:
        """{"top5", "macro_recall", "macro_f1", "calibration_error"}; NaN all of them where the logits were not finite."""
        if not is_finite:
            return dict.fromkeys(("top5", "macro_recall", "macro_f1", "calibration_error"), math.nan)
        found = self.by_logits.compute()
        # torchmetrics' own mean counts a class that is predicted and has no pictures as 0.
        found["macro_recall"] = found["macro_recall"][self.occurs_K].mean()
        figures = {name: value.item() for name, value in found.items()}
        return {**figures, "calibration_error": self.calibration.compute().item()}


def test_table(model: Model, pictures: Pictures, class_names: Sequence[str], batch_size: int = 512) -> ClassTable:
    """The table of each class over these pictures; `model` must be in evaluation mode."""
    kept: dict[str, Any] = {"num_classes": len(class_names), **_KEPT}
    metrics = MetricCollection(
        {
            "precision": MulticlassPrecision(average="none", **kept),
            "recall": MulticlassRecall(average="none", **kept),
            "f1": MulticlassF1Score(average="none", **kept),
            "confusion": MulticlassConfusionMatrix(**kept),
        }
    ).to(pictures.device)
    with torch.inference_mode():
        for x_NCHW, y_N in pictures.batches(np.arange(len(pictures)), batch_bounds(len(pictures), batch_size)):
            metrics.update(model(x_NCHW).float().argmax(1), y_N)
    found = {name: value.tolist() for name, value in metrics.compute().items()}
    confusion = tuple(map(tuple, found["confusion"]))
    columns = {name: tuple(found[name]) for name in ("precision", "recall", "f1")}
    return ClassTable(tuple(class_names), **columns, support=tuple(map(sum, confusion)), confusion=confusion)
