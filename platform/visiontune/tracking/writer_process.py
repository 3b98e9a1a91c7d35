"""The driver's handle on the writer, a process of its own (writer.py): starts, restarts, drains and stops it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from visiontune.filesystem.study_folder import StudiesFolder, StudyFolder
from visiontune.tracking.mlflow_uri import QUIET_ENV, tracking_uri
from visiontune.tracking.outbox import Sent, load_sent, num_unsent
from visiontune.tracking.scheduling import set_policy

RESTART_S = 10.0
IDLE_PRIORITY_S = 60.0
"""So long the writer runs only on cores that trials leave idle: its imports would take a tenth of a one-minute search."""
_MAX_LOG_BYTES = 1 << 20
_HTTP_ENV = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}  # waiting is done by the writer


class WriterProcess:
    """None of its methods but drain and stop ever waits."""

    def __init__(self, folder: StudyFolder, uri: str) -> None:
        self._folder, self._uri = folder, uri
        self._started_s = 0.0
        self._has_normal_priority = False
        self._process = self._start()

    def tend(self) -> None:
        """Start it again if it died, at most every RESTART_S; after IDLE_PRIORITY_S let it have a share of busy cores."""
        if time.monotonic() - self._started_s > IDLE_PRIORITY_S:
            self._give_share()
        if self._process.poll() is not None and time.monotonic() - self._started_s > RESTART_S:
            self._process = self._start()

    @property
    def unsent(self) -> int:
        """Events that MLflow does not have yet."""
        return num_unsent(self._folder, self._uri)

    @property
    def trouble(self) -> str:
        """What holds it up now, in one line; empty when nothing does."""
        return self._sent.trouble

    @property
    def is_asked(self) -> bool:
        """Whether it knows by now if MLflow still has what it was sent before."""
        return self._sent.is_asked

    @property
    def told(self) -> Sequence[str]:
        """What it found deleted or lost in MLflow, in sentences."""
        return self._sent.told

    @property
    def _sent(self) -> Sent:
        """As this process says, and none before it."""
        sent = load_sent(self._folder, self._uri)
        return sent if sent.writer == self._process.pid else Sent()

    def drain(self, timeout_s: float, *, wants_answer: bool = False) -> int:
        """Send now and wait until all is sent, or timeout_s; gives the number of events left. `wants_answer`: wait for `is_asked` too."""
        deadline_s = time.monotonic() + timeout_s
        self._give_share()  # nobody trains now
        self._say(b"now\n")
        while ((unsent := self.unsent) or (wants_answer and not self.is_asked)) and time.monotonic() < deadline_s:
            self.tend()
            time.sleep(0.05)
        return unsent

    def stop(self, timeout_s: float = 2.0) -> None:
        """Close its standard input: it sends what is there and ends, in the background if that takes longer than timeout_s."""
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # it died; the outbox keeps what it did not send
                self._process.stdin.close()
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return

    def _give_share(self) -> None:
        if not self._has_normal_priority:
            self._has_normal_priority = True
            set_policy(self._process.pid, "SCHED_OTHER")

    def _say(self, word: bytes) -> None:
        try:
            if self._process.stdin is not None:
                self._process.stdin.write(word)
                self._process.stdin.flush()
        except (BrokenPipeError, ValueError):
            self.tend()

    def _start(self) -> subprocess.Popen[bytes]:
        self._started_s, self._has_normal_priority = time.monotonic(), False
        root = str(Path(__file__).parents[2])
        env = {**os.environ, **QUIET_ENV, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "VISIONTUNE_WRITER_URI": self._uri}
        env["PYTHONPATH"] = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH")) if part)
        env = {**_HTTP_ENV, **{key: value for key, value in env.items() if key not in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID")}}
        command = [sys.executable, "-m", "visiontune.tracking.writer", str(self._folder.path.resolve())]
        with _open_log(self._folder.writer_log) as file:
            # A process group of its own: Ctrl-C in the terminal is for the driver, which then drains. A session of its own would be
            # an autogroup to Linux's scheduler, in which being nice to the trials means nothing.
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=file, stderr=file, env=env, process_group=0)
        set_policy(process.pid, "SCHED_IDLE")
        return process


def start_writer(folder: StudyFolder, uri: str | None = None) -> WriterProcess:
    """Start the writer of that study; returns at once. Raises UserError for a kind of URI that mlflow refuses."""
    folder.path.mkdir(parents=True, exist_ok=True)
    return WriterProcess(folder, tracking_uri(StudiesFolder(folder.path.parent), uri))


def _open_log(path: Path) -> BinaryIO:
    is_long = path.exists() and path.stat().st_size > _MAX_LOG_BYTES
    return path.open("wb" if is_long else "ab")
