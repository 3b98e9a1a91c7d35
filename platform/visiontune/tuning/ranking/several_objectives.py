"""Trials compared by several objectives at once: fronts, one behind the other, and an order within a front.

The ranking is that of multi-objective ASHA (Schmucker et al. 2021): non-dominated sorting, and within a front the epsilon net that was best
there, so that however few go on, they stand for all of it. It begins with the best value, which a search with one objective would keep.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from visiontune.spec.space.study_spec import Objective

LEAST_COST = 1e-9
"""In the place of 0, which has no logarithm."""

Losses = tuple[float, ...]
"""What a trial is compared by, each better where it is lower."""


def cost_logs(costs: Mapping[str, float], names: Iterable[str]) -> Losses | None:
    """Of these costs, which span decades, their decimal logarithms; None where one of them is not known."""
    found = [costs.get(name) for name in names]
    return tuple(math.log10(max(one, LEAST_COST)) for one in found if one is not None) if None not in found else None


def losses_of(value: float, costs: Mapping[str, float], objective: Objective) -> Losses | None:
    """Of a trial with this value; None where one of the costs is not known."""
    logs = cost_logs(costs, objective.costs)
    return None if logs is None else (-value if objective.mode == "max" else value, *logs)


def fronts(losses: Mapping[int, Losses]) -> list[list[int]]:
    """The keys that no other dominates, then those that only the former dominate, and so on; each front by its losses, then keys.

    Efficient non-dominated sorting (Zhang et al. 2015): in the order of the losses nothing is dominated by what comes later.

    >>> fronts({0: (1.0, 5.0), 1: (2.0, 1.0), 2: (2.0, 6.0), 3: (1.0, 5.0)})
    [[0, 3, 1], [2]]
    """
    found: list[list[int]] = []
    for key in sorted(losses, key=lambda one: (losses[one], one)):
        own = losses[key]
        place = bisect.bisect_left(found, True, key=lambda front: not _is_dominated(own, front, losses))
        if place == len(found):
            found.append([])
        found[place].append(key)
    return found


def _is_dominated(own: Losses, front: Sequence[int], losses: Mapping[int, Losses]) -> bool:
    """By one of a front, the last first, as of two objectives that one has the lowest second."""
    others = (losses[one] for one in reversed(front))
    return any(other != own and all(a <= b for a, b in zip(other, own, strict=True)) for other in others)


def spread_out(front: Sequence[int], losses: Mapping[int, Losses]) -> list[int]:
    """The first of a front, then each time the one that is farthest from all before it, where each loss spans 1; of equals the first."""
    if not front:
        return []
    points_NK = np.array([losses[one] for one in front])
    span_K = np.ptp(points_NK, axis=0)
    points_NK = points_NK / np.where(span_K > 0, span_K, 1.0)
    order, nearest_N = [0], np.full(len(front), math.inf)
    while len(order) < len(front):
        nearest_N = np.minimum(nearest_N, np.linalg.norm(points_NK - points_NK[order[-1]], axis=1))
        nearest_N[order] = -1.0
        order.append(int(np.argmax(nearest_N)))
    return [front[place] for place in order]
