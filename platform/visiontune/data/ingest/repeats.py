"""Pictures that stand in two splits: equal to the last stored pixel, or the same but for noise, brightness or another JPEG.

Two are the same picture to the eye where their 64-bit difference hashes (each of 8 x 8 areas brighter than its right neighbour
or not, the last against the first; after Krawetz 2013) differ in at most 5 bits, and both the areas and 16 x 16 areas in colour
correlate above 0.98; grey ones above 0.998, for different digits of scikit-learn reach 0.996. On CIFAR-10 that are 8 pictures of
the test, each of which is in train in other colours; of textured 32 px pictures saved again as JPEG of quality 75 it finds 7 in 10,
of 64 px all. Pictures of one colour have nothing to compare; two pieces of clear sky are alike, and so are all pictures of a camera
that never moves, whatever small thing their label is about: why near ones are told and kept unless they are asked to be dropped.
Letters: N pictures, P pairs, V pixels of a thumbnail.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visiontune.data.ingest.likely_pairs import Floats, likely_pairs
from visiontune.data.picture.digest import Bytes, Digests
from visiontune.data.picture.thumbnail import THUMB
from visiontune.data.split import Codes, IntArray

MAX_DISTANCE = 5
ALIKE_COLOUR, ALIKE_GREY = 0.98, 0.998
_SIDE = 16
_MOST_AREAS = 1 << 17


@dataclass(frozen=True)
class Repeat:
    """Picture `row` is picture `other` of an earlier split of train, val, test; `similarity` is a correlation, 1.0 where they are equal.

    `other` has the same label, unless there is none such.
    """

    row: int
    other: int
    similarity: float
    is_equal: bool
    is_same_label: bool


def find_repeats(
    digest_N2: Digests,
    thumb_NV: Bytes,
    code_N: Codes,
    label_N: IntArray,
    read_picture: Callable[[int], Bytes],
    *,
    is_colour: bool,
    tell: Callable[[float], object] = lambda share: None,
) -> tuple[list[Repeat], IntArray]:
    """One `Repeat` for each picture that stands in an earlier split too; and (N,) numbers, the same for equal pictures.

    `read_picture(row)` gives a whole picture; it is called only for pairs whose thumbnails agree. `tell` is called with the share that is
    done; what it raises ends the search.
    """
    equal_N = np.unique(_as_one_item(digest_N2), return_inverse=True)[1].reshape(-1).astype(np.int64)
    other_N = first_of(equal_N, code_N)
    same_N = first_of(equal_N * (int(label_N.max(initial=0)) + 1) + label_N, code_N)
    is_same_N = code_N[same_N] < code_N
    other_N = np.where(is_same_N, same_N, other_N)
    is_equal_N = code_N[other_N] < code_N
    near = _Near(thumb_NV, code_N, label_N, read_picture, ALIKE_COLOUR if is_colour else ALIKE_GREY)
    near.search((code_N > 0) & ~is_equal_N, tell)
    found = [Repeat(row, int(other_N[row]), 1.0, True, bool(is_same_N[row])) for row in np.flatnonzero(is_equal_N).tolist()]
    found += [Repeat(row, int(near.other_N[row]), *near.of(row)) for row in np.flatnonzero(near.other_N >= 0).tolist()]
    return sorted(found, key=lambda repeat: repeat.row), equal_N


def first_of(group_N: IntArray, code_N: Codes | None = None) -> IntArray:
    """(N,) the first row of each row's group; with `code_N` the first of its earliest split."""
    order = np.argsort(group_N, kind="stable") if code_N is None else np.lexsort((code_N, group_N))
    is_first = np.diff(group_N[order], prepend=-1) != 0
    first_N = np.empty_like(order)
    first_N[order] = order[np.maximum.accumulate(np.where(is_first, np.arange(len(order)), 0))]
    return first_N


def difference_hash(thumb_NV: Bytes) -> NDArray[np.uint64]:
    """(N,) hashes of 64 bits."""
    thumb_NHW = thumb_NV.reshape(-1, THUMB, THUMB)
    bits = thumb_NHW > np.roll(thumb_NHW, -1, axis=2)
    return np.packbits(bits.reshape(len(bits), -1), axis=1).view("<u8").ravel()


