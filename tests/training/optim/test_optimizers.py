"""What is ours beside torch.optim's classes: which class, decoupled decay, Muon on kernels, flags and rates by device, going on."""

from __future__ import annotations

import copy
import inspect
import io
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
import torch
from timm.optim import Lion
from tiny import defaults, model_section
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from visiontune.errors import UserError
from visiontune.models.build import build_model
from visiontune.spec.tables.optimizers import OPTIMIZERS
from visiontune.training.optim import muon, optimizer
from visiontune.training.optim.optimizer import flags_on, load_state, set_lr
from visiontune.training.optim.param_groups import LearnedParameter
from visiontune.training.optim.penalties import decayed_parameters

RATES = [0.1, 0.05, 0.2, 0.01, 0.1, 0.0, 0.1]
EXACT = {"rtol": 1e-10, "atol": 1e-12}
"""What is beyond a square root or a product of roundings in double precision is another formula."""
DECAYING = [name for name, entry in OPTIMIZERS.entries.items() if "weight_decay" in entry.args and not entry.traits]
SCHEDULE_FREE = ("schedule_free_sgd", "schedule_free_adamw")
CLASSES: list[tuple[str, dict[str, Any], type[torch.optim.Optimizer], dict[str, Any]]] = [
    ("sgd", {"momentum": 0.8, "nesterov": True}, torch.optim.SGD, {"momentum": 0.8, "nesterov": True, "dampening": 0, "weight_decay": 0}),
    ("adagrad", {"initial_square_sum": 0.1, "eps": 1e-6}, torch.optim.Adagrad, {"initial_accumulator_value": 0.1, "eps": 1e-6}),
    ("adadelta", {"rho": 0.8, "eps": 1e-3}, torch.optim.Adadelta, {"rho": 0.8, "eps": 1e-3}),
    ("rmsprop", {"alpha": 0.9, "momentum": 0.8}, torch.optim.RMSprop, {"alpha": 0.9, "momentum": 0.8, "centered": False}),
    ("rmsprop", {"is_centered": True, "eps": 1e-3}, torch.optim.RMSprop, {"centered": True, "eps": 1e-3}),
    ("adam", {"beta1": 0.8, "eps": 1e-6}, torch.optim.Adam, {"betas": (0.8, 0.999), "eps": 1e-6, "amsgrad": False}),
    ("amsgrad", {"beta2": 0.5}, torch.optim.Adam, {"betas": (0.9, 0.5), "amsgrad": True}),
    ("adamax", {"beta1": 0.5, "beta2": 0.7, "eps": 1e-4}, torch.optim.Adamax, {"betas": (0.5, 0.7), "eps": 1e-4}),
    ("nadam", {"beta1": 0.6, "momentum_decay": 0.1, "eps": 1e-4}, torch.optim.NAdam, {"betas": (0.6, 0.999), "momentum_decay": 0.1}),
    ("radam", {"beta2": 0.9, "eps": 1e-3}, torch.optim.RAdam, {"betas": (0.9, 0.9), "eps": 1e-3}),
    ("adamw", {"beta2": 0.9, "eps": 1e-3}, torch.optim.AdamW, {"betas": (0.9, 0.9), "eps": 1e-3}),
    ("lion", {"beta1": 0.8, "beta2": 0.9}, Lion, {"betas": (0.8, 0.9), "caution": False, "corrected_weight_decay": False}),
]


def small_network() -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.PReLU(), nn.Flatten(), nn.Linear(12, 2)]
    return nn.Sequential(*layers).double()


def learned(network: nn.Module) -> list[LearnedParameter]:
    """Weights of the two layers are decayed and matrices; what comes after the third module learns at half the rate."""
    weights = {id(network[0].weight), id(network[4].weight)}
    return [
        LearnedParameter(parameter, 0.5 if name[0] > "2" else 1.0, id(parameter) in weights, id(parameter) in weights)
        for name, parameter in network.named_parameters()
    ]


def own(name: str, network: nn.Module, **args: Any) -> torch.optim.Optimizer:
    made: torch.optim.Optimizer = OPTIMIZERS.entries[name].load()(learned(network), **args)
    return made


def gradients(network: nn.Module, step: int, factor: float = 1.0) -> None:
    generator = torch.Generator().manual_seed(step)
    for parameter in network.parameters():
        parameter.grad = (torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * factor).to(parameter.dtype)


