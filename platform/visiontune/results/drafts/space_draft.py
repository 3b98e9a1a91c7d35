"""A search space for pictures that were looked at: which networks, rates, policies and budget suit their size, number and balance.

Rules of thumb, each said beside what it decides; ranges are the tables' own (`auto`). Nothing here was measured on these pictures.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from visiontune.data.picture.stored_form import is_large
from visiontune.data.survey import Survey
from visiontune.results.checks.search_forecast import FEW_STEPS
from visiontune.results.pictures.data_summary import study_line
from visiontune.spec.declarations.image_size import ImageSize, as_square, pixels, shorter, sides, written
from visiontune.spec.tables.several_labels import METRIC

WEIGHTS, WEIGHTS_NAME = "ResNet18_Weights.IMAGENET1K_V1", "ResNet-18's weights from ImageNet"
VERY_FEW, FEW, MANY = 1_000, 5_000, 200_000
"""Pictures below which more are for val and test; below which, and from which on, trials get more or fewer epochs."""
UNEQUAL, VERY_UNEQUAL = 3, 10
"""Sizes of the smallest class that the largest has, from which on balance is searched, and recall counts in place of accuracy."""


@dataclass(frozen=True)
class Answers:
    """What a user decides. `image_size` in pixels; `is_mirrored`: a mirrored picture keeps its class; `hours` for the whole search."""

    image_size: ImageSize
    use_pretrained: bool
    is_mirrored: bool
    hours: float


def likely(seen: Survey, *, has_weights: bool) -> Answers:
    """The answers to begin with: small pictures as they are, weights of ImageNet for colour pictures where they are at hand."""
    use_pretrained = has_weights and seen.channels == 3 and seen.short_side > 64
    return Answers(image_size_for(seen.short_side, use_pretrained=use_pretrained), use_pretrained, seen.channels == 3, 1.0)


def image_size_for(short_side: int, *, use_pretrained: bool) -> int:
    """Pixels: a multiple of 16 near the originals' shorter side up to 64; of larger ones 96, or 224 for weights that are made for it."""
    if short_side <= 64:
        return min(64, max(16, math.ceil(short_side / 16) * 16))
    if use_pretrained:
        return 224 if short_side >= 192 else 128
    return 96 if short_side >= 96 else 64


def draft(study: str, section: Mapping[str, Any], seen: Survey, answers: Answers) -> str:
    """The file without its header."""
    data = {**section, "image_size": written(answers.image_size)}
    low, high = epochs_for(seen.num_pictures)
    has_one = seen.num_of_many is None
    metric = ("val_macro_recall" if seen.imbalance >= VERY_UNEQUAL else "val_top1") if has_one else METRIC
    lines = [
        f"study: {study}",
        study_line(data).removeprefix("in a study: "),
        f"objective: {{metric: {metric}}}" + ("   # accuracy would be that of the largest class" if metric == "val_macro_recall" else ""),
        f"budget: {{hours: {answers.hours:g}, num_trials: {NUM_TRIALS}, min_epochs: {low}, max_epochs: {high}, reduction_factor: 3}}",
        "sampler: {name: tpe, seed: 0}",
        "trial_scheduler: {name: asha}",
        "resources: {gpus_per_trial: auto, cpus_per_trial: auto}",
        "confirm: {num_seeds: 3}",
        "space:",
        *(f"  {line}" for line in _space(seen, answers)),
    ]
    return "\n".join(lines) + "\n"


NUM_TRIALS = 81


