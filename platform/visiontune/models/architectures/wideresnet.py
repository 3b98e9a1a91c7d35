"""Wide residual networks for small pictures (Zagoruyko & Komodakis 2016), the residual units of He et al. 2016b made wide.

Contract: x_NCHW float32, square pictures, normalised -> logits_NK. The classifier is the child named `fc`.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from visiontune.models.anatomy import mark
from visiontune.models.dropout import branch_drop, depth_probabilities
from visiontune.spec.declarations.image_size import ImageSize

EXPANSION = 4
"""Of a bottleneck's last convolution."""


def wideresnet(
    *,
    num_classes: int,
    in_channels: int,
    image_size: ImageSize,
    stem: str = "small",
    depth: int = 16,
    width: int = 4,
    inner_dropout: float = 0.0,
    stochastic_depth: float = 0.0,
) -> nn.Module:
    """WRN-depth-width: three groups of (depth - 4) / 6 blocks with 16, 32 and 64 times `width` filters.

    `image_size` changes nothing: the head averages over what is left of the picture. Raises ValueError for another depth than 6 n + 4.
    """
    if (depth - 4) % 6:
        raise ValueError(f"depth must be 6 n + 4, such as 16, 22 or 28, got {depth}")
    num_blocks = (depth - 4) // 6
    chances = depth_probabilities(stochastic_depth, 3 * num_blocks)
    layers: dict[str, nn.Module] = _stem(in_channels, stem)
    stages = [tuple(layers)]
    channels = 16
    for group in range(3):
        filters = 16 * width << group
        blocks = []
        for number, chance in enumerate(chances[group * num_blocks :][:num_blocks]):
            stride = 2 if group and not number else 1
            blocks.append(PreActivation(channels, filters, stride=stride, inner_dropout=inner_dropout, drop_probability=chance))
            channels = filters
        layers[f"group{group + 1}"] = nn.Sequential(*blocks)
        stages.append((f"group{group + 1}",))
    stages[-1] += ("norm", "act")
    layers |= {"norm": nn.BatchNorm2d(channels), "act": nn.ReLU(), "pool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten()}
    network = nn.Sequential(OrderedDict({**layers, "fc": nn.Linear(channels, num_classes)}))
    return mark(network, stages=tuple(stages), head="fc")


def _stem(in_channels: int, stem: str) -> dict[str, nn.Module]:
    if stem == "small":
        return {"conv1": nn.Conv2d(in_channels, 16, 3, padding=1, bias=False)}
    return {"conv1": nn.Conv2d(in_channels, 16, 7, 2, 3, bias=False), "pool1": nn.MaxPool2d(3, 2, 1)}


class PreActivation(nn.Module):
    """x + conv(act(norm(conv(act(norm(x)))))), nothing after the sum (He et al. 2016b); dropout between the convolutions.

    As a bottleneck 1 x 1 to `filters`, 3 x 3 with the stride, 1 x 1 to four times the filters. Where width or size change, a 1 x 1
    convolution of what the first activation gave stands in for x, as in the authors' code.
    """

    def __init__(
        self,
        in_channels: int,
        filters: int,
        *,
        stride: int,
        inner_dropout: float = 0.0,
        drop_probability: float = 0.0,
        use_bottleneck: bool = False,
    ) -> None:
        super().__init__()
        self.norm1, self.act1 = nn.BatchNorm2d(in_channels), nn.ReLU()
        out_channels = filters * EXPANSION if use_bottleneck else filters
        parts: dict[str, nn.Module] = {}
        if use_bottleneck:
            parts |= {"conv1": nn.Conv2d(in_channels, filters, 1, bias=False), "norm2": nn.BatchNorm2d(filters), "act2": nn.ReLU()}
            parts |= {"conv2": nn.Conv2d(filters, filters, 3, stride, 1, bias=False), "norm3": nn.BatchNorm2d(filters), "act3": nn.ReLU()}
            last = {"conv3": nn.Conv2d(filters, out_channels, 1, bias=False)}
        else:
            parts |= {
                "conv1": nn.Conv2d(in_channels, filters, 3, stride, 1, bias=False),
                "norm2": nn.BatchNorm2d(filters),
                "act2": nn.ReLU(),
            }
            last = {"conv2": nn.Conv2d(filters, filters, 3, padding=1, bias=False)}
        parts |= {"drop": nn.Dropout(inner_dropout), **last, "depth": branch_drop(drop_probability)}
        self.body = nn.Sequential(OrderedDict(parts))
        self.last_conv = f"body.{next(iter(last))}"  # with which use_zero_gamma lets the branch begin as nothing
        is_same = in_channels == out_channels and stride == 1
        self.shortcut = None if is_same else nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """(N, filters, H, W), as a bottleneck four times the filters; H and W divided by the stride."""
        active_NCHW = self.act1(self.norm1(x_NCHW))
        shortcut = x_NCHW if self.shortcut is None else self.shortcut(active_NCHW)
        y_NCHW: Tensor = self.body(active_NCHW) + shortcut
        return y_NCHW
