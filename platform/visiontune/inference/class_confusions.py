"""Which classes an op confuses: what a trained network predicts for val pictures before and after it.

A pair (true, taken) counts pictures of class `true` that were right before and are taken for class `taken` after, less those that
were taken for it before and are right after, so that what an op changes by chance cancels out.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from visiontune.augmentation.sheet_pictures import apply_op
from visiontune.inference.classifier import Classifier

if TYPE_CHECKING:
    from visiontune.data.store.store import Store

IntArray = NDArray[np.int64]

MOST_PICTURES = 2_000
LEAST_SHARE = 0.1
"""Of a class's pictures: a pair that fewer make is not reported."""
_NUM_ERRORS = 2.0


@dataclass(frozen=True)
class Pair:
    """`more` pictures of class `true` are taken for `taken` than before, out of `num`."""

    true: str
    taken: str
    more: int
    num: int

    @property
    def share(self) -> float:
        """The share of the class's pictures, 0 to 1."""
        return self.more / self.num


@dataclass(frozen=True)
class Effect:
    """What one op does to a network's predictions; `pairs` are those that stand out, the largest share first."""

    op: str
    magnitude: float | None
    num_pictures: int
    top1_before: float
    top1_after: float
    pairs: tuple[Pair, ...]


def effects(classifier: Classifier, store: Store, ops: Mapping[str, float | None]) -> Iterator[Effect]:
    """The effect of each op at the magnitude given, on at most 2,000 val pictures, evenly spaced."""
    index_N = store.val_idx[:: max(1, -(-len(store.val_idx) // MOST_PICTURES))]
    images_NHWC, labels_N = np.asarray(store.images_NHWC[index_N]), store.labels_N[index_N]
    before_N = classifier.predict(images_NHWC)
    for name, magnitude in ops.items():
        after_N = classifier.predict(apply_op(name, magnitude, images_NHWC, index_N))
        before, after = (float((guess_N == labels_N).mean()) for guess_N in (before_N, after_N))
        yield Effect(name, magnitude, len(index_N), before, after, pairs_of(labels_N, before_N, after_N, store.class_names))


def spared(found: Iterable[Effect], ops_of_class: Mapping[str, Collection[str]]) -> tuple[Effect, ...]:
    """The effects without the pairs of classes that do not get the op."""
    return tuple(replace(one, pairs=tuple(pair for pair in one.pairs if one.op in ops_of_class[pair.true])) for one in found)


def pairs_of(labels_N: IntArray, before_N: IntArray, after_N: IntArray, names: tuple[str, ...]) -> tuple[Pair, ...]:
    """Pairs that at least a tenth of the class's pictures make, and more than two standard errors of the count; largest share first."""
    num_classes = len(names)
    gained_KK, lost_KK = np.zeros((2, num_classes, num_classes), np.int64)
    was_right_N, is_right_N = before_N == labels_N, after_N == labels_N
    np.add.at(gained_KK, (labels_N[was_right_N], after_N[was_right_N]), 1)
    np.add.at(lost_KK, (labels_N[is_right_N], before_N[is_right_N]), 1)
    num_K, more_KK = np.bincount(labels_N, minlength=num_classes), gained_KK - lost_KK
    found = [
        Pair(names[true], names[taken], int(more_KK[true, taken]), int(num_K[true]))
        for true, taken in np.argwhere(more_KK > 0).tolist()
        if true != taken and more_KK[true, taken] > _NUM_ERRORS * math.sqrt(gained_KK[true, taken] + lost_KK[true, taken])
    ]
    return tuple(sorted((pair for pair in found if pair.share >= LEAST_SHARE), key=lambda pair: -pair.share))
