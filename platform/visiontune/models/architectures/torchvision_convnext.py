"""ConvNeXt (Liu et al. 2022) from torchvision."""

from __future__ import annotations

from functools import partial

from torch import nn
from torchvision.ops import StochasticDepth

from visiontune.models.anatomy import mark
from visiontune.models.architectures.adapting import chain, fit_stem, instances, repeated, scaled
from visiontune.models.dropout import depth_probabilities
from visiontune.spec.declarations.image_size import ImageSize


def _convnext(
    layers: tuple[int, ...],
    filters: int,
    /,
    *,
    num_classes: int,
    in_channels: int,
    image_size: ImageSize,
    stem: str = "large",
    width_factor: float = 1.0,
    depth_factor: float = 1.0,
    stochastic_depth: float = 0.0,
) -> nn.Module:
    """Four stages of `layers` blocks with 1, 2, 4 and 8 times `filters` filters; the large stem is 4 x 4, stride 4."""
    from torchvision.models.convnext import CNBlock, CNBlockConfig, ConvNeXt

    widths: list[int | None] = [scaled(filters << stage, width_factor) for stage in range(len(layers))]
    numbers = [repeated(number, depth_factor) for number in layers]
    settings = [CNBlockConfig(*row) for row in zip(widths, [*widths[1:], None], numbers, strict=True)]
    network = ConvNeXt(settings, num_classes=num_classes)
    fit_stem(network, "features.0.0", in_channels, stem)
    blocks = [network.get_submodule(name) for name in instances(network, CNBlock)]
    for block, chance in zip(blocks, depth_probabilities(stochastic_depth, len(blocks)), strict=True):
        block.stochastic_depth = StochasticDepth(chance, "row")
    stages = (("features.0",), ("features.1",), ("features.2", "features.3"), ("features.4", "features.5"), ("features.6", "features.7"))
    return mark(chain(network, ("features", "avgpool", "classifier")), stages=stages, head="classifier.2")


convnext_tiny = partial(_convnext, (3, 3, 9, 3), 96)
convnext_small = partial(_convnext, (3, 3, 27, 3), 96)
convnext_base = partial(_convnext, (3, 3, 27, 3), 128)
convnext_large = partial(_convnext, (3, 3, 27, 3), 192)
