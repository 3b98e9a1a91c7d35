"""lr schedules: (step, val losses so far) -> multiplier of the peak learning rate.

`step` counts optimizer steps from 0; `val_losses` has one entry for each finished epoch. They are functions without a
state, so a resumed run needs nothing but the two. A schedule spans the full budget of num_epochs, at whatever rung a trial waits or stops.

Durations are `*_epochs`, or `*_share` of the full budget. Warm-up is (step + 1) / warm-up steps times what follows at its
start. Drops, which are here, count from the first epoch, warm-up included; lr_schedule_curves.py has what begins after it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

LrSchedule = Callable[[int, tuple[float, ...]], float]


def in_steps(epochs: int, share: float, steps_per_epoch: int, num_epochs: int) -> int:
    """A duration in steps: the share of the full budget where it is above 0 (part of a step counts whole), else the epochs."""
    total = num_epochs * steps_per_epoch
    return max(1, math.ceil(share * total - 1e-6)) if share > 0 else epochs * steps_per_epoch


def rise(step: int, num_warmup: int) -> float:
    """The factor of warm-up: linearly up to 1, and 1 after it."""
    return (step + 1) / num_warmup if step < num_warmup else 1.0


def constant(*, steps_per_epoch: int, num_epochs: int, warmup_epochs: int = 0, warmup_share: float = 0.0) -> LrSchedule:
    """1 after warm-up (torch's LinearLR, ConstantLR)."""
    num_warmup = in_steps(warmup_epochs, warmup_share, steps_per_epoch, num_epochs)
    return lambda step, val_losses: rise(step, num_warmup)


def step(
    *,
    steps_per_epoch: int,
    num_epochs: int,
    warmup_epochs: int = 0,
    warmup_share: float = 0.0,
    step_epochs: int = 10,
    step_share: float = 0.0,
    gamma: float = 0.1,
) -> LrSchedule:
    """gamma^k after k times step_epochs (torch's StepLR)."""
    num_warmup = in_steps(warmup_epochs, warmup_share, steps_per_epoch, num_epochs)
    num_steps = in_steps(step_epochs, step_share, steps_per_epoch, num_epochs)
    return lambda step, val_losses: rise(step, num_warmup) * gamma ** (step // num_steps)


def multi_step(
    *,
    steps_per_epoch: int,
    num_epochs: int,
    warmup_epochs: int = 0,
    warmup_share: float = 0.0,
    first_drop_share: float = 0.5,
    first_drop_epochs: int = 0,
    second_drop_share: float = 0.75,
    second_drop_epochs: int = 0,
    third_drop_share: float = 1.0,
    third_drop_epochs: int = 0,
    gamma: float = 0.1,
) -> LrSchedule:
    """gamma^k after k drops, in whatever order they are given; epochs above 0 count instead of the share (torch's MultiStepLR).

    Three numbers and not a list: each is a parameter of its own, which a sampler can model.
    """
    num_warmup = in_steps(warmup_epochs, warmup_share, steps_per_epoch, num_epochs)
    shares = (first_drop_share, second_drop_share, third_drop_share)
    epochs = (first_drop_epochs, second_drop_epochs, third_drop_epochs)
    drops = [in_steps(one, 0.0 if one else share, steps_per_epoch, num_epochs) for one, share in zip(epochs, shares, strict=True)]
    return lambda step, val_losses: rise(step, num_warmup) * gamma ** sum(step >= drop for drop in drops)


def plateau(
    *,
    steps_per_epoch: int,
    num_epochs: int,
    warmup_epochs: int = 0,
    warmup_share: float = 0.0,
    factor: float = 0.1,
    patience_epochs: int = 2,
    patience_share: float = 0.0,
) -> LrSchedule:
    """factor^k after k plateaus of val_loss, as torch's ReduceLROnPlateau finds them with its defaults."""
    num_warmup = in_steps(warmup_epochs, warmup_share, steps_per_epoch, num_epochs)
    patience = in_steps(patience_epochs, patience_share, 1, num_epochs)
    # The losses change once an epoch, the step every batch.
    num_drops = lru_cache(maxsize=1)(lambda val_losses: _num_plateaus(val_losses, patience))
    return lambda step, val_losses: rise(step, num_warmup) * factor ** num_drops(val_losses)


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
