"""How much of a picture one position of a layer depends on: by the arithmetic of kernels and strides, and as it is in this network.

The first is the field of Araujo et al. 2019 (`visiontune profile` has it of every layer), in which a pixel can matter at all. The second
is the effective one of Luo et al. 2016, the mean size of the gradient of the middle position by each pixel: mostly much smaller.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from visiontune.augmentation.sheet_drawing import Block, Row, draw_sheet
from visiontune.inference.classifier import Classifier
from visiontune.inspection.feature_maps import SpatialLayer, convolutions, inputs_of, stage_ends
from visiontune.inspection.figure import Picture, enlarged, heated
from visiontune.models.profile import profile
from visiontune.spec.declarations.image_size import ImageSize, pixels, sides

_TILE = 128
_FRAME = np.array((255, 60, 0), np.uint8)


@dataclass(frozen=True)
class ReceptiveField:
    """`pixels` in each direction by arithmetic, zeros around the picture included; `effective_HW` has a highest value of 1.

    `share` is how much of the effective one's sum lies within the middle half of the picture, 0 to 1.
    """

    layer: SpatialLayer
    pixels: int
    effective_HW: NDArray[np.float32]

    @property
    def share(self) -> float:
        """See above."""
        high, wide = (side // 4 for side in self.effective_HW.shape)
        inner_HW = self.effective_HW[high : len(self.effective_HW) - high, wide : self.effective_HW.shape[1] - wide]
        return float(inner_HW.sum() / max(self.effective_HW.sum(), 1e-12))


def receptive_fields(classifier: Classifier, images_NHWC: NDArray[np.uint8]) -> tuple[ReceptiveField, ...]:
    """Of the end of each stage; the effective one over these pictures. Empty where the network has no layers with positions."""
    pixels = _by_arithmetic(classifier)
    layers = [layer for layer in stage_ends(classifier) if layer.name in pixels]
    effective = [_effective(classifier, images_NHWC, layer) for layer in layers]
    return tuple(ReceptiveField(layer, pixels[layer.name], field) for layer, field in zip(layers, effective, strict=True))


def field_lines(found: Sequence[ReceptiveField], image_size: ImageSize) -> list[str]:
    """One for each layer."""
    return [f"{one.layer.name}: {one.pixels} px of {pixels(image_size)}, {one.share:.0%} of its weight in the middle half" for one in found]


def field_sheet(title: str, image_HWC: Picture, found: Sequence[ReceptiveField]) -> Picture:
    """A row for each layer: the field's frame on the picture, and the effective field over it."""
    rows = []
    for one in found:
        groups = [[framed(enlarged(image_HWC, _TILE), one)], [heated(*_enlarged_heat(image_HWC, one.effective_HW))]]
        rows.append(Row(one.layer.name, groups, f"{one.pixels} px of {pixels(image_HWC.shape[:2])}"))
    return np.asarray(draw_sheet(title, [Block("middle", rows, ["can matter", "does matter"])]))


def framed(large_HWC: Picture, one: ReceptiveField) -> Picture:
    """The frame of the middle position's field, cut where the picture ends."""
    scale, out = len(large_HWC) / len(one.effective_HW), large_HWC.copy()
    (top, bottom), (left, right) = (
        _ends(side, num, one.pixels * scale) for side, num in zip(large_HWC.shape[:2], sides(one.layer.size), strict=True)
    )
    for width in range(2):
        out[[top + width, bottom - width], left : right + 1] = _FRAME
        out[top : bottom + 1, [left + width, right - width]] = _FRAME
    return out


def _ends(side: int, num: int, length: float) -> tuple[int, int]:
    """The first and last pixel along a side of a field about the middle one of `num` positions."""
    middle = (num // 2 + 0.5) * side / num
    low, high = (round(middle + sign * length / 2) for sign in (-1, 1))
    return max(low, 0), min(high, side) - 1


def _by_arithmetic(classifier: Classifier) -> dict[str, int]:
    """Of each layer that ends a stage: that of the last convolution in it, which no norm or activation after it makes larger."""
    info = {"num_classes": len(classifier.class_names), "in_channels": classifier.preprocessing.out_channels}
    known = {
        one.name: one.receptive_field
        for one in profile(classifier.recipe.model, **info, image_size=classifier.image_size, batch_size=2).layers
    }
    order = [layer.name for layer in convolutions(classifier) if layer.name in known]
    found = {}
    for end in stage_ends(classifier):
        before = [name for name in order if f"{name}.".startswith(f"{end.name}.")] or order[: _place(classifier, end.name, order)]
        if before:
            found[end.name] = max(known[name] for name in before)
    return found


def _place(classifier: Classifier, name: str, order: Sequence[str]) -> int:
    """How many convolutions are defined before the module."""
    names = [known for known, module in classifier.network.named_modules() if known == name or isinstance(module, nn.Conv2d)]
    return sum(known in order for known in names[: names.index(name)])


def _effective(classifier: Classifier, images_NHWC: NDArray[np.uint8], layer: SpatialLayer) -> NDArray[np.float32]:
    kept: list[Tensor] = []
    hook = classifier.network.get_submodule(layer.name).register_forward_hook(lambda module, args, out: kept.append(out))
    row, column = (side // 2 for side in sides(layer.size))
    try:
        with torch.enable_grad():
            x_NCHW = inputs_of(classifier, images_NHWC).requires_grad_()
            classifier.network(x_NCHW)
            (gradient_NCHW,) = torch.autograd.grad(kept[-1][:, :, row, column].sum(), [x_NCHW])
    finally:
        hook.remove()
    mean_HW = gradient_NCHW.abs().mean((0, 1)).float().cpu().numpy()
    return np.asarray(mean_HW / max(float(mean_HW.max()), 1e-12))


def _enlarged_heat(image_HWC: Picture, heat_HW: NDArray[np.float32]) -> tuple[Picture, NDArray[np.float32]]:
    large_HWC = enlarged(image_HWC, _TILE)
    places = [np.arange(large) * small // large for large, small in zip(large_HWC.shape[:2], heat_HW.shape, strict=True)]
    return large_HWC, heat_HW[np.ix_(*places)]