def epochs_for(num_pictures: int) -> tuple[int, int]:
    """The first rung and the full budget of a trial: few pictures make short epochs, so that there are more of them.

    The first rung is one after enough steps of the largest batch to compare trials.
    """
    low, high = (3, 81) if num_pictures < FEW else (1, 27) if num_pictures < MANY else (1, 9)
    steps = max(1, int(num_pictures * (0.6 if num_pictures < VERY_FEW else 0.8)) // batch_sizes(num_pictures)[-1])
    return next((rung for rung in (low, 3 * low) if rung * steps >= FEW_STEPS), 9 * low), high


def fractions(seen: Survey, given: Collection[str]) -> dict[str, float]:
    """Shares for val and test that the source has not and nobody has `given`: a tenth of few pictures measures nothing."""
    missing = {"val_fraction": not seen.has_val, "test_fraction": not seen.has_test}
    return {key: 0.2 for key, is_missing in missing.items() if is_missing and key not in given and seen.num_pictures < VERY_FEW}


def _space(seen: Survey, answers: Answers) -> Iterator[str]:
    if answers.use_pretrained and seen.channels == 1:
        yield "preprocessing: {colour: rgb}   # what the weights were trained on"
    yield from _pretrained(seen) if answers.use_pretrained else _networks(seen, answers.image_size)
    yield "regularization: {l2: auto}"
    yield "loss: {label_smoothing: auto}"
    if seen.imbalance >= UNEQUAL and seen.num_of_many is None:
        yield f"balance:   # the largest class has {seen.imbalance:.3g} times the pictures of the smallest"
        yield "  name: {choice: [none, balanced]}"
        yield "  class_weights: {choice: {none: {}, effective_number: {class_beta: auto}}}"
    yield from _optimizer(answers)
    low, high = epochs_for(seen.num_pictures)
    longest = min(0.2, math.floor(90 * low / high) / 100)
    yield f"schedule: {{name: cosine, warmup_share: {{float: [0.0, {longest:g}]}}}}   # over before the first rung"
    yield from _augmentation(seen, answers)
    yield f"training: {{batch_size: {_choice(batch_sizes(seen.num_pictures))}}}"


def _networks(seen: Survey, image_size: ImageSize) -> Iterator[str]:
    """Networks that fit the size, smaller ones for fewer pictures."""
    widths = "[0.125, 0.25, 0.5]" if seen.num_pictures < FEW else "[0.25, 0.5, 1.0]"
    yield "model:"
    yield f"  name:   # networks for {pixels(image_size)} px, from scratch"
    yield "    choice:"
    yield f"      cnn: {{width: auto, depth: {{int: [{'2, 3' if shorter(image_size) < 32 else '3, 4'}]}}, kernel_size: auto}}"
    if as_square(image_size) <= 32:
        yield "      lenet5: {width: auto}"
    stem = "small" if as_square(image_size) <= 64 else "large"
    yield f"      resnet18: {{stem: {stem}, width_factor: {{choice: {widths}}}}}"
    if as_square(image_size) > 64 and seen.num_pictures >= FEW:
        yield "      efficientnet_b0: {}"
    yield "  activation: {choice: [published, elu, silu]}"
    yield "  dropout: auto"


def _pretrained(seen: Survey) -> Iterator[str]:
    yield "model: {name: resnet18, dropout: auto}"
    yield f"transfer:   # {WEIGHTS_NAME} under a fresh head"
    yield f"  weights: {WEIGHTS}"
    yield "  regime:"
    yield "    choice:"
    yield "      fine_tune_last: {num_stages: {int: [1, 3]}}"
    yield "      freeze_first: {num_frozen: auto}" if seen.num_pictures >= FEW else "      linear: {}"


def _optimizer(answers: Answers) -> Iterator[str]:
    yield "optimizer:"
    yield "  name:"
    yield "    choice:"
    if answers.use_pretrained:
        yield "      sgd: {lr: {float: [1.0e-3, 0.1], log: true}, momentum: auto}   # lower rates: the weights are good already"
        yield "      adamw: {lr: {float: [1.0e-5, 1.0e-2], log: true}, weight_decay: auto}"
        yield "  head_lr_factor: auto"
        yield "  layer_decay: auto"
        return
    yield "      sgd: {lr: auto, momentum: auto, nesterov: auto}"
    yield "      adamw: {lr: auto, weight_decay: auto}"


def _augmentation(seen: Survey, answers: Answers) -> Iterator[str]:
    """From weak to strong; mixing needs many epochs of many pictures, and full training."""
    flip = 0.5 if answers.is_mirrored else 0.0
    yield "augmentation:"
    yield f"  policy:   # a mirrored picture {'keeps its class' if answers.is_mirrored else 'may be of another class: none is mirrored'}"
    yield "    choice:"
    yield "      none: {}"
    yield f"      trivialaugment: {{flip_probability: {flip}, crop_magnitude: auto}}"
    yield f"      randaugment: {{num_ops: auto, magnitude: auto, flip_probability: {flip}, crop_magnitude: auto}}"
    if seen.channels == 3 and is_large(sides(answers.image_size)) and seen.short_side > shorter(answers.image_size):
        yield "  crop: {choice: {none: {}, random_resized: {crop_scale_min: auto}}}   # of pictures that are larger"
    if seen.num_pictures >= FEW and not answers.use_pretrained:
        yield "  mixing: {choice: {none: {}, mixup: {mixup_alpha: auto}, cutmix: {mixing_probability: auto}}}"


def batch_sizes(num_pictures: int) -> list[int]:
    """Three that leave twenty steps in an epoch, or the smallest."""
    good = [size for size in (8, 16, 32, 64, 128, 256) if size * 20 <= num_pictures and (size < 256 or num_pictures >= 50_000)]
    return good[-3:] or [8]


def _choice(values: Sequence[int]) -> str:
    return str(values[0]) if len(values) == 1 else f"{{choice: {list(values)}}}"
