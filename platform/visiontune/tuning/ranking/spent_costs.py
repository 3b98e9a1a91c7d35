"""What training a trial took, out of its seconds by epoch: seconds, GPU hours and, where an hour has a price, money."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def costs_spent(spent: Mapping[str, Any]) -> dict[str, float]:
    """By the names of `SPENT_COSTS`, of what the study notes of a trial: epoch_s, num_gpus, price_per_hour; nothing of nothing."""
    seconds = sum(float(one) for one in spent.get("epoch_s", {}).values())
    if not seconds:
        return {}
    found = {"train_s": seconds, "gpu_hours": seconds / 3600 * float(spent.get("num_gpus", 0.0))}
    price = spent.get("price_per_hour")
    return found if price is None else {**found, "price": seconds / 3600 * float(price)}
