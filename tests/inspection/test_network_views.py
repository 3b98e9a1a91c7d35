"""What is said of a network's inside, against gradients by hand, a linear network, and families of the table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from tiny import make_recipe, make_store, model_section
from torch import nn
from torch.nn import functional as F

from visiontune.inference.classifier import Classifier
from visiontune.inspection.attribution import attributions, grad_cam, occlusion
from visiontune.inspection.feature_maps import first_kernels, inputs_of, last_map, layer_maps, stage_ends
from visiontune.inspection.feature_visualisation import Visualisation, of_channels, of_classes, visualisation_sheet
from visiontune.inspection.mistakes import Mistake, sheet_labels
from visiontune.inspection.receptive_field import receptive_fields
from visiontune.models.build import build_model
from visiontune.spec.declarations.image_size import ImageSize
from visiontune.training.input.fit_preprocessing import fit_preprocessing
from visiontune.training.weights_metadata import WeightsMetadata


def made(
    model: Mapping[str, Any], size: ImageSize = 32, channels: int = 3, network: nn.Module | None = None
) -> tuple[Classifier, np.ndarray]:
    """A classifier that was never trained, and 12 pictures for it."""
    store = make_store(num=60, size=size, channels=channels)
    recipe = make_recipe(model, data={"image_size": None})
    preprocessing = fit_preprocessing({"name": "standardize", "colour": "stored"}, store)
    info = store.info
    sizes = {"num_classes": info.num_classes, "in_channels": channels, "image_size": size}
    made_here = network or build_model(recipe.model, **sizes, seed=0)
    return Classifier(made_here.eval(), preprocessing, WeightsMetadata.of(recipe, store), "made"), np.array(store.images_NHWC[:12])


def test_grad_cam_is_the_gradients_mean_times_the_maps() -> None:
    """Selvaraju et al. 2017, equations 1 and 2, by hand on LeNet-5."""
    classifier, images = made(model_section("lenet5"))
    layer, network = last_map(classifier), classifier.network
    assert layer is not None and layer.size == 10
    kept: list[torch.Tensor] = []
    hook = network.get_submodule(layer.name).register_forward_hook(lambda module, args, out: kept.append(out))
    logits_NK = network(inputs_of(classifier, images))
    hook.remove()
    classes = [0, 1, 2] * 4
    (gradient_NCHW,) = torch.autograd.grad(logits_NK[torch.arange(12), classes].sum(), kept)
    expected_N1HW = (gradient_NCHW.mean((2, 3), keepdim=True) * kept[0]).sum(1, keepdim=True).relu().detach()
    large_NHW = F.interpolate(expected_N1HW, size=(32, 32), mode="bilinear")[:, 0]
    large_NHW /= large_NHW.amax((1, 2), keepdim=True).clamp(min=1e-12)
    assert np.abs(grad_cam(classifier, images, classes, layer.name) - large_NHW.numpy()).max() < 1e-5


def test_occlusion_finds_what_the_answer_rests_on() -> None:
    """A logit that is the mean of one quarter of the picture: hiding that quarter alone makes it fall."""

    class Quarter(nn.Module):
        def forward(self, x_NCHW: torch.Tensor) -> torch.Tensor:
            return torch.stack([x_NCHW[:, :, :16, 16:].mean((1, 2, 3)), *2 * [torch.zeros(len(x_NCHW))]], 1)

    classifier, images = made(model_section("lenet5"), network=Quarter())
    heat_HW = occlusion(classifier, np.full_like(images[:1], 255), [0])[0]
    assert heat_HW[:16, 16:].min() > 0.4 and heat_HW[20:].max() == 0 and heat_HW[:, :12].max() == 0


def test_a_receptive_field_is_where_the_gradient_is_not_zero() -> None:
    """Kernels of 5 and poolings of 2: 5, then 5 + 1 + 4 * 2, then 14 + 2 + 4 * 4 pixels; the gradient reaches them and no others."""
    classifier, images = made(model_section("cnn", width=8, depth=3, kernel_size=5), size=48)
    found = receptive_fields(classifier, images)
    assert [one.pixels for one in found] == [5, 14, 32]
    for one in found:
        seen_HW = one.effective_HW > 0
        assert seen_HW.any(0).sum() == seen_HW.any(1).sum() == one.pixels and one.effective_HW.max() == 1, one.layer


def test_pictures_that_are_no_squares_keep_their_shape() -> None:
    classifier, images = made(model_section("cnn", width=8, depth=2, kernel_size=5), size=(24, 36))
    assert [one.size for one in stage_ends(classifier)] == [(24, 36), (12, 18)]
    layer = last_map(classifier)
    assert layer is not None and grad_cam(classifier, images, [0] * 12, layer.name).shape == (12, 24, 36)
    assert occlusion(classifier, images[:1], [0]).shape == (1, 24, 36)
    first, second = receptive_fields(classifier, images)
    assert (first.pixels, second.pixels) == (5, 14) and second.effective_HW.shape == (24, 36)
    seen_HW = second.effective_HW > 0
    assert seen_HW.any(0).sum() == seen_HW.any(1).sum() == 14
    assert of_classes(classifier, [0, 1]).images_NHWC.shape == (2, 24, 36, 3)


def test_ascent_nears_the_maximum_of_a_linear_network() -> None:
    """White where the class's weight is above 0, black elsewhere: known for waves; of noise the regularisers leave next to nothing."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 3, bias=False))
    wave_H = torch.sin(torch.arange(16) * torch.pi / 8)
    weights = [wave_H[:, None].expand(16, 16), wave_H.expand(16, 16), torch.randn((16, 16), generator=torch.Generator().manual_seed(0))]
    network[1].weight.data = torch.stack([one.expand(3, 16, 16).flatten() for one in weights])
    classifier, _ = made(model_section("lenet5"), size=16, network=network)
    found = of_classes(classifier, [0, 1, 2])
    best_NHWC = (network[1].weight.detach().reshape(3, 3, 16, 16).permute(0, 2, 3, 1) > 0).byte().numpy() * np.uint8(255)
    best_N, grey_N = (classifier.logits(x).diagonal().numpy() for x in (best_NHWC, np.full_like(best_NHWC, 128)))
    share_N = (found.reached_N - grey_N) / (best_N - grey_N)
    assert share_N[:2].min() > 0.65 and share_N[2] < 0.5 and (found.reached_N[:2] > found.began_N[:2]).all()
    assert found.names == classifier.class_names and found.images_NHWC.shape == (3, 16, 16, 3)
    assert np.array_equal(found.images_NHWC, of_classes(classifier, [0, 1, 2]).images_NHWC)