def weights_of_steps(made: torch.optim.Optimizer, network: nn.Module, steps: range) -> Iterator[list[Tensor]]:
    """The parameters after each step."""
    for step in steps:
        gradients(network, step)
        set_lr(made, RATES[step])
        made.step()
        yield [parameter.detach().clone() for parameter in network.parameters()]


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(one, other) for one, other in zip(a.parameters(), b.parameters(), strict=True))


@pytest.mark.parametrize("name", OPTIMIZERS.entries)
def test_builder_takes_what_is_declared(name: str) -> None:
    entry = OPTIMIZERS.entries[name]
    parameters = inspect.signature(entry.load()).parameters
    assert {key: p.default for key, p in parameters.items() if key != "parameters"} == defaults(entry)
    with pytest.raises(TypeError, match="no_such_argument"):
        entry.load()([], no_such_argument=1)


@pytest.mark.parametrize(("name", "args", "kind", "options"), CLASSES)
def test_an_entry_is_the_class_that_its_text_names(
    name: str, args: dict[str, Any], kind: type[torch.optim.Optimizer], options: dict[str, Any]
) -> None:
    made = own(name, small_network(), **args)
    assert type(made) is kind and f"{kind.__module__.partition('.')[0]}.optim.{kind.__name__}" in OPTIMIZERS.entries[name].doc
    assert all(group[key] == value for group in made.param_groups for key, value in options.items())
    assert {name for name, *_ in CLASSES} | {"muon", *SCHEDULE_FREE} == set(OPTIMIZERS.entries)


@pytest.mark.parametrize("name", DECAYING)
def test_decay_alone_is_a_product(name: str) -> None:
    network = small_network()
    before = [parameter.detach().clone() for parameter in network.parameters()]
    made = own(name, network, weight_decay=0.5)
    for lr in RATES:
        for parameter in network.parameters():
            parameter.grad = torch.zeros_like(parameter)
        set_lr(made, lr)
        made.step()
    for old, one in zip(before, learned(network), strict=True):
        shrunk = torch.tensor([1 - lr * one.lr_factor * 0.5 for lr in RATES], dtype=torch.float64).prod()
        assert torch.allclose(one.tensor, old * shrunk if one.is_decayed else old, **EXACT)


@pytest.mark.parametrize("name", DECAYING)
def test_decay_stays_out_of_gradients_and_their_moments(name: str) -> None:
    """w <- (1 - lr * decay) * w + u, where u is what the same gradients change without decay. A coupled decay would be in u."""
    plain, decayed = small_network(), small_network()
    one, other = own(name, plain, weight_decay=0.0), own(name, decayed, weight_decay=0.4)
    old = [parameter.detach().clone() for parameter in plain.parameters()]
    expected = [parameter.clone() for parameter in old]
    steps = range(len(RATES))
    for lr, new, found in zip(RATES, weights_of_steps(one, plain, steps), weights_of_steps(other, decayed, steps), strict=True):
        for k, parameter in enumerate(learned(plain)):
            expected[k] = expected[k] * (1 - lr * parameter.lr_factor * 0.4 * parameter.is_decayed) + new[k] - old[k]
            assert torch.allclose(found[k], expected[k], rtol=1e-8, atol=1e-10)
        old = new


def test_sgd_has_one_group_for_each_rate_and_decay() -> None:
    network = small_network()
    assert len(own("sgd", network).param_groups) == 2
    assert len(own("sgd", network, weight_decay=0.1).param_groups) == 4


