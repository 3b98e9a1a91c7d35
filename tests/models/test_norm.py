"""Normalisations against torch's own functions, and where they are put."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from visiontune.models.build import build_model
from visiontune.models.norm import ChannelsLast, batch, group, layer, none, swap_norm
from visiontune.spec.declarations.declare import Section
from visiontune.spec.space.sections import SPACE
from visiontune.spec.space.space import fill

X_NCHW = torch.randn(4, 12, 5, 5, generator=torch.Generator().manual_seed(0)) * 3 + 1


def section(model: str, **args: object) -> dict[str, object]:
    declared = SPACE.fields["model"]
    assert isinstance(declared, Section)
    return fill(declared.fields, {"name": model, **args})


def test_group_and_layer_norm_are_torchs() -> None:
    assert torch.allclose(group(12, 3)(X_NCHW), F.group_norm(X_NCHW, 3), atol=1e-6)
    assert torch.allclose(layer(12)(X_NCHW), F.layer_norm(X_NCHW, X_NCHW.shape[1:]), atol=1e-6)
    assert torch.allclose(batch(12)(X_NCHW), F.batch_norm(X_NCHW, None, None, training=True), atol=1e-6)
    assert torch.equal(none(12)(X_NCHW), X_NCHW)


@pytest.mark.parametrize(("channels", "num_groups", "expected"), [(48, 32, 24), (64, 32, 32), (7, 32, 7), (37, 32, 1), (6, 4, 3)])
def test_groups_divide_the_channels(channels: int, num_groups: int, expected: int) -> None:
    made = group(channels, num_groups)
    assert isinstance(made, nn.GroupNorm) and made.num_groups == expected


class LayerNorm2d(nn.LayerNorm):
    """As torchvision's and timm's, which bear this name: over the channels of N C H W."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class BatchNormAct(nn.BatchNorm2d):
    """As timm's, which carries the activation."""

    def __init__(self, num_features: int) -> None:
        super().__init__(num_features)
        self.act = nn.Tanh()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(super().forward(x))  # type: ignore[no-any-return]


class LayerNorm2dNoBias(LayerNorm2d):
    """timm's PoolFormer-v2 and its kin have this one."""


@pytest.mark.parametrize(
    "old", [nn.BatchNorm2d(12), nn.GroupNorm(4, 12), LayerNorm2d(12), LayerNorm2dNoBias(12)], ids=lambda m: type(m).__name__
)
def test_each_kind_on_channels_first_is_reached(old: nn.Module) -> None:
    network = nn.Sequential(old)
    assert swap_norm(network, partial(group, num_groups=2)) == 1
    assert torch.allclose(network(X_NCHW), F.group_norm(X_NCHW, 2), atol=1e-6)


@pytest.mark.parametrize("make", [batch, layer])
def test_a_norm_over_the_last_axis_stays_one(make: type[nn.Module]) -> None:
    network = nn.Sequential(nn.LayerNorm(12))
    swap_norm(network, make)
    assert torch.allclose(network(X_NCHW.movedim(1, -1)), make(12)(X_NCHW).movedim(1, -1), atol=1e-6)
    flat_NC = X_NCHW.mean((2, 3))
    assert torch.allclose(network(flat_NC), make(12)(flat_NC[:, :, None, None]).flatten(1), atol=1e-6)
    assert isinstance(network[0], ChannelsLast) and swap_norm(network, none) == 1
    assert torch.equal(network(X_NCHW.movedim(1, -1)), X_NCHW.movedim(1, -1))


def test_an_activation_inside_a_norm_stays_behind_the_new_one() -> None:
    network = nn.Sequential(BatchNormAct(12))
    swap_norm(network, layer)
    assert torch.allclose(network(X_NCHW), torch.tanh(F.layer_norm(X_NCHW, X_NCHW.shape[1:])), atol=1e-6)


def test_batch_norm_that_is_there_stays() -> None:
    network = nn.Sequential(nn.BatchNorm2d(12, momentum=0.01), BatchNormAct(12), nn.GroupNorm(2, 12))
    kept = [*network][:2]
    assert swap_norm(network, batch) == 3
    assert [*network][:2] == kept and type(network[2]) is nn.BatchNorm2d


@pytest.mark.parametrize(("norm", "kind"), [("batch", nn.BatchNorm2d), ("group", nn.GroupNorm), ("layer", nn.GroupNorm)])
def test_a_network_without_any_gets_one_after_each_convolution(norm: str, kind: type[nn.Module]) -> None:
    network = build_model(section("lenet5", norm=norm), num_classes=3, in_channels=1, image_size=16, seed=0)
    norms = {name: module for name, module in network.named_modules() if isinstance(module, kind)}
    assert {name.split(".")[0] for name in norms} == {"conv1", "conv2"} and len(norms) == 2
    features: list[Tensor] = []
    network.get_submodule("conv1").register_forward_hook(lambda module, args, output: features.append(output))
    network(torch.randn(8, 1, 16, 16) * 5 + 3)
    assert features[0].mean().item() == pytest.approx(0, abs=1e-5) and features[0].var().item() == pytest.approx(1, rel=1e-2)


def test_the_head_gets_none_even_if_it_is_a_convolution() -> None:
    network = nn.Sequential(nn.Conv2d(12, 4, 3), nn.Conv2d(4, 3, 1))
    assert swap_norm(network, batch, heads=("1",)) == 1
    assert isinstance(network[1], nn.Conv2d)


def test_none_takes_all_away_and_adds_no_bias() -> None:
    network = build_model(section("cnn", norm="none"), num_classes=3, in_channels=1, image_size=16)
    assert {name.rpartition(".")[2] for name, _ in network.named_parameters() if not name.startswith("fc")} == {"weight"}
    assert all(parameter.ndim == 4 for name, parameter in network.named_parameters() if not name.startswith("fc"))
