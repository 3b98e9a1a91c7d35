"""Every optimizer against torch.optim's class, over steps with a changing learning rate; decay in closed form."""

from __future__ import annotations

import inspect
import io
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tiny import defaults, model_section
from torch import Tensor, nn

from visiontune.errors import UserError
from visiontune.models.build import build_model
from visiontune.spec.tables.optimizers import OPTIMIZERS
from visiontune.training.optim import optimizer
from visiontune.training.optim.penalties import decayed_parameters

RATES = [0.1, 0.05, 0.2, 0.01, 0.1, 0.0, 0.1]
Make = Callable[[Any], torch.optim.Optimizer]
REFERENCES: list[tuple[str, dict[str, Any], Make]] = [
    ("sgd", {"momentum": 0.0}, lambda params: torch.optim.SGD(params, lr=1.0)),
    ("sgd", {"momentum": 0.9}, lambda params: torch.optim.SGD(params, lr=1.0, momentum=0.9)),
    ("sgd", {"momentum": 0.8, "nesterov": True}, lambda params: torch.optim.SGD(params, lr=1.0, momentum=0.8, nesterov=True)),
    ("adagrad", {}, lambda params: torch.optim.Adagrad(params)),
    (
        "adagrad",
        {"initial_square_sum": 0.1, "eps": 1e-6},
        lambda params: torch.optim.Adagrad(params, initial_accumulator_value=0.1, eps=1e-6),
    ),
    ("adadelta", {}, lambda params: torch.optim.Adadelta(params)),
    ("adadelta", {"rho": 0.8, "eps": 1e-3}, lambda params: torch.optim.Adadelta(params, rho=0.8, eps=1e-3)),
    ("rmsprop", {}, lambda params: torch.optim.RMSprop(params)),
    ("rmsprop", {"alpha": 0.9, "momentum": 0.8}, lambda params: torch.optim.RMSprop(params, alpha=0.9, momentum=0.8)),
    ("rmsprop", {"is_centered": True, "eps": 1e-3}, lambda params: torch.optim.RMSprop(params, centered=True, eps=1e-3)),
    ("rmsprop", {"is_centered": True, "momentum": 0.5}, lambda params: torch.optim.RMSprop(params, centered=True, momentum=0.5)),
    ("adam", {"beta1": 0.8, "eps": 1e-6}, lambda params: torch.optim.Adam(params, betas=(0.8, 0.999), eps=1e-6)),
    ("amsgrad", {"beta2": 0.5}, lambda params: torch.optim.Adam(params, betas=(0.9, 0.5), amsgrad=True)),
    ("adamax", {}, lambda params: torch.optim.Adamax(params)),
    ("adamax", {"beta1": 0.5, "beta2": 0.7, "eps": 1e-4}, lambda params: torch.optim.Adamax(params, betas=(0.5, 0.7), eps=1e-4)),
    ("nadam", {}, lambda params: torch.optim.NAdam(params)),
    ("nadam", {"beta1": 0.6, "momentum_decay": 0.1}, lambda params: torch.optim.NAdam(params, betas=(0.6, 0.999), momentum_decay=0.1)),
    ("radam", {}, lambda params: torch.optim.RAdam(params)),
    ("radam", {"beta2": 0.9, "eps": 1e-3}, lambda params: torch.optim.RAdam(params, betas=(0.9, 0.9), eps=1e-3)),
    ("adamw", {"beta2": 0.9, "weight_decay": 0.0}, lambda params: torch.optim.AdamW(params, betas=(0.9, 0.9), weight_decay=0)),
]
DECAYS: list[tuple[str, Make]] = [
    ("adamw", lambda params: torch.optim.AdamW(params)),
    ("nadam", lambda params: torch.optim.NAdam(params, decoupled_weight_decay=True)),
    ("radam", lambda params: torch.optim.RAdam(params, decoupled_weight_decay=True)),
]
# What is beyond a square root or a product of roundings in double precision is another formula.
EXACT = {"rtol": 1e-10, "atol": 1e-12}


def small_network() -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.PReLU(), nn.Flatten(), nn.Linear(12, 2)]
    return nn.Sequential(*layers).double()


def groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """The grouping written by hand: what torch's classes take."""
    decayed = [network[0].weight, network[4].weight]
    rest = [network[0].bias, *network[1].parameters(), *network[2].parameters(), network[4].bias]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}]


