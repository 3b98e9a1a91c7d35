"""Every lr schedule, step by step, against torch's own on a real optimizer."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from tiny import defaults
from torch.optim import lr_scheduler as reference

from visiontune.spec.tables.schedules import LR_SCHEDULES
from visiontune.training import schedules

STEPS, EPOCHS = 5, 8


def torch_optimizer() -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)


def multipliers(schedule: schedules.LrSchedule, val_losses: tuple[float, ...] = ()) -> list[float]:
    return [schedule(step, val_losses[: step // STEPS]) for step in range(STEPS * EPOCHS)]


def followed(optimizer: torch.optim.Optimizer, scheduler: Any) -> list[float]:
    rates = []
    for _ in range(STEPS * EPOCHS):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize("name", LR_SCHEDULES.entries)
def test_builder_takes_what_is_declared(name: str) -> None:
    entry = LR_SCHEDULES.entries[name]
    parameters = inspect.signature(entry.load()).parameters
    assert {key: p.default for key, p in parameters.items() if key not in ("steps_per_epoch", "num_epochs")} == defaults(entry)
    with pytest.raises(TypeError, match="no_such_argument"):
        entry.load()(steps_per_epoch=1, num_epochs=1, no_such_argument=1)


@pytest.mark.parametrize("name", LR_SCHEDULES.entries)
def test_starts_at_the_peak_and_stays_within_it(name: str) -> None:
    schedule = LR_SCHEDULES.entries[name].load()(steps_per_epoch=STEPS, num_epochs=EPOCHS)
    values = multipliers(schedule)
    assert values[0] == 1.0 and all(0 <= value <= 1 for value in values)


def test_constant_is_torchs() -> None:
    optimizer = torch_optimizer()
    expected = followed(optimizer, reference.ConstantLR(optimizer, factor=1.0))
    assert multipliers(schedules.constant(steps_per_epoch=STEPS, num_epochs=EPOCHS)) == expected


@pytest.mark.parametrize(("step_epochs", "gamma"), [(1, 0.5), (3, 0.1)])
def test_step_is_torchs(step_epochs: int, gamma: float) -> None:
    optimizer = torch_optimizer()
    expected = followed(optimizer, reference.StepLR(optimizer, step_epochs * STEPS, gamma))
    mine = schedules.step(steps_per_epoch=STEPS, num_epochs=EPOCHS, step_epochs=step_epochs, gamma=gamma)
    assert multipliers(mine) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("final_fraction", [0.0, 0.1])
def test_cosine_is_torchs(final_fraction: float) -> None:
    optimizer = torch_optimizer()
    expected = followed(optimizer, reference.CosineAnnealingLR(optimizer, STEPS * EPOCHS, eta_min=final_fraction))
    mine = schedules.cosine(steps_per_epoch=STEPS, num_epochs=EPOCHS, final_fraction=final_fraction)
    assert multipliers(mine) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_warmed_up_cosine_is_torchs() -> None:
    optimizer, num_warmup = torch_optimizer(), 2 * STEPS
    rise = reference.LinearLR(optimizer, start_factor=1 / num_warmup, total_iters=num_warmup - 1)
    fall = reference.CosineAnnealingLR(optimizer, STEPS * EPOCHS - num_warmup)
    expected = followed(optimizer, reference.SequentialLR(optimizer, [rise, fall], [num_warmup]))
    mine = schedules.cosine(steps_per_epoch=STEPS, num_epochs=EPOCHS, warmup_epochs=2)
    assert multipliers(mine) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", LR_SCHEDULES.entries)
@pytest.mark.parametrize("warmup_epochs", [1, 3, EPOCHS, EPOCHS + 2])
def test_warm_up_rises_in_a_line(name: str, warmup_epochs: int) -> None:
    args = {"step_epochs": EPOCHS} if name == "step" else {}
    schedule = LR_SCHEDULES.entries[name].load()(steps_per_epoch=STEPS, num_epochs=EPOCHS, warmup_epochs=warmup_epochs, **args)
    num_warmup = warmup_epochs * STEPS
    optimizer = torch_optimizer()
    expected = followed(optimizer, reference.LinearLR(optimizer, start_factor=1 / num_warmup, total_iters=num_warmup - 1))
    num = min(num_warmup, STEPS * EPOCHS)
    assert multipliers(schedule)[:num] == pytest.approx(expected[:num], rel=1e-9)


@pytest.mark.parametrize(("factor", "patience_epochs"), [(0.5, 0), (0.1, 1), (0.3, 2)])
@pytest.mark.parametrize(
    "val_losses",
    [
        (1.0, 0.9, 0.95, 0.95, 0.96, 0.8, 0.81, 0.82),
        (1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0),
        (1.0, 0.99995, 0.9999, 0.9998, 0.9, 0.9, 0.89999, 0.9),  # around torch's relative threshold
        (5.0, 4.0, 3.0, 2.0, 1.0, 0.5, 0.2, 0.1),
    ],
)
def test_plateau_is_torchs(factor: float, patience_epochs: int, val_losses: tuple[float, ...]) -> None:
    optimizer = torch_optimizer()
    scheduler = reference.ReduceLROnPlateau(optimizer, factor=factor, patience=patience_epochs)
    expected = []
    for val_loss in val_losses:
        expected += [optimizer.param_groups[0]["lr"]] * STEPS
        scheduler.step(val_loss)
    mine = schedules.plateau(steps_per_epoch=STEPS, num_epochs=EPOCHS, factor=factor, patience_epochs=patience_epochs)
    assert multipliers(mine, val_losses) == pytest.approx(expected, rel=1e-12)
