"""Each family of the zoo whole: outputs against the original, stages cut off one by one, activations counted, auxiliary classifiers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from zoo_originals import FAMILIES, CountActivations, original, ours, settle

from visiontune.models.activation import ACTIVATION_TYPES
from visiontune.models.anatomy import anatomy_of, replace
from visiontune.models.build import swap

pytestmark = pytest.mark.heavy

# One of each class of the originals, and EfficientNet-B5 for its other normalisation.
WHOLE = {
    **{"alexnet": 64, "vgg11": 32, "vgg11_bn": 32, "googlenet": 64, "inception_v3": 299, "inception_resnet_v2": 96, "xception": 96},
    **{"resnet50": 64, "resnext50_32x4d": 64, "wide_resnet50_2": 64, "densenet121": 64, "densenet161": 64},
    **{"efficientnet": 64, "efficientnet_b5": 64, "mobilenet_v2": 64, "mobilenet_v3_large": 64, "convnext_tiny": 64},
}


@pytest.mark.parametrize(("name", "size"), WHOLE.items())
def test_gives_what_the_original_gives(name: str, size: int) -> None:
    x_NCHW = torch.randn(2, 3, size, size)
    reference = settle(original(name), x_NCHW)
    network = ours(name, image_size=size).eval()
    network.load_state_dict(reference.state_dict())
    with torch.no_grad():
        expected, given = reference(x_NCHW), network(x_NCHW)
    assert expected.std() > 1e-4
    assert torch.allclose(given, expected, atol=1e-5)


@pytest.mark.parametrize(("name", "order"), [("googlenet", (0, 2, 1)), ("inception_v3", (0, 1))])
def test_auxiliary_classifiers_score_in_training(name: str, order: tuple[int, ...]) -> None:
    """torchvision's tuple is (logits, aux2, aux1) for GoogLeNet; ours is in running order."""
    size = {"googlenet": 64, "inception_v3": 299}[name]
    reference, network = original(name).train(), ours(name).train()
    network.load_state_dict(reference.state_dict())
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    x_NCHW = torch.randn(2, 3, size, size)
    with torch.no_grad():
        expected, given = reference(x_NCHW), network(x_NCHW)
    assert type(given) is tuple and len(given) == 1 + len(anatomy_of(network).aux)
    assert all(torch.allclose(given[k], expected[index], atol=1e-5) for k, index in enumerate(order))
    assert isinstance(network.eval()(x_NCHW), Tensor)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_rest_of_a_network_goes_on_from_any_stage(name: str) -> None:
    x_NCHW = torch.randn(2, 3, 96, 96)
    network = settle(ours(name, **FAMILIES[name]), x_NCHW)
    stages = anatomy_of(network).stages
    with torch.no_grad():
        expected = network(x_NCHW)
        x = x_NCHW
        for stage in stages:
            for part in stage:
                x = network.get_submodule(part)(x)
                replace(network, part, lambda _: nn.Identity())
            before = x.clone()
            assert torch.equal(network(x), expected)
            assert torch.equal(x, before)  # features may be kept: nothing after a stage writes into them
    assert isinstance(network.get_submodule(anatomy_of(network).head), nn.Linear)


@pytest.mark.parametrize("name", [*WHOLE, "resnet18", "mobilenet_v3_small"])  # the rest differ from one of them in depth and width alone
def test_every_activation_of_the_original_is_a_place_of_ours(name: str) -> None:
    with torch.device("meta"):
        reference, network = original(name).train(), ours(name).train()
        x_NCHW = torch.empty(2, 3, 299, 299)
        with CountActivations(reference) as of_reference:
            reference(x_NCHW)
        num_places = swap(network, ACTIVATION_TYPES, nn.Tanh, anatomy_of(network).keep)
        with CountActivations(network) as left:
            calls = _calls(network, nn.Tanh, x_NCHW)
    assert num_places == of_reference.count > 0
    assert calls == [1] * num_places and left.count == 0


def _calls(network: nn.Module, kind: type[nn.Module], x_NCHW: Tensor) -> list[int]:
    """How often each module of a kind is called in one pass."""
    calls: dict[nn.Module, int] = {module: 0 for module in network.modules() if isinstance(module, kind)}

    def note(module: nn.Module, *_: Any) -> None:
        calls[module] += 1

    for module in calls:
        module.register_forward_hook(note)
    network(x_NCHW)
    return [*calls.values()]


@pytest.mark.parametrize(
    ("name", "args", "smallest"),
    [
        ("googlenet", {}, 15),
        ("inception_v3", {"aux_weight": 0.0}, 75),
        ("densenet121", {}, 29),
        ("convnext_tiny", {}, 32),
        ("efficientnet_b0", {}, 1),
        ("mobilenet_v3_small", {}, 1),
        ("resnet50", {}, 1),
    ],
)
def test_smallest_picture_is_torchvisions(name: str, args: dict[str, object], smallest: int) -> None:
    """`min_size` of its weights, met in eval mode."""
    with torch.device("meta"):
        network = ours(name, **args).eval()
        assert network(torch.empty(2, 3, smallest, smallest)).shape == (2, 10)
        if smallest > 1:
            with pytest.raises(RuntimeError):
                network(torch.empty(2, 3, smallest - 1, smallest - 1))


def test_inception_v3s_auxiliary_classifier_needs_299_px() -> None:
    with torch.device("meta"):
        network = ours("inception_v3").train()
        assert [scores.shape for scores in network(torch.empty(2, 3, 299, 299))] == [(2, 10), (2, 10)]
        with pytest.raises(RuntimeError):
            network(torch.empty(2, 3, 298, 298))
