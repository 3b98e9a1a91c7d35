"""From the outbox to MLflow: batches by run; what it may take later is raised for a retry, what it refuses for good is set aside."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from mlflow.exceptions import MlflowException

from visiontune.errors import plural
from visiontune.filesystem.same_folder import LeftBehind, SameFolder
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.filesystem.uri import shown
from visiontune.tracking.mlflow_runs import Runs
from visiontune.tracking.outbox import Event, Line, Refusals, Sent, child_name, load_sent, read_lines
from visiontune.tracking.told import CHILD_EVENTS, Told
from visiontune.tuning.study.event_log import EventLog
from visiontune.tuning.study.who_drives import holder_of

log = logging.getLogger("visiontune.tracking")

_RETRIED = (401, 403, 408, 429, 499)  # a token that ran out or a busy server is not the event's fault


def is_transient(error: Exception) -> bool:
    """Whether the same event may be taken later: the server is out of reach, busy, broken or not MLflow at all."""
    if isinstance(error, MlflowException):
        status = error.get_http_status_code()
        return status >= 500 or status in _RETRIED or error.error_code == "ENDPOINT_NOT_FOUND"
    return isinstance(error, OSError | MemoryError) and not isinstance(error, FileNotFoundError)


def group_lines(lines: Sequence[Line]) -> list[list[Line]]:
    """Batches of one run each, in the order of each run's events: the study, its trials, what ends it; then what a next driver sent."""
    groups: list[list[Line]] = []
    current: dict[tuple[int, object], list[Line]] = {}
    for line in lines:
        kind = line.event["event"]
        if kind == "study":  # a driver's start: what an earlier driver ended comes before it
            groups += _in_order(current)
            current = {}
        is_child = kind in CHILD_EVENTS
        key = (1, child_name(line.event)) if is_child else (0 if kind == "study" else 2, kind)
        current.setdefault(key, []).append(line)
    return groups + _in_order(current)


def _in_order(groups: dict[tuple[int, object], list[Line]]) -> list[list[Line]]:
    return [groups[key] for key in sorted(groups, key=lambda key: key[0])]


class Gone(OSError):
    """What was sent is no longer in MLflow: everything is sent again."""


class Delivery:
    """The outbox of one study on its way to one server. `connect` makes the client and may fail while the server is away.

    MLflow is asked once, at the beginning, for what it was sent before, and again where it refuses something: what was deleted there
    is restored, what is gone is sent again; both are told in the study's log of events.
    """

    def __init__(self, folder: StudyFolder, uri: str, connect: Callable[[], Runs], place: SameFolder | None = None) -> None:
        self._folder, self._uri, self._connect = folder, uri, connect
        self._sent = replace(load_sent(folder, uri), told=(), trouble="", writer=os.getpid(), is_asked=False)
        self._refusals = Refusals(folder, self._sent.server)
        self._events = EventLog(folder.events)
        self._place = place or SameFolder(folder.path)
        self._runs: Runs | None = None
        self._restored = ""

    def step(self) -> bool:
        """Send the next lines of the outbox, up to 1 MiB; False when there were none. Before the first one MLflow is left alone: a search
        that is refused leaves no database.

        Raises what should be tried again later, and LeftBehind where the study is no longer there.
        """
        if self._runs is None and not self._sent.offset and not read_lines(self._folder, 0)[0]:
            return False
        try:
            runs = self._runs = self._runs or self._open()
            lines, end = read_lines(self._folder, self._sent.offset)
            for group in group_lines(lines):
                self._place.refuse_moved()
                self._send(runs, group)
            self._tell_restored(runs)
        except LeftBehind:
            raise
        except Exception as error:
            self._note(error)
            raise
        if end == self._sent.offset and not self._sent.trouble:
            return False
        self._save(replace(self._sent, offset=end, trouble="", num_refused=len(self._refusals)))
        return bool(lines)

    def leave(self) -> None:
        """What says RUNNING is KILLED, where no driver is left that might go on: it died. Nothing for a study that has ended."""
        if self._runs is not None and self._runs.is_ready and holder_of(self._folder) is None:
            with suppress(Exception):  # the next driver's start says it again
                self._runs.stop("its driver has died; the same command goes on", time.time_ns() // 1_000_000)

    def _open(self) -> Runs:
        runs = self._connect()
        if self._sent.offset:
            told = Told.read(self._folder, self._sent.offset, self._refusals.ends)
            if told.study is None or not runs.adopt(told.study):
                self._send_again("the study")
            elif num := runs.num_lacking(told.children):
                self._send_again(f"{num} of {plural(len(told.children), 'run')}")
            self._tell_restored(runs)
        self._save(replace(self._sent, is_asked=True))
        return runs

    def _send(self, runs: Runs, group: Sequence[Line]) -> None:
        events = [line.event for line in group]
        try:
            runs.send(events)
        except Exception as error:
            is_wrong = isinstance(error, KeyError | TypeError | AttributeError)  # no server's answer: the event lacks what it should have
            has_no_study_run = group[0].event["event"] == "study" and not runs.is_ready and not is_wrong
            if is_transient(error) or has_no_study_run:
                runs.forget()
                raise
            if self._is_revived(runs, events):
                self._send(runs, group)
            elif len(group) > 1:
                for line in group:
                    self._send(runs, [line])
            elif self._refusals.add(group[0], reason := self._reason(error)):
                log.warning("set aside an event that MLflow refuses: %s", reason)

    def _is_revived(self, runs: Runs, events: Sequence[Event]) -> bool:
        try:
            return runs.revive(events)
        except KeyError:
            self._send_again("runs")
            self._runs = None
            raise Gone("what was sent is no longer there") from None

    def _send_again(self, what: str) -> None:
        self._tell(f"MLflow has lost {what} of what it was sent: it is sent again")
        self._save(replace(self._sent, offset=0))

    def _tell_restored(self, runs: Runs) -> None:
        if runs.restored not in ("", self._restored):
            self._restored = runs.restored
            self._tell(f"MLflow has {self._restored} again")

    def _tell(self, text: str) -> None:
        log.info(text)
        self._events.write("mlflow", None, text)
        self._save(replace(self._sent, told=(*self._sent.told, text)))

    def _note(self, error: Exception) -> None:
        if (trouble := self._reason(error)) != self._sent.trouble:
            log.warning("MLflow has to wait: %s", trouble)
            self._save(replace(self._sent, trouble=trouble))

    def _save(self, sent: Sent) -> None:
        self._place.refuse_moved()
        self._sent = sent
        sent.save(self._folder)

    def _reason(self, error: Exception) -> str:
        """Without the credentials that a URI or a library's sentence may hold."""
        if code := _refused_as(error):
            wanted = "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
            return f"{shown(self._uri)} refuses the credentials ({code}): set {wanted}, or have them allowed to write"
        text = shown(f"{type(error).__name__}: {error}")
        away = re.search(r"API request to (https?://[^/\s]+)\S* failed with (timeout )?exception", text)
        return f"no answer from {away[1]}" if away else text[:1_000]


def _refused_as(error: Exception) -> int:
    """401 or 403 where that is the answer; 0 for any other error. A JSON answer that is not MLflow's own has its status in words alone."""
    if not isinstance(error, MlflowException):
        return 0
    status = int(error.get_http_status_code())
    if status == 500 and (words := re.search(r"unauthori[sz]ed|not authenticated|forbidden", str(error), re.IGNORECASE)):
        status = 403 if words[0].lower() == "forbidden" else 401
    return status if status in (401, 403) else 0