def test_a_class_that_the_typeface_lacks_is_told_by_its_number_among_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many classes every so many are drawn: the second of these is not class 1."""
    names, drawn = tuple(f"猫{number}" for number in range(8)), []
    monkeypatch.setattr("visiontune.inspection.feature_visualisation.draw_sheet", lambda title, blocks: drawn.extend(blocks) or 0)
    one, nothing_N = np.zeros((2, 8, 8, 3), np.uint8), np.zeros(2, np.float32)
    visualisation_sheet("", [Visualisation("", (names[0], names[7]), one, nothing_N, nothing_N)], sheet_labels(names))
    assert drawn[0].rows[0].captions == [["class 0"], ["class 7"]]


def test_channels_are_those_of_the_layer() -> None:
    classifier, images = made(model_section("cnn", width=8, depth=2))
    (first, second) = stage_ends(classifier)
    assert (first.channels, first.size, second.channels, second.size) == (8, 32, 16, 16)
    maps = layer_maps(classifier, images[0], (first, second))
    assert [len(one.number_C) for one in maps] == [8, 12] and maps[1].map_CHW.shape == (12, 16, 16)
    mean_C = np.abs(maps[1].map_CHW).mean((1, 2))
    assert (np.diff(mean_C) <= 0).all()
    found = of_channels(classifier, second.name, maps[1].number_C[:4])
    assert (found.reached_N > 1.5 * found.began_N).all()
    kernels = first_kernels(classifier)
    assert (kernels is not None and kernels.shape == (8, 5, 5, 3)) or kernels.shape == (8, 3, 3, 3)


FAMILIES = [
    ("lenet5", {}),
    ("resnet18", {"width_factor": 0.25}),
    ("densenet121", {}),
    ("mobilenet_v3_small", {}),
    ("convnext_tiny", {"width_factor": 0.25}),
    ("timm", {"model": "vit_tiny_patch16_224"}),
]
"""Every other network of the table was tried once in the same way, 54 of them at 96 pixels."""


@pytest.mark.heavy
@pytest.mark.parametrize(("name", "args"), FAMILIES, ids=str)
def test_a_network_has_maps_for_grad_cam_or_is_a_transformer(name: str, args: dict[str, Any]) -> None:
    classifier, images = made(model_section(name, **args), size=64)
    layer = last_map(classifier)
    assert (layer is None) == (name == "timm") and stage_ends(classifier)
    answer = Mistake(0, "class0", "class1", 0.5, 0.3)
    (one,) = attributions(classifier, images[:1], [answer], None if layer is None else layer.name)
    assert one.occlusion_HW.max() == 1 and (one.cam_HW is None) == (layer is None)
    assert one.cam_HW is None or (np.isfinite(one.cam_HW).all() and one.cam_HW.shape == (64, 64))