def gradients(network: nn.Module, step: int) -> None:
    generator = torch.Generator().manual_seed(step)
    for parameter in network.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)


def own(name: str, network: nn.Module, **args: Any) -> Any:
    return OPTIMIZERS.entries[name].load()(list(network.parameters()), decayed_parameters(network), **args)


def assert_follows(mine: nn.Module, optimizer: Any, theirs: nn.Module, *references: torch.optim.Optimizer) -> None:
    """The first reference steps at the rate itself, each further one at half of it."""
    for step, lr in enumerate(RATES):
        gradients(mine, step)
        gradients(theirs, step)
        optimizer.step(lr)
        for number, reference in enumerate(references):
            for group in reference.param_groups:
                group["lr"] = lr * 0.5**number
            reference.step()
        for a, b in zip(mine.parameters(), theirs.parameters(), strict=True):
            assert torch.allclose(a.reshape(b.shape), b, **EXACT), step
    assert all(parameter.grad is None for parameter in mine.parameters())


@pytest.mark.parametrize("name", OPTIMIZERS.entries)
def test_builder_takes_what_is_declared(name: str) -> None:
    entry = OPTIMIZERS.entries[name]
    parameters = inspect.signature(entry.load()).parameters
    assert {key: p.default for key, p in parameters.items() if key not in ("params", "decayed", "matrices")} == defaults(entry)
    with pytest.raises(TypeError, match="no_such_argument"):
        entry.load()([], [], no_such_argument=1)


@pytest.mark.parametrize(("name", "args", "make"), REFERENCES)
def test_steps_as_torch_does(name: str, args: dict[str, Any], make: Make) -> None:
    mine, theirs = small_network(), small_network()
    without_decay = {"weight_decay": 0.0} if "weight_decay" in OPTIMIZERS.entries[name].args else {}
    assert_follows(mine, own(name, mine, **{**without_decay, **args}), theirs, make(theirs.parameters()))


@pytest.mark.parametrize(("name", "make"), DECAYS)
def test_decays_as_torch_does(name: str, make: Make) -> None:
    mine, theirs = small_network(), small_network()
    assert_follows(mine, own(name, mine, weight_decay=0.3), theirs, make(groups(theirs, 0.3)))


@pytest.mark.parametrize(("scale", "nesterov", "num_iterations"), [("match_rms_adamw", True, 5), ("original", False, 3)])
def test_muon_steps_as_torch_does_and_leaves_the_rest_to_adamw(scale: str, nesterov: bool, num_iterations: int) -> None:
    mine, theirs = small_network(), small_network()
    theirs[0].weight = nn.Parameter(theirs[0].weight.detach().flatten(1))
    by_muon, by_adamw = groups(theirs, 0.3)
    muon = torch.optim.Muon([by_muon], momentum=0.8, nesterov=nesterov, ns_steps=num_iterations, adjust_lr_fn=scale)
    args = {"momentum": 0.8, "nesterov": nesterov, "num_iterations": num_iterations, "use_adam_scale": scale != "original"}
    optimizer = own("muon", mine, weight_decay=0.3, adamw_lr_factor=0.5, **args)
    assert_follows(mine, optimizer, theirs, muon, torch.optim.AdamW([by_adamw]))


def test_muon_decays_both_sides_at_their_own_rates() -> None:
    network = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)).double()
    before = [parameter.detach().clone() for parameter in network.parameters()]
    params = list(network.parameters())
    optimizer = OPTIMIZERS.entries["muon"].load()(params, params, matrices=params[:1], weight_decay=0.5, adamw_lr_factor=0.1)
    for parameter in params:
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step(0.2)
    assert torch.allclose(params[0], before[0] * (1 - 0.2 * 0.5), **EXACT)
    assert torch.allclose(params[1], before[1] * (1 - 0.2 * 0.1 * 0.5), **EXACT)


