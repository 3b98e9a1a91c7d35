"""Rates of head and stages against a table written by hand; what is frozen, decayed or a matrix; rates scaled to the batch."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from visiontune.models.anatomy import mark
from visiontune.spec.tables.optimizers import OPTIMIZERS
from visiontune.training.optim.optimizer import load_state, set_lr
from visiontune.training.optim.param_groups import LearnedParameter, groups_by, learned_parameters, scaled_lr
from visiontune.training.optim.penalties import decayed_parameters

RATES = [0.1, 0.02, 0.05]


def network() -> nn.Module:
    """A stem, two stages of which one has only a slope and a norm, a hidden layer after the last stage, a head and an auxiliary one."""
    torch.manual_seed(0)
    made = nn.Module()
    made.stem, made.act, made.norm = nn.Conv2d(1, 4, 3), nn.PReLU(), nn.BatchNorm2d(4)
    made.body = nn.Sequential(nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 1, bias=False))
    made.hidden, made.head, made.aux = nn.Linear(16, 8), nn.Linear(8, 3), nn.Sequential(nn.Linear(16, 4), nn.Linear(4, 3))
    return mark(made.double(), stages=(("stem",), ("act", "norm"), ("body",)), head="head", aux=("aux",))


def learned(model: nn.Module, **factors: float) -> list[LearnedParameter]:
    return learned_parameters(model, decayed_parameters(model), **factors)


def trained(model: nn.Module, optimizer: torch.optim.Optimizer, steps: range = range(len(RATES))) -> nn.Module:
    for step in steps:
        generator = torch.Generator().manual_seed(step)
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.grad = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
        set_lr(optimizer, RATES[step])
        optimizer.step()
    return model


FACTORS = {"stem": 0.5**3, "act": 0.5**2, "norm": 0.5**2, "body": 0.5, "hidden": 10.0, "head": 10.0, "aux": 10.0}


def test_every_parameter_learns_at_the_rate_of_its_part() -> None:
    """By plain SGD with gradients of ones, whose change is the rate itself."""
    model = network()
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    optimizer = OPTIMIZERS.entries["sgd"].load()(learned(model, head_lr_factor=10.0, layer_decay=0.5), momentum=0.0)
    for lr in RATES:
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter)
        set_lr(optimizer, lr)
        optimizer.step()
    for name, parameter in model.named_parameters():
        expected = before[name] - sum(RATES) * FACTORS[name.partition(".")[0]]
        assert torch.allclose(parameter, expected, rtol=1e-10, atol=1e-12), name


def test_factors_of_one_are_one_group() -> None:
    model = network()
    found = learned(model)
    assert [id(one.tensor) for one in found] == [id(parameter) for parameter in model.parameters()]
    assert len(OPTIMIZERS.entries["adam"].load()(found).param_groups) == 1


def test_decayed_are_the_weights_that_are_named_or_all() -> None:
    model = network()
    weights = {"stem.weight", "body.0.weight", "body.1.weight", "hidden.weight", "head.weight", "aux.0.weight", "aux.1.weight"}
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    assert {names[id(one.tensor)] for one in learned(model) if one.is_decayed} == weights
    assert all(one.is_decayed for one in learned_parameters(model, decayed_parameters(model, use_decay_for_all=True)))


def test_groups_are_of_equal_options_in_the_order_of_their_first() -> None:
    parameters = [LearnedParameter(torch.zeros(k), lr_factor=factor) for k, factor in enumerate([1.0, 0.5, 1.0])]
    groups = groups_by(parameters, lambda one: {"lr_factor": one.lr_factor, "other": 7})
    assert [(group["lr_factor"], group["other"], [len(tensor) for tensor in group["params"]]) for group in groups] == [
        (1.0, 7, [0, 2]),
        (0.5, 7, [1]),
    ]


@pytest.mark.parametrize("name", OPTIMIZERS.entries)
def test_groups_go_on_from_their_state(name: str) -> None:
    make = OPTIMIZERS.entries[name].load()
    factors = {"head_lr_factor": 0.1, "layer_decay": 0.7}
    whole, first, second = (network().float() for _ in range(3))
    trained(whole, make(learned(whole, **factors)))
    before, after = make(learned(first, **factors)), make(learned(second, **factors))
    trained(first, before, range(1))
    load_state(after, before.state_dict())
    second.load_state_dict(first.state_dict())
    trained(second, after, range(1, len(RATES)))
    assert all(torch.equal(one, other) for one, other in zip(whole.parameters(), second.parameters(), strict=True))


def test_what_is_frozen_is_in_no_group() -> None:
    model = network()
    model.stem.requires_grad_(False)
    found = learned(model, layer_decay=0.5)
    expected = {id(p) for name, p in model.named_parameters() if not name.startswith("stem")}
    assert {id(one.tensor) for one in found} == expected
    before = model.stem.weight.clone()
    optimizer = OPTIMIZERS.entries["adamw"].load()(found, weight_decay=0.5)
    assert torch.equal(trained(model, optimizer).stem.weight, before)


def test_a_head_factor_of_zero_leaves_the_head() -> None:
    model = network()
    before, body = model.head.weight.clone(), model.body[0].weight.clone()
    trained(model, OPTIMIZERS.entries["sgd"].load()(learned(model, head_lr_factor=0.0)))
    assert torch.equal(model.head.weight, before) and not torch.equal(model.body[0].weight, body)


def test_matrices_are_hidden_weights_whatever_is_decayed() -> None:
    model = network()
    expected = [id(parameter) for parameter in (model.body[0].weight, model.body[1].weight, model.hidden.weight)]
    for use_decay_for_all in (False, True):
        found = learned_parameters(model, decayed_parameters(model, use_decay_for_all=use_decay_for_all))
        assert [id(one.tensor) for one in found if one.is_matrix] == expected


@pytest.mark.parametrize(
    ("rule", "batch_size", "lr"),
    [("none", 1024, 0.1), ("linear", 1024, 0.4), ("sqrt", 1024, 0.2), ("linear", 64, 0.025), ("sqrt", 256, 0.1)],
)
def test_rates_scale_with_the_batch(rule: str, batch_size: int, lr: float) -> None:
    assert scaled_lr(0.1, batch_size, rule) == pytest.approx(lr, rel=1e-12)


def test_linear_scaling_keeps_what_an_epoch_of_plain_sgd_does() -> None:
    """Goyal et al. 2017: at a constant gradient, k steps at lr are one step at k * lr on a batch k times as large."""
    moved = [num_steps * scaled_lr(0.1, batch_size, "linear") for num_steps, batch_size in [(16, 64), (4, 256), (1, 1024)]]
    assert moved == pytest.approx([0.4] * 3)