@pytest.mark.parametrize(("scale", "nesterov", "num_iterations"), [("match_rms_adamw", True, 5), ("original", False, 3)])
def test_muon_steps_as_torch_does_and_leaves_the_rest_to_adamw(scale: str, nesterov: bool, num_iterations: int) -> None:
    """torch.optim.Muon takes no kernels, so the reference has them as matrices."""
    mine, theirs = small_network(), small_network()
    theirs[0].weight = nn.Parameter(theirs[0].weight.detach().flatten(1))
    rest = [theirs[0].bias, *theirs[1].parameters(), *theirs[2].parameters(), theirs[4].bias]
    by_muon = torch.optim.Muon(
        [theirs[0].weight, theirs[4].weight],
        weight_decay=0.3,
        momentum=0.8,
        nesterov=nesterov,
        ns_steps=num_iterations,
        adjust_lr_fn=scale,
    )
    by_adamw = torch.optim.AdamW(rest, betas=(0.8, 0.9), weight_decay=0.0)
    args = {"momentum": 0.8, "nesterov": nesterov, "num_iterations": num_iterations, "use_adam_scale": scale != "original"}
    parameters = [LearnedParameter(one.tensor, 1.0, one.is_decayed, one.is_matrix) for one in learned(mine)]
    made = OPTIMIZERS.entries["muon"].load()(parameters, weight_decay=0.3, adamw_lr_factor=0.5, beta1=0.8, beta2=0.9, **args)
    for step, _ in enumerate(weights_of_steps(made, mine, range(len(RATES)))):
        gradients(theirs, step)
        for reference, lr in ((by_muon, RATES[step]), (by_adamw, RATES[step] * 0.5)):
            for group in reference.param_groups:
                group["lr"] = lr
            reference.step()
        for a, b in zip(mine.parameters(), theirs.parameters(), strict=True):
            assert torch.allclose(a.reshape(b.shape), b, **EXACT), step


def test_lion_steps_as_its_paper_says() -> None:
    """Chen et al. 2023, algorithm 2: c = beta1 m + (1 - beta1) g, w -= lr (sign c + decay w), m = beta2 m + (1 - beta2) g."""
    network = small_network()
    weights = [parameter.detach().clone() for parameter in network.parameters()]
    momenta = [torch.zeros_like(weight) for weight in weights]
    made = own("lion", network, beta1=0.8, beta2=0.9, weight_decay=0.3)
    for lr, new in zip(RATES, weights_of_steps(made, network, range(len(RATES))), strict=True):
        for k, one in enumerate(learned(network)):
            gradient = one.tensor.grad
            assert gradient is not None
            step = (0.8 * momenta[k] + 0.2 * gradient).sign() + 0.3 * one.is_decayed * weights[k]
            weights[k] = weights[k] - lr * one.lr_factor * step
            momenta[k] = 0.9 * momenta[k] + 0.1 * gradient
            assert torch.allclose(new[k], weights[k], **EXACT)


@pytest.mark.parametrize("name", SCHEDULE_FREE)
def test_schedule_free_steps_as_its_paper_says(name: str) -> None:
    """Defazio et al. 2024, equations 2 to 4 and algorithm 1: decay at y, Adam's corrected second moment, means weighted by lr_max^2."""
    network = small_network()
    args = {"momentum": 0.8} if name == "schedule_free_sgd" else {"beta1": 0.8, "beta2": 0.9, "eps": 1e-3}
    made = own(name, network, weight_decay=0.3, **args)
    start = [parameter.detach().clone() for parameter in network.parameters()]
    x, y, z, squares = start, start, start, [torch.zeros_like(weight) for weight in start]
    weight_sum = 0.0
    for step, new in enumerate(weights_of_steps(made, network, range(len(RATES))), start=1):
        weight = max(RATES[:step]) ** 2
        weight_sum += weight
        for k, one in enumerate(learned(network)):
            gradient = one.tensor.grad
            assert gradient is not None
            squares[k] = 0.9 * squares[k] + 0.1 * gradient**2
            size = 1.0 if "sgd" in name else (squares[k] / (1 - 0.9**step)).sqrt() + 1e-3
            z = [*z[:k], z[k] - RATES[step - 1] * one.lr_factor * (gradient / size + 0.3 * one.is_decayed * y[k]), *z[k + 1 :]]
            x = [*x[:k], x[k] + weight / weight_sum * (z[k] - x[k]), *x[k + 1 :]]
            y = [*y[:k], 0.2 * z[k] + 0.8 * x[k], *y[k + 1 :]]
            assert torch.allclose(new[k], y[k], **EXACT), step
    made.exchange()  # type: ignore[attr-defined]
    assert all(torch.allclose(one, mean, **EXACT) for one, mean in zip(network.parameters(), x, strict=True))
    made.exchange()  # type: ignore[attr-defined]
    assert all(torch.equal(one, last) for one, last in zip(network.parameters(), new, strict=True))


