"""Checks of networks: log(number of classes), the loss of scores that are chance, faults planted into networks and pictures."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from places import DIGITS
from spec_files import BRANCHED, GOOD, load
from tiny import make_recipe, make_store, model_section
from torch import nn

from visiontune.spec.parse import load_study
from visiontune.training.checks import all_checks, initial_checks, overfit_check
from visiontune.training.checks.initial_checks import SATURATED, TOLERANCE, Start, measure_start, start_checks
from visiontune.training.checks.lr_range_test import RangeTest, compare
from visiontune.training.checks.overfit_check import NEAR_ZERO, overfit
from visiontune.training.checks.training_steps import model_words, unregularized, without_augmentation
from visiontune.training.setup import Setup, set_up

STORE = make_store()
CPU = torch.device("cpu")
RELU = make_recipe(model_section("lenet5", "relu"))


def breaking(do: Callable[[nn.Module], Any]) -> Callable[..., Setup]:
    """`set_up`, but with something done to the network."""

    def broken(*args: Any) -> Setup:
        setup = set_up(*args)
        with torch.no_grad():
            do(setup.network)
        return setup

    return broken


def silence(network: nn.Module) -> None:
    """The first layer gives nothing that a ReLU would let through, so that all pictures look the same."""
    first = next(module for module in network.modules() if isinstance(module, nn.Conv2d))
    first.weight.zero_()
    assert first.bias is not None
    first.bias.fill_(-1.0)


def shout(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.weight.mul_(100)


def start_verdicts(start: Start) -> list[str]:
    return [check.verdict for check in start_checks("lenet5", [start], 3)]


def test_a_network_begins_near_log_k() -> None:
    start = measure_start(RELU, STORE, CPU)
    assert abs(start.loss - math.log(3)) < 1 and start_verdicts(start) == ["ok", "ok"]
    assert set(start.gradients) >= {"stage 0", "head"} and all(value > 0 for value in start.gradients.values())


def test_scores_of_zero_cost_exactly_log_k(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(initial_checks, "set_up", breaking(lambda network: [parameter.zero_() for parameter in network.parameters()]))
    start = measure_start(RELU, STORE, CPU)
    assert start.loss == pytest.approx(math.log(3), rel=1e-6)
    assert start.dead_share == 1


def test_the_step_of_the_check_changes_no_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[nn.Module] = []
    monkeypatch.setattr(initial_checks, "set_up", breaking(made.append))
    measure_start(RELU, STORE, CPU)
    fresh = set_up(without_augmentation(RELU), STORE, CPU).network.state_dict()
    assert all(torch.equal(value, fresh[name]) for name, value in made[0].state_dict().items())


@pytest.mark.parametrize("num_classes", [10, 100, 1000])
def test_tolerance_lies_between_ordinary_and_saturated_scores(num_classes: int) -> None:
    z_NK = np.random.default_rng(0).standard_normal((2000, num_classes))

    def above_chance(std: float) -> float:
        return float(np.mean(np.log(np.exp(std * z_NK).sum(1)) - std * z_NK[:, 0]) - math.log(num_classes))

    assert above_chance(1.0) == pytest.approx(0.5, abs=0.1)  # s^2 / 2
    assert above_chance(1.7) < TOLERANCE < SATURATED < above_chance(3.5)


def test_a_network_whose_weights_are_huge_is_bad_and_one_of_three_is_worth_a_look(monkeypatch: pytest.MonkeyPatch) -> None:
    good = measure_start(RELU, STORE, CPU)
    monkeypatch.setattr(initial_checks, "set_up", breaking(shout))
    huge = measure_start(RELU, STORE, CPU)
    assert huge.loss > 100 and start_verdicts(huge)[0] == "bad"
    [check, _] = start_checks("lenet5", [good, huge, good], 3)
    assert check.verdict == "look" and model_words(RELU) in check.hint
    assert start_verdicts(replace(good, loss=math.nan))[0] == "bad"


def test_dead_units_are_counted_and_stages_without_a_gradient_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(initial_checks, "set_up", breaking(silence))
    start = measure_start(RELU, STORE, CPU)
    assert start.dead_share is not None and start.dead_share >= 6 / (6 + 16 + 120 + 84)  # the first layer's share of LeNet-5's units
    assert start.gradients["stage 0"] == 0 and start_verdicts(start)[1] == "look"
    assert measure_start(make_recipe(model_section("lenet5", "elu")), STORE, CPU).dead_share is None
    assert start_verdicts(replace(start, gradients={"stage 0": 0.0, "head": 0.0}))[1] == "bad"


def test_one_batch_is_learned_by_heart_even_under_heavy_regularisation() -> None:
    heavy = make_recipe(
        model_section("lenet5", dropout=0.9), regularization={"l2": 1.0, "l1": 1.0}, sections={"loss": {"label_smoothing": 0.9}}
    )
    check = overfit("lenet5", heavy, STORE, CPU)
    assert check.verdict == "ok" and check.figures["loss"] <= NEAR_ZERO and check.figures["first_loss"] > 0.5


def test_shuffled_labels_are_learned_by_heart_too() -> None:
    shuffled = replace(STORE, labels_N=np.random.default_rng(0).permutation(STORE.labels_N))
    assert overfit("lenet5", RELU, shuffled, CPU).verdict == "ok"  # which is why `neighbours` exists


def test_a_dead_network_learns_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overfit_check, "set_up", breaking(silence))
    monkeypatch.setattr(overfit_check, "NUM_STEPS", 60)
    check = overfit("lenet5", RELU, STORE, CPU)
    assert check.verdict == "bad" and check.hint


def test_equal_pictures_with_several_labels_leave_the_entropy_of_their_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overfit_check, "NUM_STEPS", 60)
    same = replace(STORE, images_NHWC=np.broadcast_to(STORE.images_NHWC[:1], STORE.images_NHWC.shape).copy())
    check = overfit("lenet5", RELU, same, CPU)
    assert check.verdict == "bad" and 0.9 < check.figures["loss"] < 1.2  # log 3 is 1.099


def test_a_slow_machine_is_not_taken_for_a_bad_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overfit_check, "LIMIT_S", 0.0)
    check = overfit("lenet5", RELU, STORE, CPU)
    assert check.verdict == "look" and "too slow" in check.hint and check.figures["num_steps"] == 1


def test_what_is_left_of_a_recipe_to_learn_by_heart() -> None:
    recipe = make_recipe(
        model_section("cnn", dropout=0.5), regularization={"l2": 0.1, "clip_norm": 1.0}, sections={"loss": {"name": "focal"}}, micro_batch=2
    )
    left = unregularized(recipe, 32, 1e-3)
    assert left.model == {**recipe.model, "dropout": 0.0}
    assert not any(left.regularization.values()) and left.loss["name"] == "cross_entropy" and left.optimizer["name"] == "adam"
    assert left.training["batch_size"] == 32 and left.training["micro_batch"] == 0 and {*left.augmentation.values()} == {"none"}


def test_a_range_test_counts_in_the_files_rates_and_gives_up_where_steps_are_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(all_checks, "SWEEP_S", 1e9)  # all steps, however busy the machine is
    scaled = make_recipe(optimizer_args={"lr_scaling": "linear", "momentum": 0.0}, batch_size=16)
    plainly = make_recipe(optimizer_args={"momentum": 0.0}, batch_size=16)
    found, other = (all_checks.sweep(recipe, STORE, CPU, low=1e-6, high=10.0) for recipe in (plainly, scaled))
    assert isinstance(found, RangeTest) and isinstance(other, RangeTest) and found.edge is not None
    # A rate meant for 256 pictures is a sixteenth of it for 16: the same steps at 16 times the rates.
    again = all_checks.sweep(scaled, STORE, CPU, low=16e-6, high=160.0)
    assert isinstance(again, RangeTest) and again.losses[:60] == pytest.approx(found.losses[:60])
    assert other.losses[:60] != pytest.approx(found.losses[:60])
    monkeypatch.setattr(all_checks, "SWEEP_S", 0.0)
    assert isinstance(all_checks.sweep(plainly, STORE, CPU, low=1e-6, high=10.0), float)


def test_every_model_and_optimizer_is_swept_or_as_many_as_there_is_time_for() -> None:
    spec = load_study(DIGITS)
    assert all_checks.choices(spec, "model.name") == ["lenet5", "cnn"] and all_checks.choices(spec, "transfer.regime") == ["scratch"]
    for name in ("lenet5", "cnn"):
        recipes = [all_checks.sample_recipe(spec, {"model.name": name}, number) for number in range(5)]
        assert {recipe.model["name"] for recipe in recipes} == {name} and len({recipe.fingerprint for recipe in recipes}) == 5
    pairs = {tuple(held.values()) for held in all_checks._sweeps(spec)}
    assert pairs == {(model, optimizer) for model in ("lenet5", "cnn") for optimizer in ("sgd", "adamw")}
    many = load_study(
        DIGITS,
        ["space.optimizer.name={choice: [sgd, adam, adamw, rmsprop, adagrad, adadelta, nadam, radam, adamax]}"],
    )
    held = all_checks._sweeps(many)
    assert len(held) == 9 and {one["model.name"] for one in held} == {"lenet5", "cnn"}


def test_each_optimizer_is_compared_with_the_rates_of_its_own_branch(tmp_path: Path) -> None:
    spec = load(tmp_path, BRANCHED)
    assert all_checks.rates(spec, {"optimizer.name": "sgd"}) == ("optimizer.sgd.lr", 0.01, 1.0)
    assert all_checks.rates(spec, {"model.name": "cnn", "optimizer.name": "adamw"}) == ("optimizer.adamw.lr", 1e-4, 1e-2)
    assert all_checks.rates(load(tmp_path, GOOD), {"optimizer.name": "adamw"}) == ("optimizer.lr", 1e-4, 1.0)
    assert all_checks.rates(load(tmp_path, GOOD, "space.optimizer.lr=0.1"), {"optimizer.name": "sgd"}) == ("optimizer.lr", 0.1, 0.1)
    found = RangeTest((), (), begins=1e-3, edge=0.9, is_stopped=True)
    assert "let optimizer.sgd.lr start near 0.001" in compare(2.0, 10.0, found, "optimizer.sgd.lr")[1]


def test_conditions_leave_out_pairs_that_never_meet_and_rates_that_do_not_exist(tmp_path: Path) -> None:
    model = "model: {name: {choice: [cnn, lenet5], when: {optimizer.name: sgd}, otherwise: lenet5}}"
    text = GOOD.replace("model: {name: cnn, depth: {int: [1, 3]}}", model)
    spec = load(tmp_path, text, "space.optimizer.lr.when={model.name: cnn}", "space.optimizer.lr.otherwise=0.2")
    pairs = {tuple(held.values()) for held in all_checks._sweeps(spec)}
    assert pairs == {("cnn", "sgd"), ("lenet5", "sgd"), ("lenet5", "adamw")}
    for held in all_checks._sweeps(spec):
        recipe = all_checks.sample_recipe(spec, held, 0)
        assert (recipe.model["name"], recipe.optimizer["name"]) == tuple(held.values())
        ends = (1e-4, 1.0) if held["model.name"] == "cnn" else (0.2, 0.2)
        assert all_checks.rates(spec, held) == ("optimizer.lr", *ends)
        assert ends[0] <= recipe.optimizer["lr"] <= ends[1]


def test_choices_are_those_of_all_branches_and_can_be_held(tmp_path: Path) -> None:
    spec = load(tmp_path, BRANCHED)
    assert all_checks.choices(spec, "model.activation") == ["leaky_relu", "tanh", "elu", "published"]  # resnet18 has its own
    assert all_checks.choices(spec, "training.precision") == ["fp32"]
    for number in range(8):
        recipe = all_checks.sample_recipe(spec, {"model.activation": "tanh", "optimizer.name": "adamw"}, number)
        assert (recipe.model["name"], recipe.model["activation"], recipe.optimizer["name"]) == ("lenet5", "tanh", "adamw")
        assert 1e-4 <= recipe.optimizer["lr"] <= 1e-2