@pytest.mark.parametrize("name", [name for name, entry in OPTIMIZERS.entries.items() if "weight_decay" in entry.args])
def test_decay_alone_is_a_product(name: str) -> None:
    network = small_network()
    before = [parameter.detach().clone() for parameter in network.parameters()]
    optimizer = own(name, network, weight_decay=0.5)
    for lr in RATES:
        for parameter in network.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step(lr)
    factor = torch.tensor([1 - lr * 0.5 for lr in RATES], dtype=torch.float64).prod()
    decayed = {id(parameter) for group in groups(network, 1.0)[:1] for parameter in group["params"]}
    for old, new in zip(before, network.parameters(), strict=True):
        assert torch.allclose(new, old * factor if id(new) in decayed else old, **EXACT)


@pytest.mark.parametrize(("name", "args"), [*((name, args) for name, args, _ in REFERENCES), ("muon", {})])
def test_going_on_from_a_saved_state_changes_no_bit(name: str, args: dict[str, Any]) -> None:
    whole, first = small_network().float(), small_network().float()
    uninterrupted, before = own(name, whole, **args), own(name, first, **args)
    for step, lr in enumerate(RATES[:4]):
        gradients(first, step)
        before.step(lr)
    file = io.BytesIO()
    torch.save({"model": first.state_dict(), "optimizer": before.state_dict()}, file)
    state = torch.load(io.BytesIO(file.getvalue()), weights_only=True)
    second = small_network().float()
    second.load_state_dict(state["model"])
    after = own(name, second, **args)
    after.load_state_dict(state["optimizer"])
    for step, lr in enumerate(RATES):
        gradients(whole, step)
        uninterrupted.step(lr)
        if step >= 4:
            gradients(second, step)
            after.step(lr)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), second.parameters(), strict=True))


def test_muon_orthogonalises_kernels_in_whatever_layout() -> None:
    """One step from zero momentum is the gradient with all singular values near 1; columns may lie in another order."""
    torch.manual_seed(0)
    shape, gradient = (8, 4, 3, 3), torch.randn(8, 4, 3, 3)
    steps = []
    for layout in (torch.contiguous_format, torch.channels_last):
        kernel = nn.Parameter(torch.zeros(shape).to(memory_format=layout))
        kernel.grad = gradient.clone()
        OPTIMIZERS.entries["muon"].load()([kernel], [], use_adam_scale=False, momentum=0.0).step(1.0)
        steps.append(kernel.detach())
    assert torch.allclose(steps[0], steps[1], atol=0.02)  # Newton and Schulz run in bfloat16
    assert not steps[1].is_contiguous()
    singular = torch.linalg.svdvals(steps[0].flatten(1))
    assert singular.min() > 0.6 and singular.max() < 1.3
    u, _, v = torch.linalg.svd(gradient.flatten(1), full_matrices=False)
    assert torch.nn.functional.cosine_similarity(-steps[0].flatten(), (u @ v).flatten(), dim=0) > 0.97


@pytest.mark.heavy
def test_no_optimizer_pays_for_torchs_compiler() -> None:
    """1.7 s of imports for each new worker; torch.optim's classes pull it in, so this process may have it already."""
    code = """
import sys, torch
from visiontune.spec.tables.optimizers import OPTIMIZERS
for name, entry in OPTIMIZERS.entries.items():
    weight = torch.nn.Parameter(torch.ones(2, 2))
    weight.grad = torch.ones(2, 2)
    entry.load()([weight], [weight]).step(0.1)
    assert "torch._dynamo" not in sys.modules, name
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_nesterov_needs_momentum() -> None:
    with pytest.raises(UserError, match=r"nesterov needs momentum > 0, but got momentum=0\.0"):
        optimizer.sgd([], [], momentum=0.0, nesterov=True)


def test_state_of_another_optimizer_is_refused() -> None:
    network = small_network()
    with pytest.raises(ValueError, match="optimizer state must hold"):
        own("sgd", network).load_state_dict(own("adam", network).state_dict())
    with pytest.raises(ValueError, match="optimizer state must hold"):
        own("muon", network).load_state_dict(own("adam", network).state_dict())


@pytest.mark.parametrize("name", ["lenet5", "cnn", "resnet18"])
def test_only_weights_of_layers_are_decayed(name: str) -> None:
    with torch.device("meta"):
        network = build_model(model_section(name, "prelu"), num_classes=3, in_channels=1, image_size=16)
    of_layers: list[Tensor] = [m.weight for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert [id(weight) for weight in decayed_parameters(network)] == [id(weight) for weight in of_layers]
