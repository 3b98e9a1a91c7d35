"""The writer: one low-priority process for a study that sends its outbox to MLflow.

    python -m visiontune.tracking.writer FOLDER     (started by a search; the URI comes in VISIONTUNE_WRITER_URI)

It holds a lock, so there is one for a study. Its standard input is a pipe from the driver: a line says "send now", the end (also by
the driver's kill -9) says "send what is there, then go". With the server away and the driver gone it gives up after GIVE_UP_S; the
next writer goes on from outbox.sent.
"""

from __future__ import annotations

import logging
import os
import select
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visiontune.filesystem.file_lock import locked
from visiontune.filesystem.same_folder import LeftBehind, SameFolder
from visiontune.filesystem.study_folder import StudiesFolder, StudyFolder
from visiontune.tracking.mlflow_uri import artifact_root
from visiontune.tracking.moved_artifacts import follow_artifacts
from visiontune.tracking.outbox import load_sent, num_unsent
from visiontune.tracking.sqlite_file import identity, move_half_made, settle, state
from visiontune.tuning.study.event_log import EventLog

if TYPE_CHECKING:
    from visiontune.tracking.delivery import Delivery
    from visiontune.tracking.mlflow_runs import Runs

POLL_S = 1.0  # one batch a second: what a trial reports in between travels together
BACKOFF_S = (0.5, 10.0)  # first and longest wait
GIVE_UP_S = 10.0
NICE = 15  # trials first: on busy cores its imports may take half a minute, for which nothing waits


def run(
    delivery: Delivery,
    wait: Callable[[float], bool],
    clock: Callable[[], float] = time.monotonic,
    is_lost: Callable[[], bool] = lambda: False,
) -> None:
    """Send until the driver is gone and nothing is left. `wait(seconds)` gives True once the driver is gone.

    Where what it writes to `is_lost`, it ends: the next writer sends everything again. Raises LeftBehind.
    """
    from tenacity import RetryError, Retrying, retry_if_not_exception_type, wait_exponential

    is_gone, last_good_s = False, clock()
    longer_each_time = wait_exponential(BACKOFF_S[0], max=BACKOFF_S[1])

    def sleep(seconds: float) -> None:
        nonlocal is_gone
        is_gone = wait(seconds) or is_gone

    send = Retrying(  # every other kind of error is tried again, and noted by the delivery
        retry=retry_if_not_exception_type(LeftBehind),
        sleep=sleep,
        wait=lambda state: min(longer_each_time(state), GIVE_UP_S / 4 if is_gone else BACKOFF_S[1]),
        stop=lambda state: is_gone and clock() - last_good_s > GIVE_UP_S,
    )
    while True:
        try:
            did_send = send(delivery.step)
        except RetryError:
            return
        last_good_s = clock()
        if is_lost():
            return
        if not did_send:
            if is_gone:
                delivery.leave()
                return
            sleep(POLL_S)


def _wait_on_stdin(seconds: float) -> bool:
    """Sleep, or less when the driver writes a line or is gone; True once it is gone."""
    if _is_closed():
        time.sleep(seconds)
        return True
    if select.select([0], [], [], seconds)[0]:
        return not os.read(0, 4096)
    return False


def _watch(uri: str) -> Callable[[], bool]:
    """Whether the database's file was removed or replaced since it was first seen: what is written to it then is lost without a word."""
    first: tuple[int, int] | None = None

    def is_lost() -> bool:
        nonlocal first
        first = first or identity(uri)
        return first is not None and identity(uri) != first

    return is_lost


def _is_closed() -> bool:
    poll = select.poll()
    poll.register(0, select.POLLIN)
    return any(event & select.POLLHUP and not event & select.POLLIN for _, event in poll.poll(0))


def _connect(uri: str, folder: StudyFolder, studies: StudiesFolder, place: SameFolder | None = None) -> Runs:
    """Import mlflow, open its store (a fresh SQLite file gets its tables here, under a lock) and give a `Runs` on it."""
    from mlflow.tracking import MlflowClient
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    from visiontune.tracking.mlflow_runs import Runs
    from visiontune.tracking.registry import register
    from visiontune.tracking.winner_model import log_artifact, log_winner

    if uri.startswith("sqlite") and not event.contains(Engine, "connect", _tune_sqlite):  # after an error it is called again
        event.listen(Engine, "connect", _tune_sqlite)
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    with locked(studies.mlflow_lock):  # two first migrations of one file break each other
        if moved := move_half_made(uri):
            EventLog(folder.events).write("mlflow", None, moved)
        follow_artifacts(studies)
        client = MlflowClient(uri)
        client.search_experiments(max_results=1)
    place = place or SameFolder(folder.path)
    models = _only_at(place, partial(log_winner, client, uri, folder.path))
    files = _only_at(place, partial(log_artifact, client, folder.path))
    return Runs(client, artifact_root(studies, uri), models, files, partial(register, client, uri, folder))


def _only_at(place: SameFolder, log: Callable[..., Any]) -> Callable[..., Any]:
    """Artifacts are files by absolute paths, whose folders MLflow would make again."""

    def log_there(*arguments: Any) -> Any:
        place.refuse_moved()
        return log(*arguments)

    return log_there


def _tune_sqlite(connection: Any, _: Any) -> None:
    """A write-ahead log: half the time for each write, and MLflow's UI reads while the search writes."""
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")


def main(path: str) -> None:
    """The process: lock, connect, send."""
    folder = StudyFolder(Path(path))
    studies, uri = StudiesFolder(folder.path.parent), os.environ["VISIONTUNE_WRITER_URI"]
    if not folder.path.is_dir():
        return  # of a search that was refused; a lock's file would make it again
    os.nice(NICE)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    with locked(folder.writer_lock):
        if _is_closed() and not num_unsent(folder, uri):
            return  # it waited for another writer, which did it all
        from visiontune.tracking.delivery import Delivery

        place = SameFolder(folder.path)
        try:
            run(Delivery(folder, uri, lambda: _connect(uri, folder, studies, place), place), _wait_on_stdin, is_lost=_watch(uri))
        except LeftBehind as error:
            logging.getLogger("visiontune.tracking").warning("%s; the next search at its new place sends everything again", error)
            return
        settle(uri)
        sent = load_sent(folder, uri)
        if sent.offset and not num_unsent(folder, uri):  # or the folder of a search that was refused would be made again
            replace(sent, settled=state(uri)).save(folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
