"""How long a step of a training may take before its worker hangs; for the worker and for its driver, which imports no torch."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

GET_READY_FACTOR = 10
"""Until the first epoch has ended a step may take so much longer: compiling, weights that are fetched, a node's copy of the pictures."""
NUM_EPOCHS = 5
"""Median epochs that a step may take, where that is longer."""
NUM_LONGEST = 2
"""Or longest ones: what was compiled in the first epoch is compiled again for pictures of another size, and when a body is thawed."""


def limit_s(hang_s: float, epochs_s: Sequence[float], *, is_first: bool) -> float:
    """`is_first`: in the first epoch that this process trains of a leg, of which so many epochs were measured."""
    longest = max(NUM_EPOCHS * statistics.median(epochs_s), NUM_LONGEST * max(epochs_s)) if epochs_s else 0.0
    return max(hang_s * GET_READY_FACTOR if is_first else hang_s, longest)
