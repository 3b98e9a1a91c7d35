"""MLflow for as long as a search runs: events go into the outbox, the writer sends them."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from visiontune.filesystem.study_folder import StudiesFolder, StudyFolder
from visiontune.tracking.mlflow_uri import tracking_uri
from visiontune.tracking.outbox import Outbox, is_settled, num_unsent
from visiontune.tracking.told import AGAIN, Told
from visiontune.tracking.writer_process import WriterProcess, start_writer

DRAIN_S, HURRY_S = 15.0, 2.0
"""How long a finished and an interrupted search wait for MLflow; the writer sends on by itself, the outbox keeps the rest."""

LOOK_S = 10.0
"""How often a search looks for what holds MLflow up."""


@contextmanager
def tracker(
    folder: StudyFolder, drain_s: float = HURRY_S, say: Callable[[str], None] = lambda text: None
) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """A function that takes the study's events while the block runs. Raises UserError for an MLFLOW_TRACKING_URI that mlflow refuses.

    Of events that were made of the study again, those are sent that the outbox lacks. At the end it waits up to `drain_s` for the writer,
    or by the last event: DRAIN_S where the study has ended, else HURRY_S; and tells `say` so.
    """
    uri = tracking_uri(StudiesFolder(folder.path.parent))
    one = _Tracker(folder, drain_s, say)
    if not is_settled(folder, uri):
        one.start()
    try:
        yield one.put
    finally:
        one.end(unsent_events(folder))


def unsent_events(folder: StudyFolder) -> int:
    """How many MLflow does not have yet."""
    return num_unsent(folder, tracking_uri(StudiesFolder(folder.path.parent)))


class _Tracker:
    def __init__(self, folder: StudyFolder, drain_s: float, say: Callable[[str], None]) -> None:
        self._folder, self._drain_s, self._say = folder, drain_s, say
        self._outbox, self._look = Outbox(folder), Look(say)
        self._writer: WriterProcess | None = None
        self._told: Told | None = None
        self._is_again = False

    def start(self) -> WriterProcess:
        """The writer, which is under way from then on."""
        if self._writer is None:
            self._writer = start_writer(self._folder)
        return self._writer

    def put(self, event: Mapping[str, Any]) -> None:
        """Into the outbox, but for what it has of the study already."""
        self._is_again = AGAIN in event
        is_over = event["event"] in ("study_end", "register") and event.get("status") != "KILLED"
        self._drain_s = DRAIN_S if self._is_again or is_over else HURRY_S
        if self._is_again:
            self._told = self._told or Told.read(self._folder)
            if not self._told.lacks(event):
                return
            event = {key: value for key, value in event.items() if key != AGAIN}
        self._outbox.put(event)
        if self._is_again and self._told is not None:
            self._told.add(event)  # once it is there: on a full disk it is put again
        writer = self.start()
        writer.tend()
        self._look.at(writer)

    def end(self, left: int) -> None:
        """Wait for the writer, and say what is left."""
        self._outbox.close()
        if (writer := self._writer) is None:
            return
        if left:
            self._say(f"MLflow is sent the last {_events(left)}, for {self._drain_s:g} s at most")
        unsent = writer.drain(self._drain_s, wants_answer=self._is_again)
        is_open = self._is_again and not writer.is_asked
        trouble = writer.trouble
        writer.stop()
        self._look.at(writer, is_last=True)
        if unsent:
            text = f"MLflow does not have {_events(unsent)} yet ({trouble or 'they are being sent'}); the same command sends them"
        elif is_open:
            text = f"MLflow has not said yet whether it still has everything ({trouble or 'it is being asked, and what it lacks is sent'})"
        else:
            return
        with suppress(OSError):  # a reader that left is no reason to hide how the block ended
            print(text, file=sys.stderr)


class Look:
    """Tells `say` what the writer meets, once for each trouble, and what it found deleted or lost in MLflow."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say, self._next_s = say, 0.0
        self._trouble, self._num_told = "", 0

    def at(self, writer: WriterProcess, *, is_last: bool = False) -> None:
        """Look, at most every LOOK_S."""
        if time.monotonic() < self._next_s and not is_last:
            return
        self._next_s = time.monotonic() + LOOK_S
        for text in writer.told[self._num_told :]:
            self._num_told += 1
            self._say(text)
        if (trouble := writer.trouble) != self._trouble and not is_last and (trouble or writer.is_asked):
            self._say(f"MLflow has to wait: {trouble}; it gets everything later" if trouble else "MLflow answers again")
            self._trouble = trouble


def _events(num: int) -> str:
    return f"{num} event{'' if num == 1 else 's'}"


def send_leftovers(folder: StudyFolder) -> None:
    """Send what an earlier call could not send, of a study that is finished."""
    if unsent_events(folder):
        with tracker(folder, DRAIN_S):
            pass
