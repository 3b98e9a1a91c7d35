"""How exactly a share is known."""

from __future__ import annotations

import math

_Z = 1.959963984540054


def wilson_interval(num_right: int, num: int) -> tuple[float, float]:
    """The 95 % interval of a share that was seen as `num_right` of `num` (Wilson 1927); it stays within 0 to 1.

    >>> [round(end, 4) for end in wilson_interval(9, 10)]
    [0.5958, 0.9821]
    """
    if num == 0:
        return 0.0, 1.0
    share, spread = num_right / num, _Z**2 / num
    middle = share + spread / 2
    half = _Z * math.sqrt(share * (1 - share) / num + spread / (4 * num))
    return max(0.0, (middle - half) / (1 + spread)), min(1.0, (middle + half) / (1 + spread))
