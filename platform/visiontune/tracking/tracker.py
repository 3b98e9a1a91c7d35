"""MLflow for as long as a search runs: events go into the outbox, the writer sends them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from visiontune.filesystem.study_folder import StudiesFolder, StudyFolder
from visiontune.tracking.mlflow_uri import tracking_uri
from visiontune.tracking.outbox import Outbox, num_unsent
from visiontune.tracking.writer_process import start_writer

DRAIN_S, HURRY_S = 15.0, 2.0
"""How long a finished and an interrupted search wait for MLflow; the writer sends on by itself, the outbox keeps the rest."""


@contextmanager
def tracker(
    folder: StudyFolder, drain_s: float = HURRY_S, say: Callable[[str], None] = lambda text: None
) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """A function that takes the study's events while the block runs. Raises UserError for an MLFLOW_TRACKING_URI that mlflow refuses.

    At the end it waits up to `drain_s` for the writer, or by the last event: DRAIN_S after "study_end", else HURRY_S; and tells `say` so.
    """
    writer, outbox = start_writer(folder), Outbox(folder)

    def put(event: Mapping[str, Any]) -> None:
        nonlocal drain_s
        drain_s = DRAIN_S if event["event"] == "study_end" else HURRY_S
        outbox.put(event)
        writer.tend()

    try:
        yield put
    finally:
        outbox.close()
        if left := unsent_events(folder):
            say(f"MLflow is sent the last {_events(left)}, for {drain_s:g} s at most")
        unsent = writer.drain(drain_s)
        writer.stop()
        if unsent:
            trouble = writer.trouble or "they are being sent"
            with suppress(OSError):  # a reader that left is no reason to hide how the block ended
                print(f"MLflow does not have {_events(unsent)} yet ({trouble}); the same command sends them", file=sys.stderr)


def _events(num: int) -> str:
    return f"{num} event{'' if num == 1 else 's'}"


def unsent_events(folder: StudyFolder) -> int:
    """How many MLflow does not have yet."""
    return num_unsent(folder, tracking_uri(StudiesFolder(folder.path.parent)))


def send_leftovers(folder: StudyFolder) -> None:
    """Send what an earlier call could not send, of a study that is finished."""
    if unsent_events(folder):
        with tracker(folder, DRAIN_S):
            pass
