"""AlexNet (Krizhevsky 2014, "One weird trick") and VGG (Simonyan & Zisserman 2015) from torchvision.

The two hidden dense layers are stages too: behind them are the features that a linear classifier gets.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import partial

from torch import nn

from visiontune.models.anatomy import mark
from visiontune.models.architectures.adapting import chain, fit_stem, grouped, scaled
from visiontune.spec.declarations.image_size import ImageSize

_CHILDREN = ("features", "avgpool", "flatten", "classifier")


def alexnet(*, num_classes: int, in_channels: int, image_size: ImageSize, stem: str = "large", inner_dropout: float = 0.5) -> nn.Module:
    """Five convolutions and three dense layers; `image_size` changes nothing, as 6 x 6 means of positions are left.

    `inner_dropout` acts on what goes into the hidden dense layers.
    """
    from torchvision.models.alexnet import AlexNet

    network = chain(AlexNet(num_classes, dropout=inner_dropout), _CHILDREN)
    stages = grouped(network.get_submodule("features"), "features", _is_pool)
    fit_stem(network, "features.0", in_channels, stem, pools=("features.2",))
    dense = [("avgpool", "flatten", *_classifier(0, 1, 2)), _classifier(3, 4, 5)]
    return mark(network, stages=(*stages, *dense), head="classifier.6")


def _vgg(
    column: str,
    use_norm: bool,
    /,
    *,
    num_classes: int,
    in_channels: int,
    image_size: ImageSize,
    width_factor: float = 1.0,
    inner_dropout: float = 0.5,
) -> nn.Module:
    """Column `column` of the paper's table 1: A has 11 layers, B 13, D 16, E 19. `inner_dropout` acts between the hidden dense layers.

    `image_size` changes nothing, as 7 x 7 means of positions are left.
    """
    from torchvision.models.vgg import cfgs, make_layers

    filters = [item if item == "M" else scaled(item, width_factor) for item in cfgs[column]]
    hidden = scaled(4096, width_factor)
    parts = {
        "features": make_layers(filters, use_norm),
        "avgpool": nn.AdaptiveAvgPool2d(7),
        "flatten": nn.Flatten(),
        "classifier": nn.Sequential(
            *(nn.Linear(filters[-2] * 7 * 7, hidden), nn.ReLU(inplace=True), nn.Dropout(inner_dropout)),
            *(nn.Linear(hidden, hidden), nn.ReLU(inplace=True), nn.Dropout(0.0)),  # the recipe's dropout acts here
            nn.Linear(hidden, num_classes),
        ),
    }
    network = nn.Sequential(OrderedDict(parts))
    fit_stem(network, "features.0", in_channels)
    dense = [("avgpool", "flatten", *_classifier(0, 1, 2)), _classifier(3, 4, 5)]
    return mark(network, stages=(*grouped(parts["features"], "features", _is_pool), *dense), head="classifier.6")


def _is_pool(module: nn.Module) -> bool:
    return isinstance(module, nn.MaxPool2d)


def _classifier(*numbers: int) -> tuple[str, ...]:
    return tuple(f"classifier.{number}" for number in numbers)


vgg11, vgg11_bn = partial(_vgg, "A", False), partial(_vgg, "A", True)
vgg13, vgg13_bn = partial(_vgg, "B", False), partial(_vgg, "B", True)
vgg16, vgg16_bn = partial(_vgg, "D", False), partial(_vgg, "D", True)
vgg19, vgg19_bn = partial(_vgg, "E", False), partial(_vgg, "E", True)
