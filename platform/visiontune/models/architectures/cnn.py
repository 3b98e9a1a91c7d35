"""The plain convolutional network, every part of which can be searched.

Contract: x_NCHW float32, normalised -> logits_NK. The classifier is the child named `fc`.
"""

from __future__ import annotations

from collections import OrderedDict
from math import prod

from torch import nn

from visiontune.models.anatomy import mark
from visiontune.models.architectures.cnn_blocks import (
    Residual,
    Style,
    activation,
    dense_layer,
    inception_of,
    side_after,
    squeeze,
    unit,
    units,
)
from visiontune.models.dropout import depth_probabilities
from visiontune.spec.declarations.image_size import ImageSize, pixels, sides

POOLS = {"max": nn.MaxPool2d, "mean": nn.AvgPool2d}


def cnn(
    *,
    num_classes: int,
    in_channels: int,
    image_size: ImageSize,
    width: int = 32,
    depth: int = 3,
    num_layers: int = 1,
    growth: float = 2.0,
    kernel_size: int = 3,
    block: str = "plain",
    use_bottleneck: bool = False,
    convolution: str = "plain",
    num_conv_groups: int = 4,
    dilation: int = 1,
    padding: str = "same",
    down: str = "max",
    norm_place: str = "before",
    num_pieces: int = 1,
    squeeze_ratio: int = 0,
    head: str = "average",
    num_hidden: int = 128,
    stochastic_depth: float = 0.0,
) -> nn.Module:
    """`depth` stages of `num_layers` blocks with width, width * growth, width * growth^2 ... filters; each halves the picture.

    Pooling closes a stage; with `down` stride the first convolution of a stage does it. Raises ValueError for a picture of which
    nothing is left in some stage, and for an Inception block below 4 filters. image_size changes the flattened head alone.
    """
    style = Style(kernel_size, dilation, padding, convolution, num_conv_groups, norm_place, use_bottleneck, num_pieces, squeeze_ratio)
    chances = depth_probabilities(stochastic_depth, depth * num_layers)
    layers: list[tuple[str, nn.Module]] = []
    channels, positions = in_channels, [*sides(image_size)]
    for number in range(depth):
        filters = max(1, round(width * growth**number))
        stage = _blocks(block, channels, filters, style, 2 if down == "stride" else 1, chances[number * num_layers :][:num_layers])
        if down in POOLS:
            stage.append(POOLS[down](2))
        layers.append((f"stage{number + 1}", stage))
        channels = filters * (1 + num_layers) if block == "dense" else filters
        positions = [_side(side, block, style, down, num_layers) for side in positions]
        if min(positions) < 1:
            raise ValueError(
                f"nothing is left of a picture of {pixels(image_size)} px after stage {number + 1} of {depth}: it is too small"
            )
    stages: list[tuple[str, ...]] = [(name,) for name, _ in layers]
    if head == "average":
        layers += [("pool", nn.AdaptiveAvgPool2d(1)), ("flatten", nn.Flatten()), ("fc", nn.Linear(channels, num_classes))]
    else:
        hidden = _hidden(channels * prod(positions), num_hidden, num_pieces)
        stages.append(tuple(name for name, _ in hidden))
        layers += [*hidden, ("fc", nn.Linear(num_hidden or channels * prod(positions), num_classes))]
    return mark(nn.Sequential(OrderedDict(layers)), stages=tuple(stages), head="fc")


def _blocks(block: str, in_channels: int, filters: int, style: Style, stride: int, chances: list[float]) -> nn.Sequential:
    """The blocks of one stage, as many as there are chances to drop one; the first has the stride."""
    made: list[nn.Module] = []
    if block == "dense":  # a layer can only add to what is there in its own size, so another one opens the stage
        made = [unit(in_channels, filters, style, stride=stride)]
        made += [dense_layer(filters * (1 + number), filters, style) for number in range(len(chances))]
        return nn.Sequential(*made)
    for number, chance in enumerate(chances):
        inputs, step = (filters, 1) if number else (in_channels, stride)
        if block == "residual":
            made.append(Residual(inputs, filters, style, stride=step, drop_probability=chance))
        elif block == "inception":
            made += [inception_of(inputs, filters, style, stride=step), *squeeze(filters, style)]
        else:
            made.append(units(inputs, filters, style, stride=step).extend(squeeze(filters, style)))
    return nn.Sequential(*made)


def _side(side: int, block: str, style: Style, down: str, num_layers: int) -> int:
    """Positions in each direction after a stage; 0 or less where nothing is left."""
    kernel = style.kernel_size + 2 * (block == "inception")
    twice = block == "residual" and not style.use_bottleneck
    num_convolutions = 1 + num_layers if block == "dense" else num_layers * (1 + twice)
    for number in range(num_convolutions):
        side = side_after(side, style, kernel, 2 if down == "stride" and number == 0 else 1)
    return side // 2 if down in POOLS else side


def _hidden(num_features: int, num_hidden: int, num_pieces: int) -> list[tuple[str, nn.Module]]:
    flat: list[tuple[str, nn.Module]] = [("flatten", nn.Flatten())]
    return [*flat, ("fc1", nn.Linear(num_features, num_hidden * num_pieces)), ("act1", activation(num_pieces))] if num_hidden else flat
