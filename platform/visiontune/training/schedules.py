"""lr schedules: (step, val losses so far) -> multiplier of the peak learning rate.

`step` counts optimizer steps from 0; `val_losses` has one entry for each finished epoch. They are functions without a
state, so a resumed run needs nothing but the two. Warm-up multiplies whatever follows it by (step + 1) / warm-up steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

LrSchedule = Callable[[int, tuple[float, ...]], float]


def constant(*, steps_per_epoch: int, num_epochs: int, warmup_epochs: int = 0) -> LrSchedule:
    """1 after warm-up (torch's LinearLR, ConstantLR)."""
    num_warmup = warmup_epochs * steps_per_epoch
    return lambda step, val_losses: _warmup(step, num_warmup)


def step(*, steps_per_epoch: int, num_epochs: int, warmup_epochs: int = 0, step_epochs: int = 10, gamma: float = 0.1) -> LrSchedule:
    """gamma^k after k * step_epochs epochs, counted from the first one, warm-up included (torch's StepLR)."""
    num_warmup, num_steps = warmup_epochs * steps_per_epoch, step_epochs * steps_per_epoch
    return lambda step, val_losses: _warmup(step, num_warmup) * gamma ** (step // num_steps)


def cosine(*, steps_per_epoch: int, num_epochs: int, warmup_epochs: int = 0, final_fraction: float = 0.0) -> LrSchedule:
    """Half a cosine from 1 at the end of warm-up to final_fraction at the end of training (torch's CosineAnnealingLR)."""
    num_warmup = warmup_epochs * steps_per_epoch
    num_cosine = max(1, num_epochs * steps_per_epoch - num_warmup)

    def multiplier(step: int, val_losses: tuple[float, ...]) -> float:
        if step < num_warmup:
            return _warmup(step, num_warmup)
        share = min(1.0, (step - num_warmup) / num_cosine)
        return final_fraction + (1 - final_fraction) * (1 + math.cos(math.pi * share)) / 2

    return multiplier


def plateau(*, steps_per_epoch: int, num_epochs: int, warmup_epochs: int = 0, factor: float = 0.1, patience_epochs: int = 2) -> LrSchedule:
    """factor^k after k plateaus of val_loss, as torch's ReduceLROnPlateau finds them with its defaults."""
    num_warmup = warmup_epochs * steps_per_epoch
    # The losses change once an epoch, the step every batch.
    num_drops = lru_cache(maxsize=1)(lambda val_losses: _num_plateaus(val_losses, patience_epochs))
    return lambda step, val_losses: _warmup(step, num_warmup) * factor ** num_drops(val_losses)


def _warmup(step: int, num_warmup: int) -> float:
    return (step + 1) / num_warmup if step < num_warmup else 1.0


def _num_plateaus(val_losses: tuple[float, ...], patience_epochs: int) -> int:
    best, num_bad, num_plateaus = math.inf, 0, 0
    for loss in val_losses:
        if loss < best * (1 - 1e-4):  # torch's threshold: relative, 1e-4
            best, num_bad = loss, 0
        else:
            num_bad += 1
        if num_bad > patience_epochs:
            num_plateaus, num_bad = num_plateaus + 1, 0
    return num_plateaus
