"""The writer: one low-priority process for a study that sends its outbox to MLflow.

    python -m visiontune.tracking.writer FOLDER STUDIES_DIR     (started by a search; the URI comes in VISIONTUNE_WRITER_URI)

It holds a lock on the outbox, so there is one for a study. Its standard input is a pipe from the driver: a line says
"send now", the end (also by the driver's kill -9) says "send what is there, then go". With the server away and the
driver gone it gives up after GIVE_UP_S; the next writer goes on from outbox.sent.
"""

from __future__ import annotations

import fcntl
import logging
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visiontune.tracking.mlflow_uri import QUIET_ENV, artifact_root, tracking_uri
from visiontune.tracking.outbox import EVENTS, load_sent, num_unsent

if TYPE_CHECKING:
    from visiontune.tracking.delivery import Delivery
    from visiontune.tracking.mlflow_runs import Runs

POLL_S = 1.0  # one batch a second: what a trial reports in between travels together
BACKOFF_S = (0.5, 10.0)  # first and longest wait
GIVE_UP_S = 10.0
RESTART_S = 10.0
SHY_S = 60.0  # so long it only takes what trials leave: its imports are worth a tenth of a one-minute search
_MAX_LOG_BYTES = 1 << 20
_NICE = 15  # trials first: beside busy cores its imports may take half a minute, which nobody waits for
_HTTP_ENV = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}  # waiting is done here


