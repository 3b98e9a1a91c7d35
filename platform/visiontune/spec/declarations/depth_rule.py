"""The rule on `data.depth`, beside its type: which numbers and pairs say a range of values."""

from __future__ import annotations

from typing import Any


def problem_of_depth(depth: Any) -> str | None:
    """What is wrong with a value of the right type; None where nothing is.

    >>> problem_of_depth([100, 10])
    'must be auto, 8, 16 or [low, high] with low < high, but got [100, 10]; nearest is [10, 100]'
    """
    if depth == "auto" or depth in (8, 16):
        return None
    rule = f"must be auto, 8, 16 or [low, high] with low < high, but got {depth}"
    if isinstance(depth, int):
        return f"{rule}; nearest is {8 if depth < 12 else 16 if depth > 12 else [0, 4095]}"
    return None if depth[0] < depth[1] else f"{rule}; nearest is {sorted(depth)}"
