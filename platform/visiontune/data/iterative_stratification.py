"""Parts of pictures with several classes, each with its share of every class: iterative stratification (Sechidis et al. 2011, algorithm 1).

Letters: N pictures, U units of pictures that stay together, P pairs of a unit and a class that a picture of it has.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from visiontune.data.split import IntArray


def stratified_parts(unit_P: IntArray, class_P: IntArray, size_U: IntArray, num_classes: int, num_parts: int) -> IntArray:
    """(U,) the part of each unit, of `num_parts` equal ones; `size_U` are its pictures. The order of the units decides between equals.

    The class with the fewest pictures that are left comes first; each of its units goes where most of that class are lacking, of equals
    where most pictures are. Units without a class fill what is left.
    """
    order_P = np.lexsort((class_P, unit_P))
    units, classes = [list[int]() for _ in range(num_classes)], [list[int]() for _ in size_U]
    for unit, label in zip(unit_P[order_P].tolist(), class_P[order_P].tolist(), strict=True):
        units[label].append(unit)
        classes[unit].append(label)
    # What a part should have less what it has, times the number of parts, so that all are integers and equals are equal.
    lacking = [[len(found)] * num_parts for found in units]
    room, left, size = [int(size_U.sum())] * num_parts, [len(found) for found in units], size_U.tolist()
    part_U = [-1] * len(size)

    def put(unit: int, wanted: Sequence[int]) -> None:
        part = max(range(num_parts), key=lambda one: (wanted[one], room[one]))
        part_U[unit] = part
        room[part] -= num_parts * size[unit]
        for label in classes[unit]:
            lacking[label][part] -= num_parts
            left[label] -= 1

    while any(left):
        rarest = min((label for label in range(num_classes) if left[label]), key=left.__getitem__)
        for unit in units[rarest]:
            if part_U[unit] < 0:
                put(unit, lacking[rarest])
    for unit, part in enumerate(part_U):
        if part < 0:
            put(unit, room)
    return np.array(part_U, np.int64)
