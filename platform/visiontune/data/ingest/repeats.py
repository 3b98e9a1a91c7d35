"""Pictures that stand in two splits: equal to the last stored pixel, or the same but for noise, brightness or another JPEG.

Two are the same picture to the eye where their 64-bit difference hashes (each of 8 x 8 areas brighter than its right neighbour
or not, the last against the first; after Krawetz 2013) differ in at most 5 bits, and both the areas and 16 x 16 areas in colour
correlate above 0.98; grey ones above 0.998, for different digits of scikit-learn reach 0.996. On CIFAR-10 that are 8 pictures of
the test, each of which is in train in other colours; of textured 32 px pictures saved again as JPEG of quality 75 it finds 7 in 10,
of 64 px all. Pictures of one colour have nothing to compare; two pieces of clear sky are alike.
Letters: N pictures, P candidate pairs, V pixels of a thumbnail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from visiontune.data.picture.digest import Bytes, Digests
from visiontune.data.picture.thumbnail import THUMB
from visiontune.data.split import Codes, IntArray

Floats = NDArray[np.float32]
Hashes = NDArray[np.uint64]

MAX_DISTANCE = 5
ALIKE_COLOUR, ALIKE_GREY = 0.98, 0.998
_SIDE = 16
_NUM_BYTES = 8
_PAIRS = 1 << 18
_ROW_BITS = 39


@dataclass(frozen=True)
class Repeat:
    """Picture `row` is picture `other` of an earlier split of train, val, test; `similarity` is a correlation, 1.0 where they are equal."""

    row: int
    other: int
    similarity: float


def find_repeats(
    digest_N2: Digests, thumb_NV: Bytes, code_N: Codes, read_picture: Callable[[int], Bytes], *, is_colour: bool
) -> tuple[list[Repeat], IntArray]:
    """One `Repeat` for each picture that stands in an earlier split too; and (N,) numbers, the same for equal pictures.

    `read_picture(row)` gives a whole picture; it is called only for pairs whose thumbnails agree.
    """
    equal_N = np.unique(_as_one_item(digest_N2), return_inverse=True)[1].reshape(-1).astype(np.int64)
    found = {repeat.row: repeat for repeat in _exact(equal_N, code_N)}
    alike = ALIKE_COLOUR if is_colour else ALIKE_GREY
    for row, other in _near(thumb_NV, code_N, alike):
        if row not in found:
            similarity = _correlation(read_picture(row), read_picture(other))
            if similarity > alike:
                found[row] = Repeat(row, other, similarity)
    return [found[row] for row in sorted(found)], equal_N


def difference_hash(thumb_NV: Bytes) -> Hashes:
    """(N,) hashes of 64 bits."""
    thumb_NHW = thumb_NV.reshape(-1, THUMB, THUMB)
    bits = thumb_NHW > np.roll(thumb_NHW, -1, axis=2)
    return np.packbits(bits.reshape(len(bits), -1), axis=1).view("<u8").ravel()


def near_pairs(hash_N: Hashes, is_asked_N: NDArray[np.bool_], max_distance: int = MAX_DISTANCE) -> Iterator[tuple[IntArray, IntArray]]:
    """Blocks of pairs (asked row, any other row) within the distance; each pair once, unless both are asked.

    Of 8 bytes at least 8 - max_distance are equal then, so that three equal ones find every pair: 56 sorted searches
    instead of a comparison of all with all.
    """
    assert max_distance <= _NUM_BYTES - 3
    byte_N8 = hash_N.astype("<u8").view(np.uint8).reshape(-1, _NUM_BYTES).astype(np.int64)
    asked = np.flatnonzero(is_asked_N)
    for chosen in combinations(range(_NUM_BYTES), 3):
        key_N = byte_N8[:, chosen[0]] << 16 | byte_N8[:, chosen[1]] << 8 | byte_N8[:, chosen[2]]
        # Sorting numbers of 64 bits is vectorised, sorting their places is not.
        packed_N = np.sort(key_N << _ROW_BITS | np.arange(len(key_N)))
        order, sorted_N = packed_N & ((1 << _ROW_BITS) - 1), packed_N >> _ROW_BITS
        low = np.searchsorted(sorted_N, key_N[asked], "left")
        count = np.searchsorted(sorted_N, key_N[asked], "right") - low
        for start, end in _blocks(count):
            left = np.repeat(asked[start:end], count[start:end])
            within = np.arange(len(left)) - np.repeat(np.cumsum(count[start:end]) - count[start:end], count[start:end])
            right = order[np.repeat(low[start:end], count[start:end]) + within]
            different = hash_N[left] ^ hash_N[right]
            is_new = (left != right) & (np.bitwise_count(different) <= max_distance) & _first_three(different, chosen)
            yield left[is_new], right[is_new]


def _blocks(count: IntArray) -> Iterator[tuple[int, int]]:
    """Runs of asked rows with some 2^18 candidates together, or a single one with more."""
    start, ends = 0, np.cumsum(count)
    while start < len(count):
        before = ends[start - 1] if start else 0
        end = max(int(np.searchsorted(ends, before + _PAIRS, "right")), start + 1)
        yield start, end
        start = end


def _first_three(different_P: Hashes, chosen: tuple[int, ...]) -> NDArray[np.bool_]:
    """Whether those are the first three equal bytes: otherwise another search gives the pair."""
    byte_P8 = different_P.astype("<u8").view(np.uint8).reshape(-1, _NUM_BYTES)
    is_new = np.ones(len(byte_P8), np.bool_)
    for number in set(range(chosen[-1])) - set(chosen):
        is_new &= byte_P8[:, number] != 0
    return is_new


def _exact(equal_N: IntArray, code_N: Codes) -> Iterator[Repeat]:
    order = np.lexsort((np.arange(len(equal_N)), code_N, equal_N))
    is_first = np.diff(equal_N[order], prepend=-1) != 0
    first = order[np.maximum.accumulate(np.where(is_first, np.arange(len(order)), 0))]
    is_repeat = code_N[order] > code_N[first]
    for row, other in zip(order[is_repeat].tolist(), first[is_repeat].tolist(), strict=True):
        yield Repeat(row, other, 1.0)


def _near(thumb_NV: Bytes, code_N: Codes, limit: float) -> Iterator[tuple[int, int]]:
    """Pairs whose thumbnails correlate, the later split's picture first."""
    unit_NV = _unit(thumb_NV)
    is_flat_N = ~unit_NV.any(axis=1)
    hash_N = difference_hash(thumb_NV)
    hash_N[is_flat_N] = np.random.PCG64(2).random_raw(int(is_flat_N.sum()))  # else they would all be candidates for each other
    for left, right in near_pairs(hash_N, (code_N > 0) & ~is_flat_N):
        is_earlier = code_N[right] < code_N[left]
        left, right = left[is_earlier], right[is_earlier]
        alike = np.einsum("pv,pv->p", unit_NV[left], unit_NV[right]) > limit
        yield from zip(left[alike].tolist(), right[alike].tolist(), strict=True)


