"""LSUV: what each layer gives on the batch has variance 1, and nothing else changes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from visiontune.models.build import build_model
from visiontune.models.lsuv import scale_to_unit_variance
from visiontune.spec.declarations.declare import Section
from visiontune.spec.space.sections import SPACE
from visiontune.spec.space.space import fill

SIZES = {"num_classes": 5, "in_channels": 3, "image_size": 16}


def batch(seed: int = 0) -> Tensor:
    return 0.1 * torch.randn(48, 3, 16, 16, generator=torch.Generator().manual_seed(seed)) + 0.2


def section(model: str, **args: object) -> dict[str, object]:
    declared = SPACE.fields["model"]
    assert isinstance(declared, Section)
    return fill(declared.fields, {"name": model, "use_lsuv": True, **args})


def variances(network: nn.Module, x_NCHW: Tensor) -> dict[str, float]:
    """Of what each convolution and linear layer gives, in training mode."""
    found: dict[str, float] = {}

    def note(name: str) -> Callable[[nn.Module, object, Tensor], None]:
        return lambda module, args, output: found.update({name: output.detach().var(unbiased=False).item()})

    hooks = [m.register_forward_hook(note(name)) for name, m in network.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    network.train()(x_NCHW)
    for hook in hooks:
        hook.remove()
    return found


@pytest.mark.parametrize("activation", ["relu", "tanh", "selu"])
@pytest.mark.parametrize("init", ["orthogonal", "constant_normal"])
def test_every_layer_of_a_deep_network_gives_variance_1(activation: str, init: str) -> None:
    deep = section("cnn", width=8, growth=1.0, depth=2, num_layers=10, norm="none", activation=activation, init=init, head="flatten")
    plain, scaled = (build_model(deep, **SIZES, seed=0, sample=sample) for sample in (None, batch))
    found = variances(scaled, batch())
    assert len(found) == 22 and all(0.9 <= variance <= 1.1 for variance in found.values())
    assert not all(0.9 <= variance <= 1.1 for variance in variances(plain, batch()).values())
    # Scaled, not turned; and what holds on one batch nearly holds on another.
    for name, weight in plain.named_parameters():
        if weight.ndim > 1:
            turned = 1 - torch.cosine_similarity(weight.flatten(), scaled.get_parameter(name).flatten(), dim=0)
            assert abs(turned.item()) < 1e-5
    assert all(0.5 < variance < 2 for variance in variances(scaled, batch(1)).values())


def test_statistics_modes_and_random_numbers_stay() -> None:
    torch.manual_seed(1)
    state = torch.get_rng_state()
    normed = section("cnn", block="residual", num_layers=2, stochastic_depth=0.5, use_zero_gamma=True, dropout=0.5)
    network = build_model(normed, **SIZES, seed=0, sample=batch)
    assert torch.equal(torch.get_rng_state(), state) and all(module.training for module in network.modules())
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert (module.running_mean == 0).all() and (module.running_var == 1).all() and module.num_batches_tracked == 0
    again = build_model(normed, **SIZES, seed=0, sample=batch)
    assert all(torch.equal(one, other) for one, other in zip(network.parameters(), again.parameters(), strict=True))


def test_a_layer_that_gives_nothing_is_left_alone() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Threshold(1e9, 0.0), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(4 * 144, 2))
    before = network[2].weight.clone()
    for layer in (network[2], network[4]):
        nn.init.zeros_(layer.bias)
    assert scale_to_unit_variance(network, batch()) == 1
    assert torch.equal(network[2].weight, before)


def test_a_bias_takes_more_rounds_but_gets_there() -> None:
    network = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 196, 4))
    nn.init.normal_(network[0].bias, std=0.8, generator=torch.Generator().manual_seed(0))
    scale_to_unit_variance(network, batch())
    assert all(abs(variance - 1) < 0.1 for variance in variances(network, batch()).values())


def test_without_a_sample_or_a_seed_weights_are_as_initialised() -> None:
    one = build_model(section("lenet5"), **SIZES, seed=0)
    other = build_model({**section("lenet5"), "use_lsuv": False}, **SIZES, seed=0, sample=batch)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
