"""Which training picture is most like a picture of val or test: correlation of grey thumbnails, then of the pictures.

A thumbnail is 8 x 8 areas, less its mean, of length one: a product of two is their correlation, which neither brightness nor
contrast changes. One matrix product compares ten thousand pictures with ten thousand in a second.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from visiontune.training.input.epoch_order import IntArray

if TYPE_CHECKING:
    from visiontune.data.store.store import Store

Floats = NDArray[np.float32]
_SIDE = 8
_MOST_OTHERS, _MOST_TRAIN = 4_000, 50_000
_MOST_PAIRS, _NUM_ORDINARY, _SAME = 1_000, 300, 0.85
_CHUNK = 256


@dataclass(frozen=True)
class Neighbours:
    """Row `nearest_N` of train is the most similar one to row `rows_N` of val or test; `similarity_N` is their correlation."""

    rows_N: IntArray
    nearest_N: IntArray
    similarity_N: Floats

    def near(self, store: Store) -> list[tuple[int, int]]:
        """Pairs that are one picture but for noise, brightness or compression, most similar first; not those equal to the last pixel.

        By the correlation of edges: of CIFAR-10's nearest pairs those above 0.85 are the same photograph, and the median pair has 0.16.
        Where the median is higher, as that of small digits (0.91), so is the limit: 0.996 for these, of which different ones reach 0.992.
        """
        ordinary = float(np.median(_edge_correlation(store, self.rows_N[:: self._spacing], self.nearest_N[:: self._spacing])))
        limit = max(_SAME, 1 - (1 - ordinary) ** 2 / 2)
        likely_N = np.argsort(-self.similarity_N, kind="stable")[:_MOST_PAIRS]
        likely_N = likely_N[self.similarity_N[likely_N] > _SAME]
        edges_N = _edge_correlation(store, self.rows_N[likely_N], self.nearest_N[likely_N])
        pairs = [(int(self.rows_N[k]), int(self.nearest_N[k])) for k in likely_N[np.argsort(-edges_N)][: int((edges_N > limit).sum())]]
        return [(row, near) for row, near in pairs if not np.array_equal(store.images_NHWC[row], store.images_NHWC[near])]

    @property
    def _spacing(self) -> int:
        return max(1, len(self.rows_N) // _NUM_ORDINARY)


def find_neighbours(store: Store) -> Neighbours:
    """Neighbours of at most 4,000 pictures of val and 4,000 of test among at most 50,000 of train, evenly spaced."""
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
    sizes = store.images_NHWC.shape[1:3]
    rows, columns = edges = [np.arange(min(_SIDE, size)) * size // min(_SIDE, size) for size in sizes]
    heights, widths = (np.diff(along, append=size) for along, size in zip(edges, sizes, strict=True))
    small = []
    for low in range(0, len(rows_N), _CHUNK):
        grey_NHW = store.images_NHWC[rows_N[low : low + _CHUNK]].mean(3, dtype=np.float32)
        sums_NHW = np.add.reduceat(np.add.reduceat(grey_NHW, rows, axis=1), columns, axis=2)
        small.append((sums_NHW / np.outer(heights, widths)).reshape(len(grey_NHW), -1))
    return _unit(np.concatenate(small).astype(np.float32))


def _edge_correlation(store: Store, a_N: IntArray, b_N: IntArray) -> Floats:
    """(N,) correlations of the differences between neighbouring pixels: large and soft areas then count for nothing."""
    found = [np.zeros(0, np.float32)]
    for low in range(0, len(a_N), _CHUNK):
        a_NP, b_NP = (_unit(_edges(store.images_NHWC[rows[low : low + _CHUNK]])) for rows in (a_N, b_N))
        found.append((a_NP * b_NP).sum(1))
    return np.concatenate(found)


def _edges(images_NHWC: NDArray[np.uint8]) -> Floats:
    grey_NHW = images_NHWC.mean(3, dtype=np.float32)
    return np.concatenate([np.diff(grey_NHW, axis=axis).reshape(len(grey_NHW), -1) for axis in (1, 2)], axis=1)


def _unit(values_NP: Floats) -> Floats:
    centred_NP = values_NP - values_NP.mean(1, keepdims=True)
    length_N = np.linalg.norm(centred_NP, axis=1, keepdims=True)
    # Under one grey level in all of a picture there is nothing to compare.
    unit: Floats = np.where(length_N > 1.0, centred_NP / np.maximum(length_N, 1e-6), 0.0).astype(np.float32)
    return unit


def _spaced(index_N: IntArray, most: int) -> IntArray:
    return index_N[:: max(1, -(-len(index_N) // most))]