def _unit(values_NV: NDArray[np.uint8]) -> Floats:
    centred_NV = values_NV.astype(np.float32)
    centred_NV -= centred_NV.mean(1, keepdims=True)
    length_N1 = np.linalg.norm(centred_NV, axis=1, keepdims=True)
    # Below one grey level for each pixel there is only noise.
    return np.where(length_N1 > values_NV.shape[1] ** 0.5, centred_NV / np.maximum(length_N1, 1e-6), 0.0).astype(np.float32)


def _correlation(one: Bytes, other: Bytes) -> float:
    """The correlation of means over 16 x 16 areas: what JPEG takes from colours and the finest detail is no difference."""
    units = _unit(np.stack([_areas(one), _areas(other)]))
    return float(units[0] @ units[1])


def _areas(picture: Bytes) -> Bytes:
    height, width = picture.shape[:2]
    if max(height, width) <= _SIDE:
        return picture.reshape(-1)
    import cv2

    areas: Bytes = cv2.resize(picture, (min(width, _SIDE), min(height, _SIDE)), interpolation=cv2.INTER_AREA)
    return areas.reshape(-1)


def _as_one_item(digest_N2: Digests) -> NDArray[np.void]:
    """(N,) items of 128 bits, which np.unique can compare."""
    return np.ascontiguousarray(digest_N2).view(np.dtype((np.void, 16))).ravel()
