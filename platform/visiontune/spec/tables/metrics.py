"""The metrics of an epoch that can be an objective."""

from __future__ import annotations

FULL_METRICS = {"val_top5": "max", "val_macro_recall": "max", "val_macro_f1": "max", "val_calibration_error": "min"}
"""What use_full_metrics adds; apart, because torchmetrics takes seconds to import in every new worker."""

METRICS = {"val_top1": "max", "val_loss": "min", "train_loss": "min", **FULL_METRICS}
"""What a trial can report after every epoch, and which way is better. Those of FULL_METRICS only with use_full_metrics."""
