"""lr schedules that are curves over what is left after warm-up; lr_schedule.py says what a schedule is."""

from __future__ import annotations

import math
from collections.abc import Callable

from visiontune.training.lr_schedule import LrSchedule, in_steps, rise

Curve = Callable[[int], float]


def exponential(
    *,
    steps_per_epoch: int,
    num_epochs: int,
    warmup_epochs: int = 0,
    warmup_share: float = 0.0,
    decay_epochs: int = 1,
    decay_share: float = 0.0,
    gamma: float = 0.95,
) -> LrSchedule:
    """gamma^(step / decay), so gamma once every decay_epochs (torch's ExponentialLR, stepped every batch)."""
    num_warmup = in_steps(warmup_epochs, warmup_share, steps_per_epoch, num_epochs)
    num_decay = in_steps(decay_epochs, decay_share, steps_per_epoch, num_epochs)
    return _after(num_warmup, lambda step: gamma ** (step / num_decay))


def polynomial(
    *,
    steps_per_epoch: int,
    num_epochs: int,
    warmup_epochs: int = 0,
    warmup_share: float = 0.0,
    power: float = 1.0,
    final_fraction: float = 0.0,
) -> LrSchedule:
    """From 1 to final_fraction at the end of training, as (share that is left)^power (torch's PolynomialLR)."""
    num_warmup = in_steps(warmup_epochs, warmup_share, steps_per_epoch, num_epochs)
    num_steps = max(1, num_epochs * steps_per_epoch - num_warmup)
    return _after(num_warmup, lambda step: final_fraction + (1 - final_fraction) * max(0.0, 1 - step / num_steps) ** power)


def cosine(
    *, steps_per_epoch: int, num_epochs: int, warmup_epochs: int = 0, warmup_share: float = 0.0, final_fraction: float = 0.0
) -> LrSchedule:
    """Half a cosine from 1 at the end of warm-up to final_fraction at the end of training (torch's CosineAnnealingLR)."""
    num_warmup = in_steps(warmup_epochs, warmup_share, steps_per_epoch, num_epochs)
    num_steps = max(1, num_epochs * steps_per_epoch - num_warmup)
    return _after(num_warmup, lambda step: _cosine(1.0, final_fraction, min(1.0, step / num_steps)))


def cosine_restarts(
    *,
    steps_per_epoch: int,
    num_epochs: int,
    warmup_epochs: int = 0,
    warmup_share: float = 0.0,
    period_epochs: int = 10,
    period_share: float = 0.0,
    period_factor: int = 2,
    final_fraction: float = 0.0,
) -> LrSchedule:
    """Cosines from 1 to final_fraction, each period_factor times as long as the last (torch's CosineAnnealingWarmRestarts)."""
    num_warmup = in_steps(warmup_epochs, warmup_share, steps_per_epoch, num_epochs)
    num_first = in_steps(period_epochs, period_share, steps_per_epoch, num_epochs)

    def curve(step: int) -> float:
        period, left = num_first, step % num_first if period_factor == 1 else step
        while left >= period:
            left, period = left - period, period * period_factor
        return _cosine(1.0, final_fraction, left / period)

    return _after(num_warmup, curve)


def one_cycle(
    *,
    steps_per_epoch: int,
    num_epochs: int,
    warmup_epochs: int = 0,
    warmup_share: float = 0.0,
    rise_share: float = 0.3,
    rise_epochs: int = 0,
    start_fraction: float = 0.04,
    final_fraction: float = 4e-6,
    shape: str = "cosine",
) -> LrSchedule:
    """From start_fraction up to 1 and down to final_fraction, over all that follows warm-up (torch's OneCycleLR).

    The rate alone: torch can let the momentum fall while the rate rises, here it stays. rise_epochs above 0 count instead
    of rise_share. As torch counts, the last step has the final multiplier and step rise - 1 the peak.
    """
    num_warmup = in_steps(warmup_epochs, warmup_share, steps_per_epoch, num_epochs)
    peak = in_steps(rise_epochs, 0.0 if rise_epochs else rise_share, steps_per_epoch, num_epochs) - 1
    last = num_epochs * steps_per_epoch - num_warmup - 1
    between = _cosine if shape == "cosine" else _line

    def curve(step: int) -> float:
        if step < peak:
            return between(start_fraction, 1.0, step / peak)
        return between(1.0, final_fraction, min(1.0, (step - max(0, peak)) / max(1, last - max(0, peak))))

    return _after(num_warmup, curve)


def cyclic(
    *,
    steps_per_epoch: int,
    num_epochs: int,
    warmup_epochs: int = 0,
    warmup_share: float = 0.0,
    cycle_epochs: int = 8,
    cycle_share: float = 0.0,
    low_fraction: float = 0.1,
    cycle_factor: float = 1.0,
) -> LrSchedule:
    """Triangles from low_fraction up to 1 and back; the k-th one's height is cycle_factor^k (torch's CyclicLR)."""
    num_warmup = in_steps(warmup_epochs, warmup_share, steps_per_epoch, num_epochs)
    num_cycle = in_steps(cycle_epochs, cycle_share, steps_per_epoch, num_epochs)

    def curve(step: int) -> float:
        height = 1 - abs(2 * (step % num_cycle) / num_cycle - 1)
        return low_fraction + (1 - low_fraction) * height * cycle_factor ** (step // num_cycle)

    return _after(num_warmup, curve)


def _after(num_warmup: int, curve: Curve) -> LrSchedule:
    return lambda step, val_losses: rise(step, num_warmup) * curve(max(0, step - num_warmup))


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def _line(start: float, end: float, share: float) -> float:
    return start + (end - start) * share
