"""One driver for a study in a database, which drivers with folders of their own may share: a lease that its holder renews.

A file's lock ends with its holder, a row of a database does not: so the holder counts up, and whoever finds a lease watches whether it
still does. No clock is compared with another machine's.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from visiontune.errors import UserError
from visiontune.tuning.study.study_storage import Storage
from visiontune.tuning.study.who_drives import BEAT_S, LEASE

_WATCHED = 3
"""Beats without a new count after which a holder counts as dead."""
_AWAY_S, _BACK = 2.0, 6
"""A database that takes so long to answer was away, most likely for the holder too, who may need so many beats to be heard again."""
_LOOKS = 5
"""In a beat."""
_PATIENCE = 120
"""Beats for which a holder is watched through a database that comes and goes."""
_SETTLED_S = 1.0
"""In which two that took the lease at once have both written; the last one has it."""


class Lease:
    """A held lease. `on_lost` is told who has it instead, should another driver have taken a holder that was cut off for a dead one."""

    def __init__(self, storage: Storage) -> None:
        self._storage, self._token, self._count = storage, uuid.uuid4().hex, 0
        self._since = time.strftime("%Y-%m-%d %H:%M:%S")
        self._is_over, self._turn = threading.Event(), threading.Lock()
        self.on_lost: Callable[[str], None] = lambda holder: None

    def beat(self) -> None:
        """Count up."""
        self._count += 1
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": self._since, "at_s": round(time.time(), 1)}
        self._storage.set_attribute(LEASE, {**holder, "token": self._token, "count": self._count})

    def other(self) -> Mapping[str, Any] | None:
        """Who holds it instead of this one."""
        found: Mapping[str, Any] | None = self._storage.attributes().get(LEASE)
        return None if not found or found["token"] == self._token else found

    def keep(self) -> None:
        """Renew it until `release`; a database that does not answer is asked again."""
        while not self._is_over.wait(BEAT_S):
            with suppress(Exception), self._turn:  # each database driver has exceptions of its own
                if self._is_over.is_set():
                    return
                if (other := self.other()) is not None:
                    self.on_lost(shown_holder(other))
                    return
                self.beat()

    def release(self) -> None:
        """Give it back, if it is still this driver's; a database that is away is not waited for, as who asks next finds nobody there."""
        self._is_over.set()
        self._storage.hurry()
        is_mine = self._turn.acquire(timeout=BEAT_S)  # or a beat that is under way would take it again
        with suppress(Exception):
            if self.other() is None:
                self._storage.set_attribute(LEASE, None)
        if is_mine:
            self._turn.release()


@contextmanager
def driver_lease(storage: Storage, url: str, study: str) -> Iterator[Lease]:
    """Hold the lease of a study in a database; of a journal nothing, as its folder has a lock.

    A lease that is found is watched (`refuse_driven`). Raises UserError that names the holder where it is renewed meanwhile.
    """
    lease = Lease(storage)
    if url == "journal":
        yield lease
        return
    refuse_driven(storage, url, study)
    try:
        lease.beat()
        time.sleep(_SETTLED_S)
        if (other := lease.other()) is not None:
            raise UserError(_refusal(study, other))
        threading.Thread(target=lease.keep, daemon=True).start()
        yield lease
    finally:
        lease.release()


def refuse_driven(storage: Storage, url: str, study: str) -> None:
    """Raise UserError that names who holds a study in a database, where it renews its lease within three beats; a dead one's is removed.

    A holder can't be heard while the database is away: then it is watched anew, twice as long. Raises UserError where it stays unheard so.
    """
    found = storage.attributes().get(LEASE) if url != "journal" else None
    if found is None:
        return
    now = _watched(storage, found, study)
    if now == found:
        storage.set_attribute(LEASE, None)
    elif now is not None:
        raise UserError(_refusal(study, now))


def _watched(storage: Storage, found: Mapping[str, Any], study: str) -> Mapping[str, Any] | None:
    """The lease once it is another than `found`, or still that."""
    begun_s = since_s = time.monotonic()
    wanted = _WATCHED
    while time.monotonic() - begun_s < _PATIENCE * BEAT_S:
        time.sleep(BEAT_S / _LOOKS)
        asked_s = time.monotonic()
        now: Mapping[str, Any] | None = storage.attributes().get(LEASE)
        answered_s = time.monotonic()
        if now != found:
            return now
        if answered_s - asked_s >= _AWAY_S:
            since_s, wanted = answered_s, _BACK
        elif answered_s - since_s >= wanted * BEAT_S:
            return now
    raise UserError(f"the database of study {study} comes and goes, so that nobody can tell whether {shown_holder(found)} lives")


def shown_holder(holder: Mapping[str, Any]) -> str:
    """For people."""
    return f"process {holder['pid']} on {holder['host']}, since {holder['since']}"


def _refusal(study: str, holder: Mapping[str, Any]) -> str:
    return f"study {study} is already driven by {shown_holder(holder)}; wait for it or stop it first"
