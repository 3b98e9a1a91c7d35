"""The metrics of an epoch that can be an objective."""

from __future__ import annotations

FULL_METRICS = {"val_top5": "max", "val_macro_recall": "max", "val_macro_f1": "max", "val_calibration_error": "min"}
"""What use_full_metrics adds; apart, because torchmetrics takes seconds to import in every new worker."""

METRICS = {"val_top1": "max", "val_loss": "min", "train_loss": "min", **FULL_METRICS}
"""What a trial can report after every epoch, and which way is better. Those of FULL_METRICS only with use_full_metrics."""

FORMER_METRICS = {
    **dict.fromkeys(("accuracy", "acc", "val_acc", "val_accuracy", "top1"), "which is val_top1 here"),
    **dict.fromkeys(("loss", "val_log_loss"), "which is val_loss here"),
    **dict.fromkeys(("f1", "val_f1", "macro_f1"), "which is val_macro_f1 here"),
    **dict.fromkeys(("recall", "val_recall", "balanced_accuracy", "val_balanced_accuracy"), "which is val_macro_recall here"),
    **dict.fromkeys(("ece", "val_ece"), "which is val_calibration_error here"),
}
"""Names that people know from elsewhere."""
