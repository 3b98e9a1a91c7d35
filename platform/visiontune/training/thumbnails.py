"""Which training picture is most like a picture of val or test: correlation of grey thumbnails, then of the pictures.

A thumbnail is 8 x 8 areas, less its mean, of length one: a product of two is their correlation, which neither brightness nor
contrast changes. One matrix product compares ten thousand pictures with ten thousand in a second.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from visiontune.training.pictures import IntArray

if TYPE_CHECKING:
    from visiontune.data.store import Store

Floats = NDArray[np.float32]
_SIDE = 8
_MOST_OTHERS, _MOST_TRAIN = 4_000, 50_000
_CHUNK = 256


@dataclass(frozen=True)
class Neighbours:
    """Row `nearest_N` of train is the most similar one to row `rows_N` of val or test; `similarity_N` is their correlation."""

    rows_N: IntArray
    nearest_N: IntArray
    similarity_N: Floats

    def near(self, store: Store, limit: float) -> Iterator[tuple[int, int]]:
        """Pairs whose whole pictures correlate above `limit`, but for those equal to the last pixel."""
        for row, near, similarity in zip(self.rows_N, self.nearest_N, self.similarity_N, strict=True):
            if similarity > limit:
                a, b = store.images_NHWC[row], store.images_NHWC[near]
                pair = _unit(np.stack([a, b]).reshape(2, -1).astype(np.float32))
                if float(pair[0] @ pair[1]) > limit and not np.array_equal(a, b):
                    yield int(row), int(near)


def find_neighbours(store: Store) -> Neighbours:
    """For at most 4,000 pictures of val and 4,000 of test, among at most 50,000 of train, evenly spaced."""
    rows_N = np.concatenate([_spaced(store.val_idx, _MOST_OTHERS), _spaced(store.test_idx, _MOST_OTHERS)])
    train_N = _spaced(store.train_idx, _MOST_TRAIN)
    train_NP = thumbnails(store, train_N)
    nearest, similarity = [], []
    for low in range(0, len(rows_N), _CHUNK):
        product_NN = thumbnails(store, rows_N[low : low + _CHUNK]) @ train_NP.T
        best_N = product_NN.argmax(1)
        nearest.append(train_N[best_N])
        similarity.append(product_NN[np.arange(len(best_N)), best_N])
    return Neighbours(rows_N, np.concatenate(nearest), np.concatenate(similarity))


def thumbnails(store: Store, rows_N: IntArray) -> Floats:
    """(N, 64), each of mean 0 and length 1; of length 0 for a picture of one colour."""
    size = store.images_NHWC.shape[1]
    side = min(_SIDE, size)
    edges = np.arange(side) * size // side
    small = []
    for low in range(0, len(rows_N), _CHUNK):
        grey_NHW = store.images_NHWC[rows_N[low : low + _CHUNK]].mean(3, dtype=np.float32)
        sums_NHW = np.add.reduceat(np.add.reduceat(grey_NHW, edges, axis=1), edges, axis=2)
        width = np.diff(edges, append=size)
        small.append((sums_NHW / np.outer(width, width)).reshape(len(grey_NHW), -1))
    return _unit(np.concatenate(small).astype(np.float32))


def _unit(values_NP: Floats) -> Floats:
    centred_NP = values_NP - values_NP.mean(1, keepdims=True)
    length_N = np.linalg.norm(centred_NP, axis=1, keepdims=True)
    # Under one grey level in all of a picture there is nothing to compare.
    unit: Floats = np.where(length_N > 1.0, centred_NP / np.maximum(length_N, 1e-6), 0.0).astype(np.float32)
    return unit


def _spaced(index_N: IntArray, most: int) -> IntArray:
    return index_N[:: max(1, -(-len(index_N) // most))]
