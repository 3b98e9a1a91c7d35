"""A plugin: rows of one's own in visiontune's tables, declared and called as those that ship.

What:    a small network, an activation, an optimizer, a loss, an lr schedule, an op and a source of pictures.
Command: visiontune check --plugin examples/my_models.py
Cost:    under a minute.
Expect:  a line for each row, all of them ok. Then `plugins: [my_models.py]` in a study beside it, and model: {name: tiny_net}.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import albumentations as alb
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from visiontune.data.readers.digits import digits
from visiontune.data.source import Source
from visiontune.models.anatomy import mark
from visiontune.spec.declarations.declare import Arg, Entry, Range
from visiontune.training.optim.param_groups import LearnedParameter, groups_by


def tiny_net(*, num_classes: int, in_channels: int, image_size: int, channels: int) -> nn.Module:
    """Two convolutions; `mark` says what its stages and its head are called, for freezing, dropout and rates by layer."""
    network = nn.Sequential()
    network.add_module("stem", nn.Sequential(nn.Conv2d(in_channels, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU()))
    network.add_module("body", nn.Sequential(nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1), nn.ReLU()))
    network.add_module("pool", nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()))
    network.add_module("head", nn.Linear(2 * channels, num_classes))
    return mark(network, stages=(("stem",), ("body", "pool")), head="head")


def averaged_sgd(parameters: Sequence[LearnedParameter], *, decay: float) -> torch.optim.Optimizer:
    """torch.optim.ASGD. A group learns at its `lr_factor` of the rate, which is set before each step."""
    groups = groups_by(parameters, lambda one: {"lr_factor": one.lr_factor, "weight_decay": decay * one.is_decayed})
    return torch.optim.ASGD(groups, lr=0.0)


def poly(*, label_smoothing: float, weight_K: Tensor | None, epsilon: float) -> Callable[[Tensor, Tensor], Tensor]:
    """Cross-entropy plus epsilon * (1 - p) of the right class (Leng et al. 2022)."""

    def mean_loss(logits_NK: Tensor, y_N: Tensor) -> Tensor:
        loss_N = F.cross_entropy(logits_NK, y_N, reduction="none", label_smoothing=label_smoothing)
        loss_N = loss_N + epsilon * (1 - logits_NK.softmax(1).gather(1, y_N[:, None])[:, 0])
        return (loss_N if weight_K is None else loss_N * weight_K.to(y_N.device)[y_N]).mean()

    return mean_loss


def root(*, steps_per_epoch: int, num_epochs: int, power: float) -> Callable[[int, tuple[float, ...]], float]:
    """1 / (1 + epochs)^power."""
    return lambda step, val_losses: math.pow(1 + step / steps_per_epoch, -power)


def salt(*, image_size: int, magnitude: float) -> Any:
    """White pixels: to a tenth of them."""
    return alb.PixelDropout(dropout_prob=0.1 * magnitude, drop_value=255, p=1.0)


def even_digits() -> Source:
    """The digits that come with scikit-learn, by whether they are even."""
    source = digits()
    num_even = int(source.counts_C[::2].sum())
    return replace(
        source,
        class_names=("even", "odd"),
        counts_C=source.counts_C[:2] * 0 + (num_even, int(source.counts_C.sum()) - num_even),
        content=lambda tell=float: "scikit-learn digits by parity",
        labels=lambda: {part: labels_N % 2 for part, labels_N in source.labels().items()},
    )


MODELS = {
    "tiny_net": Entry("two convolutions", tiny_net, {"channels": Arg(int, "of the first one", 8, 1, 512, auto=Range(8, 64, log=True))}),
}
ACTIVATIONS = {"soft_sign": Entry("x / (1 + |x|) (Turian et al. 2009)", nn.Softsign)}
OPTIMIZERS = {
    "averaged_sgd": Entry(
        "averaged SGD (Polyak & Juditsky 1992; torch.optim.ASGD)",
        averaged_sgd,
        {"decay": Arg(float, "of the weights", 0.0, 0.0, 1.0)},
        suits={"lr": 0.05},
        auto={"lr": Range(0.005, 0.5, log=True)},
    ),
}
LOSSES = {"poly": Entry("cross-entropy and a first power of 1 - p", poly, {"epsilon": Arg(float, "of 1 - p", 1.0, 0.0, 10.0)})}
LR_SCHEDULES = {"root": Entry("falls with a power of the epochs", root, {"power": Arg(float, "0.5: the root", 0.5, 0.0, 2.0)})}
OPS = {
    "Salt": Entry(
        "white pixels: to a tenth",
        salt,
        {"probability": Arg(float, "chance that a picture gets the op", 0.5, 0.0, 1.0), "magnitude": Arg(float, "strength", 0.5, 0.0, 1.0)},
    ),
}
SOURCES = {"even_digits": Entry("scikit-learn's digits, even or odd", even_digits)}
