"""A network's probabilities for the validation pictures of a store: what every view of its answers is computed from.

Letters: N pictures, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from visiontune.inference.classifier import NUM_AT_ONCE, Classifier

if TYPE_CHECKING:
    from visiontune.data.store.store import Store

IntArray = NDArray[np.int64]
Images = NDArray[np.uint8]


@dataclass(frozen=True)
class Answers:
    """`rows_N` are rows of the store, `probability_NK` the softmax of the logits, float32."""

    rows_N: IntArray
    labels_N: IntArray
    probability_NK: NDArray[np.float32]
    class_names: tuple[str, ...]

    @cached_property
    def predicted_N(self) -> IntArray:
        """The class with the highest probability."""
        return np.asarray(self.probability_NK.argmax(1), np.int64)

    @cached_property
    def confidence_N(self) -> NDArray[np.float32]:
        """The probability of the predicted class."""
        return np.asarray(self.probability_NK.max(1))

    @property
    def top1(self) -> float:
        """The share that is right, 0 to 1."""
        return float((self.predicted_N == self.labels_N).mean())


def answers(classifier: Classifier, store: Store, rows_N: IntArray, tell: Callable[[int], object] = lambda num_done: None) -> Answers:
    """Of the pictures of these rows; they are read some hundred at a time."""
    found = []
    for low, images_NHWC in _read(store, rows_N):
        found.append(classifier.logits(images_NHWC).softmax(1).numpy())
        tell(low + len(images_NHWC))
    return Answers(rows_N, store.labels_N[rows_N], np.concatenate(found), classifier.class_names)


def evenly(rows_N: IntArray, most: int) -> IntArray:
    """At most so many rows, evenly spaced."""
    return rows_N[:: max(1, -(-len(rows_N) // most))]


def _read(store: Store, rows_N: IntArray) -> Iterator[tuple[int, Images]]:
    for low in range(0, len(rows_N), NUM_AT_ONCE):
        yield low, np.asarray(store.images_NHWC[rows_N[low : low + NUM_AT_ONCE]])