class _Near:
    """`other_N` is the picture of an earlier split that each one is nearly equal to, -1 for none yet."""

    def __init__(self, thumb_NV: Bytes, code_N: Codes, label_N: IntArray, read_picture: Callable[[int], Bytes], limit: float) -> None:
        self._unit_NV, self._hash_N = _unit(thumb_NV), difference_hash(thumb_NV)
        self._code_N, self._label_N, self._limit = code_N, label_N, limit
        self._read_picture, self._areas = read_picture, dict[int, Bytes]()
        self.other_N = np.full(len(code_N), -1, np.int64)
        self._similarity_N = np.zeros(len(code_N), np.float32)
        self._is_same_N = np.zeros(len(code_N), np.bool_)

    def of(self, row: int) -> tuple[float, bool, bool]:
        """The last three of a `Repeat`."""
        return float(self._similarity_N[row]), False, bool(self._is_same_N[row])

    def search(self, is_asked_N: NDArray[np.bool_], tell: Callable[[float], object]) -> None:
        """Find others; a picture that has one of its own label is asked no more."""
        for left_P, right_P in likely_pairs(self._unit_NV, is_asked_N, self._is_same_N, tell):
            is_near = self._code_N[right_P] < self._code_N[left_P]
            is_near &= np.bitwise_count(self._hash_N[left_P] ^ self._hash_N[right_P]) <= MAX_DISTANCE
            left_P, right_P = left_P[is_near], right_P[is_near]
            is_near = np.einsum("pv,pv->p", self._unit_NV[left_P], self._unit_NV[right_P]) > self._limit
            if is_near.any():
                self._compare(left_P[is_near], right_P[is_near])

    def _compare(self, left_P: IntArray, right_P: IntArray) -> None:
        """By the whole pictures; of several others the most similar of the same label counts."""
        similarity_P = np.einsum("pv,pv->p", self._unit_areas(left_P), self._unit_areas(right_P))
        is_same_P = self._label_N[left_P] == self._label_N[right_P]
        order = np.lexsort((-similarity_P, ~is_same_P, left_P))
        order = order[similarity_P[order] > self._limit]
        best = order[np.diff(left_P[order], prepend=-1) != 0]
        best = best[(self.other_N[left_P[best]] < 0) | (is_same_P[best] & ~self._is_same_N[left_P[best]])]
        row = left_P[best]
        self.other_N[row], self._similarity_N[row], self._is_same_N[row] = right_P[best], similarity_P[best], is_same_P[best]

    def _unit_areas(self, row_P: IntArray) -> Floats:
        """Each picture is read once, unless there are very many."""
        if len(self._areas) > _MOST_AREAS:
            self._areas.clear()
        for row in np.unique(row_P).tolist():
            if row not in self._areas:
                self._areas[row] = _in_areas(self._read_picture(row))
        return _unit(np.stack([self._areas[row] for row in row_P.tolist()]))


def _unit(values_NV: Bytes) -> Floats:
    centred_NV = values_NV.astype(np.float32)
    centred_NV -= centred_NV.mean(1, keepdims=True)
    length_N1 = np.linalg.norm(centred_NV, axis=1, keepdims=True)
    # Below one grey level for each pixel there is only noise.
    return np.where(length_N1 > values_NV.shape[1] ** 0.5, centred_NV / np.maximum(length_N1, 1e-6), 0.0).astype(np.float32)


def _in_areas(picture: Bytes) -> Bytes:
    """16 x 16 means: what JPEG takes from colours and the finest detail is no difference."""
    height, width = picture.shape[:2]
    if max(height, width) <= _SIDE:
        return picture.reshape(-1)
    import cv2

    areas: Bytes = cv2.resize(picture, (min(width, _SIDE), min(height, _SIDE)), interpolation=cv2.INTER_AREA)
    return areas.reshape(-1)


def _as_one_item(digest_N2: Digests) -> NDArray[np.void]:
    """(N,) items of 128 bits, which np.unique can compare."""
    return np.ascontiguousarray(digest_N2).view(np.dtype((np.void, 16))).ravel()
