"""Policies of some classes in place of the policy of all: which pictures take which steps, and what can be wrong about the names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visiontune.augmentation.apply_ops import IntArray, Ops, Pictures
from visiontune.augmentation.policy_steps import Step
from visiontune.errors import nearest

Steps = tuple[Step, ...]


@dataclass(frozen=True)
class Classes:
    """The names of classes, and the class of each picture by its place in the store."""

    names: tuple[str, ...]
    labels_N: IntArray


@dataclass(frozen=True, eq=False)
class ByClass:
    """Pictures get the steps of their own branch. `branch_N` counts it by the place in the store, further copies have places behind those.

    What a step draws follows the picture's index alone, so pictures of one branch are what they would be if all were of it.
    """

    branches: tuple[Steps, ...]
    branch_N: NDArray[np.int16]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for steps in self.branches for step in steps for name in step.names))

    def __call__(self, ops: Ops, pictures_NHWC: Pictures, index_N: IntArray, *, seed: int, epoch: int) -> None:
        mine_N = self.branch_N[index_N % len(self.branch_N)]
        for number, steps in enumerate(self.branches):
            row_K = np.flatnonzero(mine_N == number)
            if not steps or not len(row_K):
                continue
            rows = ops.beside(row_K, pictures_NHWC)
            taken_KHWC = pictures_NHWC[rows]
            for step in steps:
                step(ops, taken_KHWC, index_N[row_K], seed=seed, epoch=epoch)
            pictures_NHWC[rows] = taken_KHWC

    def parted(self, part: Callable[[Steps], tuple[Steps, Steps]]) -> tuple[Steps, Steps]:
        """Each branch in two parts, as one step of first ones and one of second ones; neither where it would do nothing."""
        parts = zip(*map(part, self.branches), strict=True)
        first, second = ((ByClass(branches, self.branch_N),) if any(branches) else () for branches in parts)
        return first, second


def by_class(items: Sequence[Mapping[str, Any]], of_items: Sequence[Steps], others: Steps, classes: Classes) -> Steps:
    """The step that gives each class the steps of the item that names it, and all others `others`; none where it would do nothing."""
    branch_of = np.zeros(len(classes.names), np.int16)
    for number, item in enumerate(items, start=1):
        branch_of[[classes.names.index(name) for name in item["classes"]]] = number
    branches = (others, *of_items)
    return (ByClass(branches, branch_of[classes.labels_N]),) if any(branches) else ()


def problem_of_classes(items: Sequence[Mapping[str, Any]], names: Sequence[str]) -> str | None:
    """Why the classes can't be those of the items, as one sentence; None if they can."""
    taken: dict[str, int] = {}
    for number, item in enumerate(items):
        at = f"augmentation.by_class[{number}].classes"
        if not item["classes"]:
            return f"{at} must name at least one class; {nearest('', names)}"
        for name in item["classes"]:
            if name not in names:
                return f"{at} must name classes of the data, but got {name!r}; {nearest(name, names)}"
            if name in taken:
                return f"{at}: the class {name!r} stands in by_class[{taken[name]}] already; one of them must go"
            taken[name] = number
    return None
