"""What a search will take: measured epochs beside those of the train loop, forecasts by hand."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from spec_files import GOOD, load
from tiny import make_recipe, make_store, model_section

from visiontune.filesystem.cgroup import num_cpus
from visiontune.spec.space.epoch_forecast import cost
from visiontune.training.checks import cost_check as module
from visiontune.training.checks.cost_check import cost_check, measure_epoch_s, workers_here
from visiontune.training.setup import set_up


@pytest.mark.parametrize(("step_s", "num_steps"), [(0.25, 8), (0.01, 30), (10.0, 1)])
def test_an_epoch_is_its_steps_and_a_third_of_a_step_for_each_batch_of_validation(
    monkeypatch: pytest.MonkeyPatch, step_s: float, num_steps: int
) -> None:
    store, recipe = make_store(), make_recipe(model_section("lenet5", "relu"))
    clock, steps = SimpleNamespace(now=0.0), []

    def step(lr: float) -> float:
        clock.now += step_s if steps else 100.0  # the very first
        steps.append(lr)
        return 0.0

    monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    monkeypatch.setattr(module, "make_step", lambda *args: step)
    setup = set_up(recipe, store, torch.device("cpu"))
    batches = setup.steps_per_epoch + len(store.val_idx) / recipe.training["batch_size"] / 3
    assert measure_epoch_s(recipe, store, torch.device("cpu")) == pytest.approx(batches * step_s)
    assert steps == [0.0] * (1 + num_steps)  # for 2 s, and nothing is learnt


def test_the_forecast_is_epochs_times_seconds_over_workers(tmp_path: Path) -> None:
    spec = load(tmp_path, GOOD.replace("objective:", "confirm: {num_seeds: 2}\nobjective:"))
    check = cost_check(spec, {"cnn": 1.0, "lenet5": 3.0}, num_workers=2)
    # of promotion at rungs 1, 3, 9, more than the 8 + 2 * 2 of halving and 8 of the defaults, at 2 s; five times 9 for the winner
    epochs = cost(spec).expected_epochs
    assert epochs >= 20 and check.figures["search_s"] == pytest.approx((epochs * 2.0 + 45 * 2.0) / 2)
    assert (check.verdict, check.hint) == ("ok", "")
    assert f"1 s with cnn, 3 s with lenet5; {epochs} epochs and some 5 retrainings on 2 workers: {epochs + 45} s of training" in check.said


@pytest.mark.parametrize(
    ("hours", "verdict", "hint"),
    [(0.03, "ok", ""), (0.012, "look", "budget.hours=0.028, or budget.max_epochs=3"), (0.001, "look", "budget.hours=0.028")],
)
def test_hours_shorter_than_one_trial_are_told_with_what_fits(tmp_path: Path, hours: float, verdict: str, hint: str) -> None:
    """10 s to start, 22.5 s for a trial in full with its margin, 59 s for five more on two workers and tests, a tenth on top: .028 h."""
    text = GOOD.replace("num_trials: 8", f"num_trials: 8, hours: {hours}").replace("objective:", "confirm: {num_seeds: 2}\nobjective:")
    check = cost_check(load(tmp_path, text), {"cnn": 2.0}, num_workers=2)
    assert (check.verdict, check.hint) == (verdict, hint)


def test_workers_are_what_the_processors_have_room_for(tmp_path: Path) -> None:
    num = num_cpus()
    text = GOOD.replace("space:", "resources: {gpus_per_trial: 0, cpus_per_trial: 1}\nspace:")
    assert workers_here(load(tmp_path, text)) == num
    assert workers_here(load(tmp_path, text.replace("cpus_per_trial: 1", f"cpus_per_trial: {2 * num}"))) == 1
    assert workers_here(load(tmp_path, text.replace("cpus_per_trial: 1", "max_concurrent_trials: 7"))) == 7