class WriterProcess:
    """The driver's handle on the writer. None of its methods but drain and stop ever waits."""

    def __init__(self, folder: Path, uri: str, studies_dir: Path) -> None:
        self._folder, self._uri, self._studies_dir = folder, uri, studies_dir
        self._started_s = 0.0
        self._is_bold = False
        self._process = self._start()

    def tend(self) -> None:
        """Start it again if it died, at most every RESTART_S; after SHY_S let it have a share of busy cores."""
        if time.monotonic() - self._started_s > SHY_S and not self._is_bold:
            self._is_bold = True
            _schedule(self._process.pid, "SCHED_OTHER")
        if self._process.poll() is not None and time.monotonic() - self._started_s > RESTART_S:
            self._process = self._start()

    @property
    def unsent(self) -> int:
        """Events that MLflow does not have yet."""
        return num_unsent(self._folder, self._uri)

    @property
    def trouble(self) -> str:
        """What holds it up now, in one line; empty when nothing does."""
        return load_sent(self._folder, self._uri).trouble

    @property
    def num_refused(self) -> int:
        """Events that MLflow refused for good; they stand in outbox.refused.jsonl with the reason."""
        return load_sent(self._folder, self._uri).num_refused

    def drain(self, timeout_s: float) -> int:
        """Send now and wait until all is sent, or timeout_s; gives the number of events left."""
        deadline_s = time.monotonic() + timeout_s
        self._say(b"now\n")
        while (unsent := self.unsent) and time.monotonic() < deadline_s:
            self.tend()
            time.sleep(0.05)
        return unsent

    def stop(self, timeout_s: float = 2.0) -> None:
        """Let it finish: it sends what is there and goes, in the background if that takes longer than timeout_s."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return

    def _say(self, word: bytes) -> None:
        try:
            if self._process.stdin is not None:
                self._process.stdin.write(word)
                self._process.stdin.flush()
        except (BrokenPipeError, ValueError):
            self.tend()

    def _start(self) -> subprocess.Popen[bytes]:
        self._started_s, self._is_bold = time.monotonic(), False
        root = str(Path(__file__).parents[2])
        env = {**os.environ, **QUIET_ENV, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "VISIONTUNE_WRITER_URI": self._uri}
        env["PYTHONPATH"] = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH")) if part)
        env = {**_HTTP_ENV, **{key: value for key, value in env.items() if key not in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID")}}
        command = [sys.executable, "-m", "visiontune.tracking.writer", str(self._folder.resolve()), str(self._studies_dir.resolve())]
        with _open_log(self._folder) as file:
            # A process group of its own: Ctrl-C in the terminal is for the driver, which then drains. A session of its own would be
            # an autogroup to Linux's scheduler, in which being nice to the trials means nothing.
            return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=file, stderr=file, env=env, process_group=0)


def start_writer(folder: Path, uri: str | None, studies_dir: Path) -> WriterProcess:
    """Start the writer of the study in `folder`; returns at once. UserError for a URI that mlflow does not take."""
    folder.mkdir(parents=True, exist_ok=True)
    return WriterProcess(folder, tracking_uri(studies_dir, uri), studies_dir)


def _schedule(pid: int, policy: str) -> None:
    """Linux alone has such policies; elsewhere niceness has to do. Without the right to leave SCHED_IDLE it stays there."""
    if hasattr(os, policy):
        with suppress(OSError):
            os.sched_setscheduler(pid, getattr(os, policy), os.sched_param(0))


def _open_log(folder: Path):  # type: ignore[no-untyped-def]
    path = folder / "writer.log"
    is_long = path.exists() and path.stat().st_size > _MAX_LOG_BYTES
    return path.open("wb" if is_long else "ab")


def run(delivery: Delivery, wait: Callable[[float], bool], clock: Callable[[], float] = time.monotonic) -> None:
    """Send until the driver is gone and nothing is left. `wait(seconds)` gives True once the driver is gone."""
    is_gone, pause_s, last_good_s = False, BACKOFF_S[0], clock()
    while True:
        try:
            did_send = delivery.step()
        except Exception:  # noted by the delivery; every kind is tried again
            if is_gone and clock() - last_good_s > GIVE_UP_S:
                return
            is_gone = wait(pause_s) or is_gone
            pause_s = min(2 * pause_s, BACKOFF_S[1] if not is_gone else GIVE_UP_S / 4)
            continue
        pause_s, last_good_s = BACKOFF_S[0], clock()
        if not did_send:
            if is_gone:
                return
            is_gone = wait(POLL_S)


def _wait_on_stdin(seconds: float) -> bool:
    """Sleep, or wake up early when the driver says so or is gone."""
    if _is_closed():
        time.sleep(seconds)
        return True
    if select.select([0], [], [], seconds)[0]:
        return not os.read(0, 4096)
    return False


def _is_closed() -> bool:
    poll = select.poll()
    poll.register(0, select.POLLIN)
    return any(event & select.POLLHUP and not event & select.POLLIN for _, event in poll.poll(0))


def _connect(uri: str, folder: Path, studies_dir: Path) -> Runs:
    """Import mlflow, open the store (a fresh SQLite file gets its tables here, under a lock) and give the runs on it."""
    from mlflow.tracking import MlflowClient
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    from visiontune.tracking.mlflow_runs import Runs
    from visiontune.tracking.winner_model import log_sheet, log_winner

    if uri.startswith("sqlite"):
        event.listen(Engine, "connect", _tune_sqlite)
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    with _locked(studies_dir / "mlflow.lock"):  # two first migrations of one file break each other
        client = MlflowClient(uri)
        client.search_experiments(max_results=1)
    return Runs(client, artifact_root(studies_dir, uri), partial(log_winner, client, uri, folder), partial(log_sheet, client, folder))


def _tune_sqlite(connection: Any, _: Any) -> None:
    """A write-ahead log: half the time for each write, and MLflow's UI reads while the search writes."""
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def main(arguments: list[str]) -> None:
    """The process: lock, connect, send."""
    folder, studies_dir = (Path(argument) for argument in arguments)
    uri = os.environ["VISIONTUNE_WRITER_URI"]
    os.nice(_NICE)
    _schedule(0, "SCHED_IDLE")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    with _locked(folder / EVENTS):
        if _is_closed() and not num_unsent(folder, uri):
            return  # it waited for another writer, which did it all
        from visiontune.tracking.delivery import Delivery

        run(Delivery(folder, uri, lambda: _connect(uri, folder, studies_dir)), _wait_on_stdin)


if __name__ == "__main__":
    main(sys.argv[1:])
