"""Recipes that ship, for `start: {portfolio: ...}`: what is known to be good, with its source, by the recipe's dotted keys.

Rates are those of `training.batch_size` pictures in a step; where a space has another, `recipes_of` scales them as their sources do. SGD's
decay is the sources' coupled one, which is `regularization.l2`. What a space does not have of a recipe is left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from visiontune.spec.declarations.image_size import ImageSize, as_square

SMALL_PX = 96
"""Pictures up to this size are small: networks for them keep their first stride at 1."""


@dataclass(frozen=True)
class KnownRecipe:
    """A recipe with the source of its figures. `scaling` of the rate with the batch: linear (Goyal et al. 2017) or sqrt (for Adam)."""

    name: str
    source: str
    values: Mapping[str, Any]
    scaling: str = "linear"

    def for_batch(self, batch_size: int) -> dict[str, Any]:
        """Its values with the rate for so many pictures in a step."""
        ratio = batch_size / self.values["training.batch_size"]
        factor = ratio if self.scaling == "linear" else math.sqrt(ratio)
        return {**self.values, "training.batch_size": batch_size, "optimizer.lr": self.values["optimizer.lr"] * factor}


def _sgd(lr: float, batch_size: int, *, l2: float, momentum: float = 0.9, nesterov: bool = False) -> dict[str, Any]:
    optimizer = {"optimizer.name": "sgd", "optimizer.momentum": momentum, "optimizer.nesterov": nesterov, "optimizer.lr": lr}
    return {**optimizer, "regularization.l2": l2, "training.batch_size": batch_size}


def _adamw(lr: float, batch_size: int, *, weight_decay: float) -> dict[str, Any]:
    optimizer = {"optimizer.name": "adamw", "optimizer.lr": lr, "optimizer.weight_decay": weight_decay}
    return {**optimizer, "training.batch_size": batch_size}


def _cosine(warmup_share: float = 0.0) -> dict[str, Any]:
    return {"schedule.name": "cosine", "schedule.warmup_share": warmup_share}


def _flip_and_crop(crop: float) -> dict[str, Any]:
    """`crop` is PadAndCrop's magnitude, .5 for 4 of 32 pixels."""
    ops = {"augmentation.HorizontalFlip.probability": 0.5, "augmentation.PadAndCrop.magnitude": crop}
    return {"augmentation.policy": "fixed", "augmentation.PadAndCrop.probability": 1.0, **ops}


_SMALL = (
    KnownRecipe(
        "airbench94",
        "Jordan 2024, CIFAR-10: Nesterov .85, lr 11.5 and decay .0153 per 1024 examples, which is lr 1.5 on the mean loss",
        {
            **_sgd(1.5, 1024, l2=1.33e-3, momentum=0.85, nesterov=True),
            "schedule.name": "one_cycle",
            "schedule.rise_share": 0.23,
            "schedule.start_fraction": 0.2,
            "schedule.final_fraction": 0.07,
            "schedule.shape": "linear",
            "loss.label_smoothing": 0.2,
            **_flip_and_crop(0.25),
        },
    ),
    KnownRecipe(
        "wide resnet",
        "Zagoruyko & Komodakis 2016, CIFAR: SGD .1, Nesterov .9, decay 5e-4, batches of 128, dropout .3; a cosine for its steps",
        {**_sgd(0.1, 128, l2=5e-4, nesterov=True), **_cosine(), "model.dropout": 0.3, **_flip_and_crop(0.5)},
    ),
    KnownRecipe(
        "deepobs adam",
        "Schneider et al. 2019: Adam's best rates without a schedule are 1.6e-4 to 1e-3; their middle",
        {"optimizer.name": "adam", "optimizer.lr": 4e-4, "training.batch_size": 128, "schedule.name": "constant"},
        "sqrt",
    ),
    KnownRecipe(
        "trivialaugment",
        "Müller & Hutter 2021, CIFAR: SGD .1, Nesterov .9, decay 5e-4, batches of 128, cosine, flips, crops and one op at any magnitude",
        {
            **_sgd(0.1, 128, l2=5e-4, nesterov=True),
            **_cosine(),
            "augmentation.policy": "trivialaugment",
            "augmentation.flip_probability": 0.5,
            "augmentation.crop_magnitude": 0.5,
        },
    ),
)

_FROM_SCRATCH = (
    KnownRecipe(
        "ffcv resnet-18",
        "Leclerc et al. 2023, ImageNet in 16 epochs: SGD .5, decay 5e-5, batches of 1024, peak at epoch 2, label smoothing .1",
        {
            **_sgd(0.5, 1024, l2=5e-5),
            "schedule.name": "one_cycle",
            "schedule.rise_share": 0.125,
            "schedule.start_fraction": 0.2,
            "schedule.shape": "linear",
            "loss.label_smoothing": 0.1,
        },
    ),
    KnownRecipe(
        "torchvision's second",
        "torchvision 2021, ImageNet: SGD .5, batches of 1024, decay 2e-5, TrivialAugment, label smoothing .1, mixup .2 or CutMix 1",
        {
            **_sgd(0.5, 1024, l2=2e-5),
            **_cosine(0.01),
            "loss.label_smoothing": 0.1,
            "augmentation.policy": "trivialaugment",
            "augmentation.flip_probability": 0.5,
            "augmentation.mixing": "alternate",
            "augmentation.mixup_alpha": 0.2,
        },
    ),
    KnownRecipe(
        "deit",
        "Touvron et al. 2021, ImageNet: AdamW 1e-3, batches of 1024, decay .05, RandAugment 9 of 30, mixup .8 or CutMix 1, smoothing .1",
        {
            **_adamw(1e-3, 1024, weight_decay=0.05),
            **_cosine(0.017),
            "loss.label_smoothing": 0.1,
            "augmentation.policy": "randaugment",
            "augmentation.magnitude": 0.3,
            "augmentation.flip_probability": 0.5,
            "augmentation.mixing": "alternate",
            "augmentation.mixup_alpha": 0.8,
        },
        "sqrt",
    ),
)

_FINE_TUNING = (
    KnownRecipe(
        "bit",
        "Kolesnikov et al. 2020, BiT-HyperRule: SGD .003, momentum .9, batches of 512, tenths at 30, 60 and 90 % of the training",
        {
            **_sgd(0.003, 512, l2=0.0),
            "schedule.name": "multi_step",
            "schedule.first_drop_share": 0.3,
            "schedule.second_drop_share": 0.6,
            "schedule.third_drop_share": 0.9,
            "augmentation.policy": "fixed",
            "augmentation.HorizontalFlip.probability": 0.5,
        },
    ),
    KnownRecipe(
        "timm's example",
        "Wightman 2019-, fine-tuning of a ResNet-50: AdamW 1e-4, decay .01",
        {**_adamw(1e-4, 128, weight_decay=0.01), **_cosine(0.1)},
        "sqrt",
    ),
)

PORTFOLIOS: Mapping[str, tuple[KnownRecipe, ...]] = {
    "small_pictures": _SMALL,
    "from_scratch": _FROM_SCRATCH,
    "fine_tuning": _FINE_TUNING,
}
"""At most four each, in the order in which they are tried."""


def portfolio_for(image_size: ImageSize, *, is_pretrained: bool) -> str:
    """What auto stands for."""
    return "fine_tuning" if is_pretrained else "small_pictures" if as_square(image_size) <= SMALL_PX else "from_scratch"
