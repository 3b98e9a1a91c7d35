"""What a trained network says of pictures, one after the other, in as much memory as a few batches take.

Letters: B pictures of a batch, K classes, T the most probable of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from visiontune.data.picture.depth import Depth
from visiontune.errors import UserError
from visiontune.inference.classifier import Classifier
from visiontune.inference.find_pictures import Given
from visiontune.inference.onnx_classifier import OnnxClassifier
from visiontune.inference.read_ahead import Decoded, TakesPictures, decoded
from visiontune.spec.declarations.image_size import ImageSize, sides
from visiontune.training.test_time import VIEWS, over_views, problem_of_test_time
from visiontune.training.weights_metadata import WeightsMetadata

_BATCH_BYTES, _LEAST, _MOST = 8 << 20, 16, 256
"""Of uint8 pictures: small ones go through a network 256 at a time, 55 of 224 px."""


class Answers(TakesPictures, Protocol):
    """A network that says something of pictures, whatever runs it."""

    @property
    def metadata(self) -> WeightsMetadata:
        """Recipe, classes, and how its pictures were stored."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """By the number of a class."""

    @property
    def image_size(self) -> ImageSize:
        """Of the pictures that it takes."""

    def logits(self, images_NHWC: NDArray[np.uint8]) -> Tensor:
        """(N, classes) float32 on the CPU."""


@dataclass(frozen=True)
class Prediction:
    """`classes` are the most probable first, `probabilities` theirs, 0 to 1; both empty where `problem` says why there are none.

    Of a network for several classes `predicted` are those whose probability reaches their thresholds, perhaps none, the most probable
    first; of a network for one it is None.
    """

    path: str
    classes: tuple[str, ...] = ()
    probabilities: tuple[float, ...] = ()
    problem: str = ""
    predicted: tuple[str, ...] | None = None

    @property
    def class_name(self) -> str | None:
        """The most probable class."""
        return self.classes[0] if self.classes else None

    @property
    def probability(self) -> float | None:
        """Its probability."""
        return self.probabilities[0] if self.probabilities else None


class _OverViews(nn.Module):
    def __init__(self, network: nn.Module, test_time: str) -> None:
        super().__init__()
        self.network, self._model = network, over_views(network, VIEWS[test_time])

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return self._model(x_NCHW)


def with_views(classifier: Classifier | OnnxClassifier, test_time: str) -> Classifier | OnnxClassifier:
    """The same by its mean probabilities over views: none, flip or ten_crops. Raises UserError where it can't be asked so."""
    if (problem := _problem_of(test_time, classifier.metadata)) is not None:
        raise UserError(problem)
    if test_time == "none":
        return classifier
    if isinstance(classifier, OnnxClassifier):
        return classifier.over_views(test_time)
    return replace(classifier, network=_OverViews(classifier.network, test_time).eval())


def _problem_of(test_time: str, metadata: WeightsMetadata) -> str | None:
    return problem_of_test_time(test_time, metadata.recipe.preprocessing, has_many=metadata.thresholds is not None)


def with_depth(classifier: Classifier | OnnxClassifier, depth: Depth | None) -> Classifier | OnnxClassifier:
    """The same, in which these values of files with more than 8 bits become 0 and 255. Raises UserError unless the first is the lower."""
    if depth is None:
        return classifier
    if len(depth) != 2 or not depth[0] < depth[1]:
        raise UserError(f"depth must be LOW HIGH with LOW < HIGH, but got {' '.join(f'{end:g}' for end in depth)}")
    return classifier.knowing(replace(classifier.metadata, asked_depth=depth))


def predictions(classifier: Answers, given: Iterator[Given], *, top: int = 1, temperature: float = 1.0) -> Iterator[Prediction]:
    """One for each picture, in order, with the `top` most probable classes, by softmax(logits / temperature).

    Of a network for several classes by the sigmoid of each logit, with all whose probability is no less than its threshold.
    """
    for some in batches(decoded(given, classifier), classifier):
        images = [one.images_NHWC for one in some if len(one.images_NHWC)]
        logits_BK = classifier.logits(np.concatenate(images)) if images else torch.zeros(0, len(classifier.class_names))
        at_K, predicted = classifier.metadata.thresholds, None
        p_BK = (logits_BK.double() / temperature).softmax(1) if at_K is None else logits_BK.double().sigmoid()
        if at_K is not None:
            predicted = iter(predicted_classes(p_BK, at_K))
        p_BT, class_BT = p_BK.topk(min(top, p_BK.shape[1]))
        yield from _named(some, zip(p_BT.tolist(), class_BT.tolist(), strict=True), predicted, classifier.class_names)


def predicted_classes(p_BK: Tensor, at_K: Sequence[float]) -> list[list[int]]:
    """Numbers of the classes that reach their thresholds, picture by picture, the most probable first."""
    is_above_BK = p_BK >= torch.tensor(at_K, dtype=p_BK.dtype)
    return [
        order_K[is_above_K[order_K]].tolist() for order_K, is_above_K in zip(p_BK.argsort(1, descending=True), is_above_BK, strict=True)
    ]


def refuse_calibration(classifier: Answers) -> None:
    """Raise UserError where the network knows several classes of a picture."""
    if classifier.metadata.thresholds is not None:
        raise UserError("a temperature is fitted to probabilities of which one class is right, but the network knows several; leave it out")


def batches(parts: Iterator[Decoded], classifier: Answers) -> Iterator[list[Decoded]]:
    """Parts with as many pictures together, or some more, as go through a network at once."""
    height, width = sides(classifier.image_size)
    num_pictures = min(max(_BATCH_BYTES // (3 * height * width), _LEAST), _MOST)
    for first in parts:
        some = [first]
        while sum(len(one.names) for one in some) < num_pictures and (more := next(parts, None)) is not None:
            some.append(more)
        yield some


def _named(
    some: list[Decoded], rows: Iterator[tuple[list[float], list[int]]], predicted: Iterator[list[int]] | None, class_names: tuple[str, ...]
) -> Iterator[Prediction]:
    for one in some:
        for place, name in enumerate(one.names):
            if place in one.problems:
                yield Prediction(name, problem=one.problems[place])
            else:
                probabilities, classes = next(rows)
                above = None if predicted is None else tuple(class_names[k] for k in next(predicted))
                yield Prediction(name, tuple(class_names[k] for k in classes), tuple(probabilities), predicted=above)
