"""What a search knows of time: how long it has gone on, what its limit leaves of it, how fast epochs come."""

from __future__ import annotations

import time

from visiontune.tuning.study_storage import Storage

START_S = 30.0
"""What the first worker may take before it is the cluster that has no room."""

NOTE_EVERY_S = 5.0
"""How often the spent time is written down while a time limit counts; at most so much is given back by a kill."""


class SearchClock:
    """One driver's. It counts from `start_s` (time.monotonic), now by default; what earlier drivers spent is in the storage."""

    def __init__(self, storage: Storage, limit_s: float | None, start_s: float | None = None) -> None:
        self._storage, self._limit_s = storage, limit_s
        self.start_s = self._noted_s = time.monotonic() if start_s is None else start_s
        self._first_leg_s: float | None = None
        self._spent_before_s = float(storage.attributes().get("spent_s", 0.0))

    @property
    def elapsed_s(self) -> float:
        """Since this driver started."""
        return time.monotonic() - self.start_s

    def is_over_limit(self) -> bool:
        """Whether all drivers together spent more than the limit; now and then what they spent is written down."""
        if self._limit_s is None:
            return False
        now_s = time.monotonic()
        spent_s = self._spent_before_s + now_s - self.start_s
        if now_s - self._noted_s > NOTE_EVERY_S:
            self._noted_s = now_s
            self._storage.set_attribute("spent_s", spent_s)
        return spent_s > self._limit_s

    def leg_started(self) -> None:
        """The first of them counts."""
        self._first_leg_s = self._first_leg_s or time.monotonic()

    def rate(self, num_epochs: int) -> float:
        """Epochs a minute since the first leg started, of so many."""
        if self._first_leg_s is None:
            return 0.0
        return 60.0 * num_epochs / max(time.monotonic() - self._first_leg_s, 1e-3)

    def is_late(self) -> bool:
        """Whether the first worker should have come by now."""
        return self._first_leg_s is not None and time.monotonic() - self._first_leg_s > START_S
