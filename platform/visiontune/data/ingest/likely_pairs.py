"""Which pictures are worth comparing: pairs whose thumbnails are alike in all that tells the pictures of this source apart.

What all pictures share (white borders, a camera that never moves) must tell nothing, or all of them are alike and the search is
quadratic. So thumbnails are taken less their mean and in their principal components, each to unit variance, and random hyperplanes part
them (locality-sensitive hashing after Charikar 2002): pairs with equal bits in one of 48 draws are compared. Of the pictures that a
comparison of all with all finds (6,000 of 32 px, 1,200 of them copies or overlapping crops) these are all of 1,448 as they are, and
1,506 of 1,522 with a white frame that covers three quarters of each.
Letters: N pictures, V pixels of a thumbnail, D components, A asked pictures, P pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from visiontune.data.split import IntArray

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

_NUM_DRAWS, _NUM_COMPONENTS = 48, 16
_FEWEST_BITS, _MOST_BITS, _ROW_BITS = 6, 22, 39
_FIT_TO = 20_000
_FLOOR = 6e-4
"""Of a component's variance: what a correlation of 0.98 leaves to each of 64 is noise, not what tells pictures apart."""
_FIRST, _PAIRS = 8, 1 << 18


def likely_pairs(
    unit_NV: Floats, is_asked_N: Bools, is_settled_N: Bools, tell: Callable[[float], object] = lambda share: None
) -> Iterator[tuple[IntArray, IntArray]]:
    """Blocks of pairs (asked row, any other row), a pair perhaps several times; rows of zeros are in none.

    The caller sets `is_settled_N` in between: those rows are asked no more. `tell` is called with the share that is done.
    """
    row_N = np.flatnonzero(unit_NV.any(axis=1))
    asked_A = np.flatnonzero(is_asked_N[row_N])
    if not len(asked_A):
        return
    component_ND = _components(unit_NV[row_N])
    num_bits = int(np.clip(np.ceil(np.log2(len(row_N))) - 2, _FEWEST_BITS, _MOST_BITS))
    rng = np.random.default_rng(2)
    for number in range(_NUM_DRAWS):
        tell(number / _NUM_DRAWS)
        key_N = _keys(component_ND, rng.normal(size=(component_ND.shape[1], num_bits)).astype(np.float32))
        # Sorting numbers of 64 bits is vectorised, sorting their places is not.
        packed_N = np.sort(key_N << _ROW_BITS | np.arange(len(key_N)))
        order_N, sorted_N = packed_N & ((1 << _ROW_BITS) - 1), packed_N >> _ROW_BITS
        low_A = np.searchsorted(sorted_N, key_N[asked_A], "left")
        count_A = np.searchsorted(sorted_N, key_N[asked_A], "right") - low_A
        for at_P, number_P in _by_rounds(low_A, count_A, lambda: is_settled_N[row_N[asked_A]]):
            left_P, right_P = row_N[asked_A[at_P]], row_N[order_N[number_P]]
            is_other = left_P != right_P
            tell(number / _NUM_DRAWS)
            yield left_P[is_other], right_P[is_other]


def _components(unit_NV: Floats) -> Floats:
    """(N, D) of unit variance, as far as there is any: what all have in common is gone."""
    mean_V = unit_NV.mean(axis=0)
    some_NV = unit_NV[:: -(-len(unit_NV) // _FIT_TO)] - mean_V
    variance_V, direction_VV = np.linalg.eigh(some_NV.T @ some_NV / len(some_NV))
    is_used_V = variance_V > max(float(variance_V[-1]) * 1e-4, 1e-9)
    variance_D, direction_VD = variance_V[is_used_V][-_NUM_COMPONENTS:], direction_VV[:, is_used_V][:, -_NUM_COMPONENTS:]
    component_ND: Floats = (unit_NV - mean_V) @ (direction_VD / np.sqrt(variance_D + _FLOOR)).astype(np.float32)
    return component_ND


def _keys(component_ND: Floats, plane_DB: Floats) -> IntArray:
    """(N,) the side of each of the planes, as a number."""
    weight_B = np.int64(1) << np.arange(plane_DB.shape[1])
    keys: IntArray = (component_ND @ plane_DB > 0) @ weight_B
    return keys


def _by_rounds(low_A: IntArray, count_A: IntArray, is_settled: Callable[[], Bools]) -> Iterator[tuple[IntArray, IntArray]]:
    """(places in A, numbers from `low_A` on), the first 8 of each place first, then 32 more: most are settled before a long range ends."""
    left, done, step = np.arange(len(low_A)), 0, _FIRST
    while len(left := left[(count_A[left] > done) & ~is_settled()[left]]):
        num = np.minimum(count_A[left] - done, step)
        for start, end in _blocks(num):
            at_P = np.repeat(left[start:end], num[start:end])
            within_P = np.arange(len(at_P)) - np.repeat(np.cumsum(num[start:end]) - num[start:end], num[start:end])
            yield at_P, low_A[at_P] + done + within_P
        done, step = done + step, step * 4


def _blocks(count: IntArray) -> Iterator[tuple[int, int]]:
    """Runs of places with some 2^18 candidates together, or a single one with more."""
    start, ends = 0, np.cumsum(count)
    while start < len(count):
        before = ends[start - 1] if start else 0
        end = max(int(np.searchsorted(ends, before + _PAIRS, "right")), start + 1)
        yield start, end
        start = end