def test_muon_orthogonalises_kernels_in_whatever_layout() -> None:
    """One step from zero momentum is the gradient with all singular values near 1; columns may lie in another order."""
    torch.manual_seed(0)
    shape, gradient = (8, 4, 3, 3), torch.randn(8, 4, 3, 3)
    steps = []
    for layout in (torch.contiguous_format, torch.channels_last):
        kernel = nn.Parameter(torch.zeros(shape).to(memory_format=layout))
        made = muon.muon([LearnedParameter(kernel, is_matrix=True)], use_adam_scale=False, momentum=0.0)
        kernel.grad = gradient.clone()
        set_lr(made, 1.0)
        made.step()
        steps.append(kernel.detach())
    assert torch.allclose(steps[0], steps[1], atol=0.02)  # Newton and Schulz run in bfloat16
    assert not steps[1].is_contiguous()
    singular = torch.linalg.svdvals(steps[0].flatten(1))
    assert singular.min() > 0.6 and singular.max() < 1.3
    u, _, v = torch.linalg.svd(gradient.flatten(1), full_matrices=False)
    assert torch.nn.functional.cosine_similarity(-steps[0].flatten(), (u @ v).flatten(), dim=0) > 0.97


@pytest.mark.parametrize(
    ("name", "args"),
    [*((name, args) for name, args, _, _ in CLASSES), ("sgd", {"momentum": 0.0}), ("muon", {}), *((name, {}) for name in SCHEDULE_FREE)],
)
def test_going_on_from_a_saved_state_changes_no_bit(name: str, args: dict[str, Any]) -> None:
    whole, first, second = (small_network().float() for _ in range(3))
    list(weights_of_steps(own(name, whole, **args), whole, range(len(RATES))))
    before = own(name, first, **args)
    list(weights_of_steps(before, first, range(4)))
    file = io.BytesIO()
    torch.save({"model": first.state_dict(), "optimizer": before.state_dict()}, file)
    state = torch.load(io.BytesIO(file.getvalue()), weights_only=True)
    kept = copy.deepcopy(state["optimizer"]["state"])

    second.load_state_dict(state["model"])
    after = own(name, second, **args)
    load_state(after, state["optimizer"])
    list(weights_of_steps(after, second, range(4, len(RATES))))
    assert same(whole, second)
    for number, slots in kept.items():
        assert all(torch.equal(tensor, state["optimizer"]["state"][number][key]) for key, tensor in slots.items()), "it is used, not copied"


def test_a_state_of_another_device_brings_only_its_memory() -> None:
    """Rates in tensors and flags of a GPU are not taken over on a CPU, where they would be refused."""
    network, other = small_network(), small_network()
    saved = own("radam", network).state_dict()
    for group in saved["param_groups"]:
        group |= {"capturable": True, "lr": torch.tensor(0.7)}
    made = own("radam", other)
    load_state(made, saved)
    assert all(group["lr"] == 0.0 and not group["capturable"] and group["foreach"] for group in made.param_groups)
    list(weights_of_steps(made, other, range(2)))


def test_a_state_of_other_groups_is_refused() -> None:
    network = small_network()
    for name, args in (("sgd", {"weight_decay": 0.1}), ("muon", {})):
        with pytest.raises(ValueError, match=r"zip|group"):
            load_state(own(name, network, **args), own("adam", network).state_dict())


FLAGS: list[tuple[str, type[torch.optim.Optimizer], set[str]]] = [
    ("cpu", torch.optim.SGD, {"fused"}),
    ("cuda", torch.optim.SGD, {"fused"}),
    ("cpu", torch.optim.AdamW, {"fused"}),
    ("cuda", torch.optim.AdamW, {"fused", "capturable"}),
    ("cpu", torch.optim.Adagrad, {"fused"}),
    ("cuda", torch.optim.Adagrad, {"foreach"}),
    ("cpu", torch.optim.RAdam, {"foreach"}),
    ("cuda", torch.optim.RAdam, {"foreach", "capturable"}),
]


@pytest.mark.parametrize(("device_type", "kind", "flags"), FLAGS)
def test_kernels_suit_the_device(device_type: str, kind: type[torch.optim.Optimizer], flags: set[str]) -> None:
    assert flags_on(device_type, kind) == dict.fromkeys(flags, True)


