"""The metrics that every epoch reports."""

from __future__ import annotations

METRICS = {"val_top1": "max", "val_loss": "min", "train_loss": "min"}
"""What every trial reports after every epoch, and which way is better."""
