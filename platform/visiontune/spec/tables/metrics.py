"""The metrics of an epoch that can be an objective."""

from __future__ import annotations

import math

from visiontune.spec.tables.costs import COSTS, SPENT_COSTS

FULL_METRICS = {
    "val_top5": "max",
    "val_macro_recall": "max",
    "val_macro_f1": "max",
    "val_micro_f1": "max",
    "val_calibration_error": "min",
}
"""What use_full_metrics adds; apart, because torchmetrics takes seconds to import in every new worker."""

METRICS = {"val_top1": "max", "val_map": "max", "val_loss": "min", "train_loss": "min", **FULL_METRICS}
"""What a trial can report after every epoch, and which way is better. Those of FULL_METRICS only with use_full_metrics."""

OF_MANY = ("val_map", "val_loss", "train_loss", "val_macro_f1", "val_micro_f1")
"""Those of pictures with several classes."""

OF_ONE = tuple(name for name in METRICS if name not in ("val_map", "val_micro_f1"))
"""Those of pictures with one."""


def range_of(metric: str) -> tuple[float, float]:
    """What its values lie within.

    >>> range_of("val_top1"), range_of("val_loss")
    ((0.0, 1.0), (0.0, inf))
    """
    return 0.0, math.inf if metric.endswith("loss") else 1.0


FORMER_METRICS = {
    **dict.fromkeys(COSTS, "which is a cost and stands after a metric, as in [val_top1, num_parameters]"),
    **dict.fromkeys(("accuracy", "acc", "val_acc", "val_accuracy", "top1"), "which is val_top1 here"),
    **dict.fromkeys(("loss", "val_log_loss"), "which is val_loss here"),
    **dict.fromkeys(("f1", "val_f1", "macro_f1"), "which is val_macro_f1 here"),
    **dict.fromkeys(("map", "mean_average_precision", "val_mean_average_precision"), "which is val_map here"),
    **dict.fromkeys(("recall", "val_recall", "balanced_accuracy", "val_balanced_accuracy"), "which is val_macro_recall here"),
    **dict.fromkeys(("ece", "val_ece"), "which is val_calibration_error here"),
}
"""Names that people know from elsewhere."""

NO_COSTS = {
    **dict.fromkeys(METRICS, "which is a metric, of which there is one, in the first place"),
    **dict.fromkeys(SPENT_COSTS, "which is known only once a trial is trained"),
}
"""What is no cost that trials can be compared by."""