@pytest.mark.parametrize("name", OPTIMIZERS.entries)
def test_on_a_gpu_no_step_waits_for_a_number(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors without memory stand for the GPU's, and refuse to be read. Rates that no kernel reads are on the CPU."""
    fused_rates: list[Any] = []
    for function in ("_fused_sgd_", "_fused_adam_", "_fused_adamw_"):
        monkeypatch.setattr(torch, function, lambda *_, **options: fused_rates.append(options["lr"]))
    monkeypatch.setattr("timm.optim._helpers._foreach_chunk_elements", lambda *_: 2**30)  # Lion's, by the size of a cache: no GPU to ask
    args = {"weight_decay": 0.1} if name in DECAYING else {}
    with FakeTensorMode():
        tensors = [nn.Parameter(torch.ones(shape, device="cuda")) for shape in ((3, 2), (3,))]
        parameters = [LearnedParameter(tensors[0], 1.0, True, True), LearnedParameter(tensors[1], 0.5)]
        made = OPTIMIZERS.entries[name].load()(parameters, **args)
        kept = [group["lr"] for group in made.param_groups]
        for _ in range(3):
            for tensor in tensors:
                tensor.grad = torch.ones_like(tensor)
            set_lr(made, 0.1)
            made.step()
        on_gpu = [isinstance(lr, Tensor) and lr.device.type == "cuda" for lr in kept]
        assert on_gpu == ([False, name == "muon"] if name in ("adagrad", "lion", "muon", *SCHEDULE_FREE) else [True, True])
        assert all(group["lr"] is lr for group, lr, is_there in zip(made.param_groups, kept, on_gpu, strict=True) if is_there)
        assert len({id(lr) for lr in kept if isinstance(lr, Tensor)}) == sum(on_gpu), "a rate for each group"
        assert bool(fused_rates) == (name in ("sgd", "adam", "amsgrad", "adamw", "muon")) and all(
            isinstance(lr, Tensor) for lr in fused_rates
        )


@pytest.mark.parametrize("name", ["sgd", "adagrad", "adam", "amsgrad", "adamw", "muon"])
def test_rates_in_tensors_change_no_step(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    by_number, by_tensor = small_network(), small_network()
    args = {"weight_decay": 0.1} if name in DECAYING else {}
    list(weights_of_steps(own(name, by_number, **args), by_number, range(len(RATES))))
    module: ModuleType
    for module in (optimizer, muon):
        monkeypatch.setattr(module, "new_lr", lambda *_: torch.zeros((), dtype=torch.float64))
    list(weights_of_steps(own(name, by_tensor, **args), by_tensor, range(len(RATES))))
    for a, b in zip(by_number.parameters(), by_tensor.parameters(), strict=True):
        assert torch.allclose(a, b, **EXACT)


@pytest.mark.parametrize("name", OPTIMIZERS.entries)
def test_a_step_that_overflowed_leaves_no_trace(name: str) -> None:
    """Even the very first one, of which torch's fused SGD would keep whatever lay in memory as momentum."""
    skipping, plain = small_network().float(), small_network().float()
    args = {"weight_decay": 0.5} if name in DECAYING else {}
    one, other = own(name, skipping, **args), own(name, plain, **args)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    scaler.scale(torch.ones(()))
    for step in (0, 1, 2):
        gradients(skipping, step, factor=scaler.get_scale())
        if step != 1:
            skipping[4].bias.grad[0] = float("inf")
        before = [parameter.detach().clone() for parameter in skipping.parameters()]
        set_lr(one, RATES[step])
        scaler.unscale_(one)
        scaler.step(one)
        scaler.update()
        changed = [not torch.equal(old, new) for old, new in zip(before, skipping.parameters(), strict=True)]
        assert all(changed) if step == 1 else not any(changed)
    list(weights_of_steps(other, plain, range(1, 2)))
    assert same(skipping, plain)
    for a, b in zip(skipping.parameters(), plain.parameters(), strict=True):
        assert all(torch.equal(tensor, other.state[b][key]) for key, tensor in one.state[a].items())


def test_nesterov_needs_momentum() -> None:
    with pytest.raises(UserError, match=r"nesterov needs momentum > 0, but got momentum=0\.0"):
        optimizer.sgd([], momentum=0.0, nesterov=True)


@pytest.mark.parametrize("name", ["lenet5", "cnn", "resnet18"])
def test_only_weights_of_layers_are_decayed(name: str) -> None:
    with torch.device("meta"):
        network = build_model(model_section(name, "prelu"), num_classes=3, in_channels=1, image_size=16)
    of_layers: list[Tensor] = [m.weight for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert [id(weight) for weight in decayed_parameters(network)] == [id(weight) for weight in of_layers]
