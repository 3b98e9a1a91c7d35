"""Signs of life of workers, as their driver sees them: stacks of one that hung, and who gives no sign at all, as a frozen process does.

A worker that hangs ends itself (training/heartbeat.py). While it trains it touches the file of its attempt; a process that is stopped, or
waits for a disk in the kernel, does nothing of both.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress

from visiontune.filesystem.atomic_write import write_whole
from visiontune.filesystem.checkpoint_files import claims_in
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.spec.declarations.hang_limit import limit_s

PATIENCE = 1.5
"""Of the time after which a worker ends itself."""


def take_stacks(folder: StudyFolder, key: str) -> str:
    """Where stacks of the leg's last worker are kept, within the study's folder; "" where it did not hang."""
    for attempt in claims_in(folder.checkpoint(key)):
        with suppress(OSError):
            if stacks := attempt.file.read_text(errors="replace"):
                stacks += "".join(f"\n{path.suffix[1:]}:\n{path.read_text(errors='replace')}" for path in attempt.rank_files())
                kept = folder.hung / f"{key}.attempt-{attempt.number}.txt"
                write_whole(kept, stacks)
                attempt.file.write_bytes(b"")
                return str(kept.relative_to(folder.path))
    return ""


class SilentWorkers:
    """Looks at the legs that are at work. Time in which nobody looked does not count: the driver itself may have waited for something."""

    def __init__(self, folder: StudyFolder, hang_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder, self._hang_s, self._clock = folder, hang_s, clock
        self.look_every_s = min(5.0, hang_s / 8)
        self._looked_s = clock()
        self._seen: dict[str, tuple[tuple[float, ...], float]] = {}  # signs of each, and seconds in which there were no newer ones

    def is_time(self) -> bool:
        """Whether to look again."""
        return self._clock() - self._looked_s >= self.look_every_s

    def look(self, keys: Iterable[str], trained: Mapping[str, int], epochs_s: Callable[[str], Collection[float]]) -> dict[str, float]:
        """Legs whose workers have given no sign for too long, and for how long. `trained`: the newest epochs that were reported."""
        passed_s, self._looked_s = min(self._clock() - self._looked_s, 2 * self.look_every_s), self._clock()
        before, self._seen = self._seen, {}
        found = {}
        for key in {*keys}:
            signs = (float(trained.get(key, 0)), *self._touched(key))
            known, silent_s = before.get(key, ((), 0.0))
            silent_s = silent_s + passed_s if signs == known else 0.0
            if silent_s > PATIENCE * limit_s(self._hang_s, list(epochs_s(key)), is_first=key not in trained):
                found[key] = silent_s
            else:
                self._seen[key] = signs, silent_s
        return found

    def _touched(self, key: str) -> list[float]:
        with suppress(OSError):
            return [value for one in claims_in(self._folder.checkpoint(key)) for value in (one.number, one.file.stat().st_mtime_ns)]
        return []
