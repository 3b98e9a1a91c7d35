"""Sizes of pictures, where not all epochs have that of the store: training's by epoch, and that of val and test.

Both sides grow and shrink together, so that pictures keep the shape of data.image_size. A size is one more shape of a network's
input: it must take them all with the same weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from visiontune.spec.declarations.declare import chosen
from visiontune.spec.declarations.image_size import ImageSize, scaled, sides, smaller
from visiontune.spec.tables.resizes import RESIZES
from visiontune.training.compiled import MOST_GRAPHS

SizeOf = Callable[[int], ImageSize]


def training_sizes(training: Mapping[str, Any], image_size: ImageSize) -> SizeOf | None:
    """By epoch, counted from 1; None where all are `image_size`."""
    entry, args = chosen(RESIZES, training, "resize")
    if not entry.builder:
        return None
    size_of: SizeOf = entry.load()(image_size=image_size, num_epochs=training["num_epochs"], **args)
    return size_of


def progressive(
    *, image_size: ImageSize, num_epochs: int, resize_from: float, resize_to: float, resize_share: float, resize_multiple: int
) -> SizeOf:
    """Linear from the first epoch to the last of the share's, and then to a multiple, as in FFCV's recipe for ImageNet."""
    num_growing = round(resize_share * num_epochs)

    def size_of(epoch: int) -> ImageSize:
        done = min(1.0, (epoch - 1) / (num_growing - 1)) if num_growing > 1 else 1.0
        share = resize_from + (resize_to - resize_from) * done
        return image_size if share == 1 else smaller(image_size, scaled(image_size, share, resize_multiple))

    return size_of


def evaluation_size(preprocessing: Mapping[str, Any], image_size: ImageSize) -> ImageSize:
    """Of what is evaluated; recipes from before there was the key have the store's."""
    share: float = preprocessing.get("eval_size_share", 1.0)
    return scaled(image_size, share)


def other_sizes(preprocessing: Mapping[str, Any], training: Mapping[str, Any], image_size: ImageSize) -> list[ImageSize]:
    """All sizes beside the store's that a network meets, the smallest first."""
    size_of = training_sizes(training, image_size)
    trained = {size_of(epoch) for epoch in range(1, training["num_epochs"] + 1)} if size_of else set()
    return sorted({*trained, evaluation_size(preprocessing, image_size)} - {image_size}, key=sides)


def problem_of_sizes(
    preprocessing: Mapping[str, Any], training: Mapping[str, Any], *, image_size: ImageSize, use_features: bool
) -> str | None:
    """Why pictures can't change their size so, as one sentence; None if they can. `use_features`: the network's first stages are frozen."""
    if not (sizes := other_sizes(preprocessing, training, image_size)):
        return None
    keys = "training.resize and preprocessing.eval_size_share"
    if use_features:
        return f"features of frozen stages are computed once, at one size: {keys} must be none and 1"
    if preprocessing["name"] == "pca_whitening":
        return f"components have no neighbours to be resized with: under pca_whitening {keys} must be none and 1"
    size_of = training_sizes(training, image_size)
    num_train = len({size_of(epoch) for epoch in range(1, training["num_epochs"] + 1)}) if size_of else 1
    is_uneven = training["micro_batch"] and training["batch_size"] % training["micro_batch"]
    num_graphs = num_train * (2 if is_uneven else 1) + 2  # evaluation: whole batches, and the last one
    if training["use_compile"] and num_graphs > MOST_GRAPHS:
        rule = f"torch.compile keeps {MOST_GRAPHS} graphs of a network, but {len(sizes)} other sizes of pictures need {num_graphs}"
        return f"{rule}; a larger resize_multiple makes fewer, and use_compile: false trains them all"
    return None
