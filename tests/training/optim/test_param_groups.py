"""Rates of head and stages against torch's own parameter groups written by hand; which weights are Muon's; scaled rates."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from visiontune.models.anatomy import depth_of, mark
from visiontune.spec.tables.optimizers import OPTIMIZERS
from visiontune.training.optim.optimizer import Groups, Optimizer
from visiontune.training.optim.param_groups import grouped, matrices_of, scaled_lr
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


def gradients(model: nn.Module, step: int) -> None:
    generator = torch.Generator().manual_seed(step)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)


def own(model: nn.Module, name: str = "sgd", args: dict[str, Any] | None = None, **factors: float) -> Optimizer | Groups:
    make = partial(OPTIMIZERS.entries[name].load(), **(args or {}))
    return grouped(make, model, decayed_parameters(model), **factors, depth=depth_of(model))


def trained(model: nn.Module, optimizer: Any, start: int = 0) -> nn.Module:
    for step, lr in enumerate(RATES[start:], start):
        gradients(model, step)
        optimizer.step(lr)
    return model


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(one, other) for one, other in zip(a.parameters(), b.parameters(), strict=True))


FACTORS = {"stem": 0.5**3, "act": 0.5**2, "norm": 0.5**2, "body": 0.5, "hidden": 10.0, "head": 10.0, "aux": 10.0}


@pytest.mark.parametrize(
    ("name", "weight_decay", "make"),
    [
        ("sgd", 0.0, lambda groups: torch.optim.SGD(groups, momentum=0.9)),  # torch's decay of SGD is the coupled one
        ("adamw", 0.3, lambda groups: torch.optim.AdamW(groups)),
        ("nadam", 0.3, lambda groups: torch.optim.NAdam(groups, decoupled_weight_decay=True)),
    ],
)
def test_rates_are_those_of_torchs_groups(name: str, weight_decay: float, make: Any) -> None:
    mine, theirs = network(), network()
    weights = {id(module.weight) for module in theirs.modules() if isinstance(module, nn.Conv2d | nn.Linear)}
    groups = [
        {"params": [parameter], "weight_decay": weight_decay * (id(parameter) in weights), "factor": FACTORS[name.partition(".")[0]]}
        for name, parameter in theirs.named_parameters()
    ]
    reference = make(groups)
    optimizer = own(mine, name, {"weight_decay": weight_decay}, head_lr_factor=10.0, layer_decay=0.5)
    for step, lr in enumerate(RATES):
        gradients(mine, step)
        gradients(theirs, step)
        optimizer.step(lr)
        for group in reference.param_groups:
            group["lr"] = lr * group["factor"]
        reference.step()
    for (name, a), b in zip(mine.named_parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(a, b, rtol=1e-10, atol=1e-12), name
    assert {id(p) for p in optimizer.params} == {id(p) for p in mine.parameters()}


@pytest.mark.parametrize("name", OPTIMIZERS.entries)
def test_factors_of_one_are_the_plain_optimizer_to_the_last_bit(name: str) -> None:
    one, plain = network(), network()
    matrices = {"matrices": matrices_of(plain, depth_of(plain))} if name == "muon" else {}
    made = OPTIMIZERS.entries[name].load()(list(plain.parameters()), decayed_parameters(plain), **matrices)
    optimizer = own(one, name)
    assert [p.shape for p in optimizer.params] == [p.shape for p in made.params]
    assert same(trained(one, optimizer), trained(plain, made))
    assert not same(one, network())


@pytest.mark.parametrize("name", OPTIMIZERS.entries)
def test_groups_go_on_from_their_state(name: str) -> None:
    factors = {"head_lr_factor": 0.1, "layer_decay": 0.7}
    whole, first, second = network(), network(), network()
    before = own(first, name, **factors)
    gradients(first, 0)
    before.step(RATES[0])
    after = own(second, name, **factors)
    after.load_state_dict({key: [tensor.clone() for tensor in slot] for key, slot in before.state_dict().items()})
    second.load_state_dict(first.state_dict())
    assert same(trained(whole, own(whole, name, **factors)), trained(second, after, start=1))


def test_state_of_other_groups_is_refused() -> None:
    with pytest.raises(ValueError, match="optimizer state must hold"):
        own(network(), layer_decay=0.5).load_state_dict(own(network(), head_lr_factor=0.5).state_dict())


def test_what_is_frozen_is_in_no_group() -> None:
    model = network()
    model.stem.requires_grad_(False)
    optimizer = own(model, "adamw", {"weight_decay": 0.5}, layer_decay=0.5)
    learned = {id(p) for name, p in model.named_parameters() if not name.startswith("stem")}
    assert {id(p) for p in optimizer.params} == learned
    before = model.stem.weight.clone()
    assert torch.equal(trained(model, optimizer).stem.weight, before)


def test_a_head_factor_of_zero_leaves_the_head() -> None:
    model = network()
    before, body = model.head.weight.clone(), model.body[0].weight.clone()
    trained(model, own(model, head_lr_factor=0.0))
    assert torch.equal(model.head.weight, before) and not torch.equal(model.body[0].weight, body)


def test_muons_matrices_are_hidden_weights() -> None:
    model = network()
    expected = [model.body[0].weight, model.body[1].weight, model.hidden.weight]
    assert [id(p) for p in matrices_of(model, depth_of(model))] == [id(p) for p in expected]
    optimizer = own(model, "muon")
    assert len(optimizer.state_dict()["0.momentum"]) == 3
    decayed_too = grouped(
        OPTIMIZERS.entries["muon"].load(), model, decayed_parameters(model, use_decay_for_all=True), depth=depth_of(model)
    )
    assert len(decayed_too.state_dict()["0.momentum"]) == 3


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
