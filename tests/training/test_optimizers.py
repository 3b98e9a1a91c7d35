"""Every optimizer against torch.optim's class, over steps with a changing learning rate; decay in closed form."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tiny import defaults, model_section
from torch import Tensor, nn

from visiontune.models.build import build_model
from visiontune.spec.errors import UserError
from visiontune.spec.tables.optimizers import OPTIMIZERS
from visiontune.training import optimizers
from visiontune.training.penalties import decayed_parameters

RATES = [0.1, 0.05, 0.2, 0.01, 0.1, 0.0, 0.1]
REFERENCES: list[tuple[str, dict[str, Any], Callable[..., torch.optim.Optimizer]]] = [
    ("sgd", {"momentum": 0.0}, lambda params: torch.optim.SGD(params, lr=1.0)),
    ("sgd", {"momentum": 0.9}, lambda params: torch.optim.SGD(params, lr=1.0, momentum=0.9)),
    ("sgd", {"momentum": 0.8, "nesterov": True}, lambda params: torch.optim.SGD(params, lr=1.0, momentum=0.8, nesterov=True)),
    ("adam", {"beta1": 0.8, "eps": 1e-6}, lambda params: torch.optim.Adam(params, lr=1.0, betas=(0.8, 0.999), eps=1e-6)),
    ("adamw", {"beta2": 0.9, "weight_decay": 0.0}, lambda params: torch.optim.AdamW(params, lr=1.0, betas=(0.9, 0.9), weight_decay=0)),
]


def small_network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.PReLU(), nn.Flatten(), nn.Linear(12, 2))


def groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """The grouping written by hand: what torch's classes take."""
    decayed = [network[0].weight, network[4].weight]
    rest = [network[0].bias, *network[1].parameters(), *network[2].parameters(), network[4].bias]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}]


def gradients(network: nn.Module, step: int) -> None:
    generator = torch.Generator().manual_seed(step)
    for parameter in network.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def own(name: str, network: nn.Module, **args: Any) -> optimizers.Optimizer:
    made: optimizers.Optimizer = OPTIMIZERS.entries[name].load()(list(network.parameters()), decayed_parameters(network), **args)
    return made


def assert_follows(mine: nn.Module, optimizer: optimizers.Optimizer, theirs: nn.Module, reference: torch.optim.Optimizer) -> None:
    for step, lr in enumerate(RATES):
        gradients(mine, step)
        gradients(theirs, step)
        optimizer.step(lr)
        for group in reference.param_groups:
            group["lr"] = lr
        reference.step()
        for a, b in zip(mine.parameters(), theirs.parameters(), strict=True):
            assert torch.allclose(a, b, rtol=1e-5, atol=1e-7), step
    assert all(parameter.grad is None for parameter in mine.parameters())


@pytest.mark.parametrize("name", OPTIMIZERS.entries)
def test_builder_takes_what_is_declared(name: str) -> None:
    entry = OPTIMIZERS.entries[name]
    parameters = inspect.signature(entry.load()).parameters
    assert {key: p.default for key, p in parameters.items() if key not in ("params", "decayed")} == defaults(entry)
    with pytest.raises(TypeError, match="no_such_argument"):
        entry.load()([], [], no_such_argument=1)


@pytest.mark.parametrize(("name", "args", "make"), REFERENCES)
def test_steps_as_torch_does(name: str, args: dict[str, Any], make: Callable[..., torch.optim.Optimizer]) -> None:
    mine, theirs = small_network(), small_network()
    assert_follows(mine, own(name, mine, **args), theirs, make(theirs.parameters()))


def test_adamw_decays_as_torch_does() -> None:
    mine, theirs = small_network(), small_network()
    assert_follows(mine, own("adamw", mine, weight_decay=0.3), theirs, torch.optim.AdamW(groups(theirs, 0.3)))


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_decay_alone_is_a_product(name: str) -> None:
    network = small_network()
    before = [parameter.detach().clone() for parameter in network.parameters()]
    optimizer = own(name, network, weight_decay=0.5)
    for lr in RATES:
        for parameter in network.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step(lr)
    factor = torch.tensor([1 - lr * 0.5 for lr in RATES]).prod()
    decayed = {id(parameter) for group in groups(network, 1.0)[:1] for parameter in group["params"]}
    for old, new in zip(before, network.parameters(), strict=True):
        assert torch.allclose(new, old * factor if id(new) in decayed else old, rtol=1e-5)


def test_nesterov_needs_momentum() -> None:
    with pytest.raises(UserError, match=r"nesterov needs momentum > 0, but got momentum=0\.0"):
        optimizers.sgd([], [], momentum=0.0, nesterov=True)


def test_state_of_another_optimizer_is_refused() -> None:
    network = small_network()
    with pytest.raises(ValueError, match="optimizer state must hold"):
        own("sgd", network).load_state_dict(own("adam", network).state_dict())


@pytest.mark.parametrize("name", ["lenet5", "cnn", "resnet18"])
def test_only_weights_of_layers_are_decayed(name: str) -> None:
    with torch.device("meta"):
        network = build_model(model_section(name, "prelu"), num_classes=3, in_channels=1, image_size=16)
    of_layers: list[Tensor] = [m.weight for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert [id(weight) for weight in decayed_parameters(network)] == [id(weight) for weight in of_layers]
