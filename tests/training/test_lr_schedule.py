"""Every lr schedule, step by step, against torch's own on a real optimizer."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from tiny import defaults
from torch.optim import lr_scheduler as reference

from visiontune.spec.tables.lr_schedules import LR_SCHEDULES
from visiontune.training import lr_schedule, lr_schedule_curves

STEPS, EPOCHS = 5, 8
SIZES = {"steps_per_epoch": STEPS, "num_epochs": EPOCHS}


def torch_optimizer() -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)


def multipliers(schedule: lr_schedule.LrSchedule, val_losses: tuple[float, ...] = ()) -> list[float]:
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
def test_starts_at_the_peak_or_rises_to_it_and_stays_within(name: str) -> None:
    values = multipliers(LR_SCHEDULES.entries[name].load()(**SIZES))
    assert max(values) == 1.0 and min(values) >= 0
    assert values[0] == pytest.approx({"one_cycle": 0.04, "cyclic": 0.1}.get(name, 1.0))


def test_constant_is_torchs() -> None:
    optimizer = torch_optimizer()
    expected = followed(optimizer, reference.ConstantLR(optimizer, factor=1.0))
    assert multipliers(lr_schedule.constant(**SIZES)) == expected


@pytest.mark.parametrize(("step_epochs", "gamma"), [(1, 0.5), (3, 0.1)])
def test_step_is_torchs(step_epochs: int, gamma: float) -> None:
    optimizer = torch_optimizer()
    expected = followed(optimizer, reference.StepLR(optimizer, step_epochs * STEPS, gamma))
    mine = lr_schedule.step(**SIZES, step_epochs=step_epochs, gamma=gamma)
    assert multipliers(mine) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("final_fraction", [0.0, 0.1])
def test_cosine_is_torchs(final_fraction: float) -> None:
    optimizer = torch_optimizer()
    expected = followed(optimizer, reference.CosineAnnealingLR(optimizer, STEPS * EPOCHS, eta_min=final_fraction))
    mine = lr_schedule_curves.cosine(**SIZES, final_fraction=final_fraction)
    assert multipliers(mine) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_warmed_up_cosine_is_torchs() -> None:
    optimizer, num_warmup = torch_optimizer(), 2 * STEPS
    rise = reference.LinearLR(optimizer, start_factor=1 / num_warmup, total_iters=num_warmup - 1)
    fall = reference.CosineAnnealingLR(optimizer, STEPS * EPOCHS - num_warmup)
    expected = followed(optimizer, reference.SequentialLR(optimizer, [rise, fall], [num_warmup]))
    mine = lr_schedule_curves.cosine(**SIZES, warmup_epochs=2)
    assert multipliers(mine) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    ("milestones", "args"),
    [
        ([20, 30], {}),  # half and three quarters of 40 steps
        ([15, 20, 35], {"third_drop_epochs": 3, "first_drop_share": 0.5, "second_drop_epochs": 7}),
        ([9], {"first_drop_share": 0.21, "second_drop_share": 1.0}),  # 8.4 steps: the ninth is whole
    ],
)
def test_multi_step_is_torchs(milestones: list[int], args: dict[str, Any]) -> None:
    optimizer = torch_optimizer()
    expected = followed(optimizer, reference.MultiStepLR(optimizer, milestones, gamma=0.2))
    assert multipliers(lr_schedule.multi_step(**SIZES, gamma=0.2, **args)) == pytest.approx(expected, rel=1e-12)


def test_exponential_is_torchs() -> None:
    optimizer = torch_optimizer()
    each_epoch = followed(optimizer, reference.ExponentialLR(optimizer, 0.7))
    mine = multipliers(lr_schedule_curves.exponential(**SIZES, gamma=0.7))
    assert mine[::STEPS] == pytest.approx(each_epoch[:EPOCHS], rel=1e-12)
    optimizer = torch_optimizer()
    each_step = followed(optimizer, reference.ExponentialLR(optimizer, 0.01 ** (1 / 20)))
    assert multipliers(lr_schedule_curves.exponential(**SIZES, gamma=0.01, decay_share=0.5)) == pytest.approx(each_step, rel=1e-9)


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_polynomial_is_torchs(power: float) -> None:
    optimizer = torch_optimizer()
    expected = followed(optimizer, reference.PolynomialLR(optimizer, STEPS * EPOCHS, power))
    assert multipliers(lr_schedule_curves.polynomial(**SIZES, power=power)) == pytest.approx(expected, rel=1e-9)
    to_a_tenth = multipliers(lr_schedule_curves.polynomial(**SIZES, power=power, final_fraction=0.1))
    assert to_a_tenth == pytest.approx([0.1 + 0.9 * value for value in expected], rel=1e-9)


@pytest.mark.parametrize(
    ("num_first", "factor", "args"), [(5, 1, {"period_epochs": 1}), (5, 2, {"period_epochs": 1}), (4, 3, {"period_share": 0.1})]
)
@pytest.mark.parametrize("final_fraction", [0.0, 0.2])
def test_warm_restarts_are_torchs(num_first: int, factor: int, args: dict[str, Any], final_fraction: float) -> None:
    optimizer = torch_optimizer()
    expected = followed(optimizer, reference.CosineAnnealingWarmRestarts(optimizer, num_first, factor, eta_min=final_fraction))
    mine = lr_schedule_curves.cosine_restarts(**SIZES, period_factor=factor, final_fraction=final_fraction, **args)
    assert multipliers(mine) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(("share", "args"), [(0.3, {}), (0.25, {"rise_epochs": 2}), (0.7, {"rise_share": 0.7, "shape": "linear"})])
def test_one_cycle_is_torchs(share: float, args: dict[str, Any]) -> None:
    optimizer = torch_optimizer()
    anneal = {"linear": "linear"}.get(args.get("shape", ""), "cos")
    scheduler = reference.OneCycleLR(
        optimizer, 1.0, STEPS * EPOCHS, pct_start=share, anneal_strategy=anneal, cycle_momentum=False, div_factor=25, final_div_factor=1e4
    )
    expected = [optimizer.param_groups[0]["lr"]]
    for _ in range(STEPS * EPOCHS - 1):
        optimizer.step()
        scheduler.step()
        expected.append(optimizer.param_groups[0]["lr"])
    assert multipliers(lr_schedule_curves.one_cycle(**SIZES, **args)) == pytest.approx(expected, rel=1e-9)


def test_one_cycle_without_a_rise_starts_at_the_peak() -> None:
    values = multipliers(lr_schedule_curves.one_cycle(**SIZES, rise_share=0.0, shape="linear", final_fraction=0.0))
    assert values == pytest.approx([1 - step / 39 for step in range(40)])


@pytest.mark.parametrize(("num_cycle", "args"), [(10, {"cycle_epochs": 2}), (8, {"cycle_share": 0.2}), (5, {"cycle_epochs": 1})])
@pytest.mark.parametrize(("mode", "cycle_factor"), [("triangular", 1.0), ("triangular2", 0.5)])
def test_cyclic_is_torchs(num_cycle: int, args: dict[str, Any], mode: str, cycle_factor: float) -> None:
    optimizer = torch_optimizer()
    scheduler = reference.CyclicLR(optimizer, 0.2, 1.0, num_cycle / 2, num_cycle / 2, mode, cycle_momentum=False)
    mine = lr_schedule_curves.cyclic(**SIZES, low_fraction=0.2, cycle_factor=cycle_factor, **args)
    assert multipliers(mine) == pytest.approx(followed(optimizer, scheduler), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", LR_SCHEDULES.entries)
def test_where_a_trial_pauses_changes_nothing_of_its_past(name: str) -> None:
    """Rungs of one full budget: every leg builds its schedule anew, as another worker does, and knows only the losses so far."""
    losses = (1.0, 0.9, 0.9, 0.9, 0.9, 0.5, 0.5, 0.5)
    build = LR_SCHEDULES.entries[name].load()
    whole = multipliers(build(**SIZES, warmup_share=0.1), losses)
    for rungs in [(1, 3, EPOCHS), (2, EPOCHS), (5, 6, 7, EPOCHS)]:
        legs: list[float] = []
        for rung in rungs:
            schedule = build(**SIZES, warmup_share=0.1)
            legs += [schedule(step, losses[: step // STEPS]) for step in range(len(legs), rung * STEPS)]
        assert legs == whole
    asked_backwards = build(**SIZES, warmup_share=0.1)
    assert [asked_backwards(step, losses[: step // STEPS]) for step in reversed(range(len(whole)))][::-1] == whole


@pytest.mark.parametrize("name", LR_SCHEDULES.entries)
@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
def test_a_share_means_the_same_at_every_budget(name: str, share: float) -> None:
    """Ten times the epochs: the same curve, ten times as long."""
    entry = LR_SCHEDULES.entries[name]
    shares = {arg: share for arg in entry.args if arg.endswith("_share") and arg not in ("warmup_share", "patience_share")}
    short, long = (entry.load()(steps_per_epoch=100, num_epochs=num_epochs, **shares) for num_epochs in (10, 100))
    for step in range(0, 1000, 37):
        assert short(step, ()) == pytest.approx(long(10 * step, ()), abs=0.01)


def test_patience_can_be_a_share() -> None:
    losses = (1.0,) * EPOCHS
    by_share = lr_schedule.plateau(**SIZES, patience_share=0.25)
    assert multipliers(by_share, losses) == multipliers(lr_schedule.plateau(**SIZES, patience_epochs=2), losses)


@pytest.mark.parametrize("name", LR_SCHEDULES.entries)
def test_one_duration_is_given_once(name: str) -> None:
    """Whatever has an epochs and a share form excludes one by the other, and the one that counts by being above 0 is 0 unless given."""
    entry = LR_SCHEDULES.entries[name]
    stems = {arg.rpartition("_")[0] for arg in entry.args if arg.endswith(("_epochs", "_share"))}
    assert {frozenset(pair) for pair in entry.excludes.items()} == {frozenset((f"{stem}_epochs", f"{stem}_share")) for stem in stems}
    assert all(entry.args[other].default == 0 for other in entry.excludes.values())


@pytest.mark.parametrize("name", LR_SCHEDULES.entries)
@pytest.mark.parametrize(
    ("warmup_epochs", "args"),
    [(1, {}), (3, {}), (EPOCHS, {}), (EPOCHS + 2, {}), (2, {"warmup_share": 0.25}), (EPOCHS, {"warmup_share": 1.0})],
)
def test_warm_up_rises_in_a_line(name: str, warmup_epochs: int, args: dict[str, float]) -> None:
    args = {**args} if args else {"warmup_epochs": warmup_epochs}
    no_drop = {"step": {"step_epochs": EPOCHS}, "multi_step": {"first_drop_share": 1.0, "second_drop_share": 1.0}}
    at_peak = {"one_cycle": {"start_fraction": 1.0}, "cyclic": {"low_fraction": 1.0}}
    schedule = LR_SCHEDULES.entries[name].load()(**SIZES, **args, **no_drop.get(name, {}), **at_peak.get(name, {}))
    num_warmup = warmup_epochs * STEPS
    optimizer = torch_optimizer()
    expected = followed(optimizer, reference.LinearLR(optimizer, start_factor=1 / num_warmup, total_iters=num_warmup - 1))
    num = min(num_warmup, STEPS * EPOCHS)
    assert multipliers(schedule)[:num] == pytest.approx(expected[:num], rel=1e-9)


@pytest.mark.parametrize(("name", "start"), [("one_cycle", 0.04), ("cyclic", 0.1)])
def test_what_starts_low_is_warmed_up_to_its_start(name: str, start: float) -> None:
    cold, warm = (multipliers(LR_SCHEDULES.entries[name].load()(**SIZES, warmup_epochs=num)) for num in (0, 1))
    assert warm[:STEPS] == pytest.approx([start * (step + 1) / STEPS for step in range(STEPS)])
    assert warm[STEPS] == cold[0] and max(warm) == pytest.approx(1.0)


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
    mine = lr_schedule.plateau(**SIZES, factor=factor, patience_epochs=patience_epochs)
    assert multipliers(mine, val_losses) == pytest.approx(expected, rel=1e-12)


def test_a_share_of_less_than_a_step_is_one_step() -> None:
    assert lr_schedule.in_steps(1, 1e-9, 10, 10) == 1
    assert multipliers(lr_schedule.step(**SIZES, step_share=1e-9, gamma=0.5))[:3] == [1.0, 0.5, 0.25]
