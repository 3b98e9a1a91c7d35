"""DenseNet-BC (Huang et al. 2017) from torchvision, its last activation as a module."""

from __future__ import annotations

from functools import partial

from torch import nn

from visiontune.models.anatomy import mark
from visiontune.models.architectures.adapting import chain, fit_stem, grouped, repeated, scaled
from visiontune.spec.declarations.image_size import ImageSize


def _densenet(
    layers: tuple[int, ...],
    growth: int,
    filters: int,
    /,
    *,
    num_classes: int,
    in_channels: int,
    image_size: ImageSize,
    stem: str = "large",
    width_factor: float = 1.0,
    depth_factor: float = 1.0,
) -> nn.Module:
    """Four dense blocks of `layers`, each adding `growth` channels to the `filters` of the stem; both times `width_factor`."""
    from torchvision.models.densenet import DenseNet

    numbers = [repeated(number, depth_factor) for number in layers]
    # Two at least: a transition halves the channels.
    network = DenseNet(scaled(growth, width_factor), numbers, max(2, scaled(filters, width_factor)), num_classes=num_classes)
    fit_stem(network, "features.conv0", in_channels, stem, pools=("features.pool0",))
    features = network.features
    features.add_module("act5", nn.ReLU())  # a function in torchvision's forward
    ends = {features.pool0, features.transition1, features.transition2, features.transition3}
    stages = grouped(features, "features", lambda part: part in ends)
    return mark(chain(network, ("features", "avgpool", "flatten", "classifier")), stages=tuple(stages), head="classifier")


densenet121 = partial(_densenet, (6, 12, 24, 16), 32, 64)
densenet161 = partial(_densenet, (6, 12, 36, 24), 48, 96)
densenet169 = partial(_densenet, (6, 12, 32, 32), 32, 64)
densenet201 = partial(_densenet, (6, 12, 48, 32), 32, 64)
