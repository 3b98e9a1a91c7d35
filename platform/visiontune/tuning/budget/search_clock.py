"""What one driver knows of time: how long it has gone on and how fast epochs come. What the budget leaves is in spending.py."""

from __future__ import annotations

import time

START_S = 30.0
"""What the first worker may take before it is the cluster that has no room."""

PLACE_S = 5.0
"""What legs may take to their workers later, before it is that."""


class SearchClock:
    """It counts from `start_s` (time.monotonic), now by default."""

    def __init__(self, start_s: float | None = None) -> None:
        self.start_s = time.monotonic() if start_s is None else start_s
        self._first_leg_s: float | None = None
        self._unplaced_s: float | None = None

    @property
    def elapsed_s(self) -> float:
        """Since this driver started."""
        return time.monotonic() - self.start_s

    def leg_started(self) -> None:
        """The first of them counts."""
        self._first_leg_s = self._first_leg_s or time.monotonic()

    def rate(self, num_epochs: int) -> float:
        """Epochs a minute since the first leg started, of so many."""
        if self._first_leg_s is None:
            return 0.0
        return 60.0 * num_epochs / max(time.monotonic() - self._first_leg_s, 1e-3)

    def is_unplaced(self, *, has_legs: bool, is_placed: bool) -> bool:
        """Whether there have been legs, and none of them on a worker, for PLACE_S; to be asked again and again."""
        if not has_legs or is_placed:
            self._unplaced_s = None
            return False
        self._unplaced_s = self._unplaced_s or time.monotonic()
        return time.monotonic() - self._unplaced_s > PLACE_S

    @property
    def unplaced_s(self) -> float:
        """For how long no leg has been on a worker, while some wait for one."""
        return 0.0 if self._unplaced_s is None else time.monotonic() - self._unplaced_s

    def is_late(self) -> bool:
        """Whether the first worker should have come by now."""
        return self._first_leg_s is not None and time.monotonic() - self._first_leg_s > START_S
