"""Maps that a network makes of a picture on its way, and the kernels of its first convolution."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from visiontune.augmentation.sheet_drawing import Block, Row, draw_sheet
from visiontune.inference.classifier import Classifier
from visiontune.inspection.figure import Picture, coloured_by, enlarged, stretched
from visiontune.models.anatomy import anatomy_of
from visiontune.spec.declarations.image_size import ImageSize, are_positions, image_size, sides

MOST_LAYERS, MOST_CHANNELS, MOST_FILTERS = 8, 12, 64
_KERNEL_SIDE, _MAP_SIDE = 56, 64


@dataclass(frozen=True)
class SpatialLayer:
    """A module whose output is (N, channels, *sides(size)), with more than one position."""

    name: str
    kind: str
    channels: int
    size: ImageSize


@dataclass(frozen=True)
class LayerMaps:
    """The channels of a layer that are most active for one picture, the strongest first: `map_CHW` of channels `number_C`, from 0 on."""

    layer: SpatialLayer
    number_C: tuple[int, ...]
    map_CHW: NDArray[np.float32]


def spatial_layers(classifier: Classifier) -> tuple[SpatialLayer, ...]:
    """In the order in which they end; empty for a network without any, as one of dense layers alone. What runs twice counts at its last."""
    found: dict[str, SpatialLayer] = {}

    def note(name: str, module: nn.Module, out: Any) -> None:
        found.pop(name, None)
        if isinstance(out, Tensor) and out.ndim == 4 and prod(out.shape[2:]) > 1 and are_positions(out.shape[2:], classifier.image_size):
            found[name] = SpatialLayer(name, type(module).__name__, out.shape[1], image_size(out.shape[2:]))

    with torch.no_grad(), _watched(classifier.network, note):
        classifier.network(inputs_of(classifier, mean_picture(classifier)))
    return tuple(found.values())


def convolutions(classifier: Classifier) -> tuple[SpatialLayer, ...]:
    """Those of the layers above that are convolutions."""
    network = classifier.network
    return tuple(layer for layer in spatial_layers(classifier) if isinstance(network.get_submodule(layer.name), nn.Conv2d))


def last_map(classifier: Classifier) -> SpatialLayer | None:
    """What Grad-CAM is taken of: the last layer as large as what the last convolution gives, so after norm and activation, before pooling.

    That is a better sum over channels than the last convolution alone (that of a DenseNet has 32 of 1,024). None where no convolution
    gives positions, or the only one cuts the picture into a transformer's patches.
    """
    num = len(convolutions(classifier))
    has_maps = num > 1 or (num == 1 and anatomy_of(classifier.network).is_chain)
    return _before_pooling(classifier, spatial_layers(classifier)) if has_maps else None


def stage_ends(classifier: Classifier) -> tuple[SpatialLayer, ...]:
    """The last layer of each stage before pooling; convolutions where stages have none. At most eight, evenly spaced."""
    layers = spatial_layers(classifier)
    groups = [[layer for layer in layers if _is_in(layer.name, stage)] for stage in anatomy_of(classifier.network).stages]
    ends = [end for group in groups if (end := _before_pooling(classifier, group)) is not None]
    chosen = ends if len(ends) > 1 else [*convolutions(classifier)] or [*layers]
    return tuple(chosen[place] for place in np.unique(np.linspace(0, len(chosen) - 1, min(MOST_LAYERS, len(chosen))).round().astype(int)))


def layer_maps(classifier: Classifier, image_HWC: Picture, layers: Sequence[SpatialLayer]) -> tuple[LayerMaps, ...]:
    """Of one picture, the twelve channels with the highest mean of absolute values in each layer."""
    kept: dict[str, Tensor] = {}
    wanted = {layer.name for layer in layers}

    def note(name: str, module: nn.Module, out: Any) -> None:
        if name in wanted:
            kept[name] = out.detach().float().cpu().clone()  # the next layer may work in place

    with torch.no_grad(), _watched(classifier.network, note):
        classifier.network(inputs_of(classifier, image_HWC[None]))
    return tuple(_strongest(layer, kept[layer.name][0].numpy()) for layer in layers)


def positions(layer: SpatialLayer) -> str:
    """Such as 8 × 8."""
    return " × ".join(map(str, sides(layer.size)))


def map_sheet(title: str, image_HWC: Picture, found: Sequence[LayerMaps]) -> Picture:
    """A row for each layer; each map has its own scale, from its lowest value to its highest."""
    rows = [Row("picture", [[enlarged(image_HWC, _MAP_SIDE)]])]
    for one in found:
        pictures = [enlarged(coloured_by((stretched(map_HW) / 255).astype(np.float32)), _MAP_SIDE) for map_HW in one.map_CHW]
        note = f"{one.layer.channels} maps of {positions(one.layer)}"
        rows.append(Row(one.layer.name, [pictures], note, captions=[[f"{number}" for number in one.number_C]]))
    return np.asarray(draw_sheet(title, [Block("the most active channels of each layer, by number", rows)]))


def first_kernels(classifier: Classifier) -> NDArray[np.float32] | None:
    """(channels out, side, side, channels in) of the first convolution; None where there is none."""
    found = convolutions(classifier)
    if not found:
        return None
    weight: Tensor = classifier.network.get_submodule(found[0].name).weight  # type: ignore[assignment]
    return np.asarray(weight.detach().float().cpu().permute(0, 2, 3, 1).numpy())


def kernel_sheet(title: str, kernel_OKKI: NDArray[np.float32]) -> Picture:
    """At most 64, in colour where the network sees three channels; each from its own largest weight, black or white, to grey for 0."""
    pictures = [_kernel_picture(kernel_KKI) for kernel_KKI in kernel_OKKI[:MOST_FILTERS]]
    rows = [Row(f"{low}", [[picture] for picture in pictures[low : low + 16]]) for low in range(0, len(pictures), 16)]
    left = len(kernel_OKKI) - len(pictures)
    more = f"; {left} more are left out" if left else ""
    return np.asarray(draw_sheet(title, [Block(f"kernels of the first convolution, 0 is grey{more}", rows)]))


def inputs_of(classifier: Classifier, images_NHWC: NDArray[np.uint8]) -> Tensor:
    """(N, C, H, W) what the network gets of these pictures."""
    x_NHWC = torch.from_numpy(np.array(images_NHWC)).to(classifier.device)  # a copy: the store's own may not be written to
    x_NCHW: Tensor = classifier.preprocessing(x_NHWC).permute(0, 3, 1, 2).contiguous()
    return x_NCHW


def mean_picture(classifier: Classifier) -> NDArray[np.uint8]:
    """(1, H, W, C) middle grey."""
    return np.full((1, *classifier.form.image_size, classifier.form.channels), 128, np.uint8)


@contextmanager
def _watched(network: nn.Module, note: Callable[[str, nn.Module, Any], None]) -> Iterator[None]:
    hooks = [
        module.register_forward_hook(lambda module, args, out, name=name: note(name, module, out))
        for name, module in network.named_modules()
        if name
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _before_pooling(classifier: Classifier, layers: Sequence[SpatialLayer]) -> SpatialLayer | None:
    """The last of the layers with as many positions as the last convolution among them."""
    network = classifier.network
    sizes = [layer.size for layer in layers if isinstance(network.get_submodule(layer.name), nn.Conv2d)]
    return next((layer for layer in reversed(layers) if layer.size == sizes[-1]), None) if sizes else None


def _is_in(name: str, stage: Sequence[str]) -> bool:
    return any(f"{name}.".startswith(f"{part}.") for part in stage)


def _strongest(layer: SpatialLayer, map_CHW: NDArray[np.float32]) -> LayerMaps:
    order = np.argsort(-np.abs(map_CHW).mean((1, 2)), kind="stable")[:MOST_CHANNELS]
    return LayerMaps(layer, tuple(order.tolist()), map_CHW[order])


def _kernel_picture(kernel_KKI: NDArray[np.float32]) -> Picture:
    shown_KKI = kernel_KKI if kernel_KKI.shape[2] in (1, 3) else kernel_KKI.mean(2, keepdims=True)
    largest = max(float(np.abs(shown_KKI).max()), 1e-12)
    return enlarged(np.rint(127.5 + 127.5 * shown_KKI / largest).astype(np.uint8), _KERNEL_SIDE)
