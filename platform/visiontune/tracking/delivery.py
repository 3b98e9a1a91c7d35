"""From the outbox to MLflow: batches by run; what it may take later is raised for a retry, what it refuses for good is set aside."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from mlflow.exceptions import MlflowException

from visiontune.filesystem.study_folder import StudyFolder
from visiontune.filesystem.uri import shown
from visiontune.tracking.event_content import child_name
from visiontune.tracking.mlflow_runs import Runs
from visiontune.tracking.outbox import Line, Refusals, Sent, last_study, load_sent, read_lines

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
        is_child = kind in ("trial", "epoch", "end", "confirmation")
        key = (1, child_name(line.event)) if is_child else (0 if kind == "study" else 2, kind)
        current.setdefault(key, []).append(line)
    return groups + _in_order(current)


def _in_order(groups: dict[tuple[int, object], list[Line]]) -> list[list[Line]]:
    return [groups[key] for key in sorted(groups, key=lambda key: key[0])]


class Delivery:
    """The outbox of one study on its way to one server. `connect` makes the client and may fail while the server is away."""

    def __init__(self, folder: StudyFolder, uri: str, connect: Callable[[], Runs]) -> None:
        self._folder, self._connect = folder, connect
        self._sent = load_sent(folder, uri)
        self._refusals = Refusals(folder, self._sent.server)
        self._runs: Runs | None = None

    def step(self) -> bool:
        """Send the next lines of the outbox, up to 1 MiB; False when there were none. Raises what should be tried again later."""
        try:
            runs = self._runs = self._runs or self._open()
            lines, end = read_lines(self._folder, self._sent.offset)
            for group in group_lines(lines):
                self._send(runs, group)
        except Exception as error:
            self._note(error)
            raise
        if end == self._sent.offset and not self._sent.trouble:
            return False
        self._save(replace(self._sent, offset=end, trouble="", num_refused=len(self._refusals)))
        return bool(lines)

    def _open(self) -> Runs:
        runs = self._connect()
        study = last_study(self._folder, self._sent.offset)
        if self._sent.offset and not (study and runs.adopt(study.event)):
            log.info("MLflow does not have this study (any more): everything is sent again")
            self._save(replace(self._sent, offset=0))
        return runs

    def _send(self, runs: Runs, group: Sequence[Line]) -> None:
        try:
            runs.send([line.event for line in group])
        except Exception as error:
            is_wrong = isinstance(error, KeyError | TypeError | AttributeError)  # no server's answer: the event lacks what it should have
            has_no_study_run = group[0].event["event"] == "study" and not runs.is_ready and not is_wrong
            if is_transient(error) or has_no_study_run:
                runs.forget()
                raise
            if len(group) > 1:
                for line in group:
                    self._send(runs, [line])
            elif self._refusals.add(group[0], reason := _reason(error)):
                log.warning("set aside an event that MLflow refuses: %s", reason)

    def _note(self, error: Exception) -> None:
        if (trouble := _reason(error)) != self._sent.trouble:
            log.warning("waiting for MLflow: %s", trouble)
            self._save(replace(self._sent, trouble=trouble))

    def _save(self, sent: Sent) -> None:
        self._sent = sent
        sent.save(self._folder)


def _reason(error: Exception) -> str:
    text = shown(f"{type(error).__name__}: {error}")
    away = re.search(r"API request to (https?://[^/\s]+)\S* failed with (timeout )?exception", text)
    return f"no answer from {away[1]}" if away else text[:1_000]
