"""A lease that is given back while its keeper is at it."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from visiontune.tuning.study import driver_lease
from visiontune.tuning.study.driver_lease import LEASE, Lease


class Database:
    """Attributes, of which the keeper's first question is answered only when `release` is under way."""

    def __init__(self) -> None:
        self.attributes_: dict[str, Any] = {}
        self.asked, self.is_released = threading.Event(), threading.Event()

    def attributes(self) -> dict[str, Any]:
        if threading.current_thread() is not threading.main_thread():
            self.asked.set()
            self.is_released.wait()
        return dict(self.attributes_)

    def set_attribute(self, name: str, value: Any) -> None:
        self.attributes_[name] = value

    def hurry(self) -> None:
        self.is_released.set()


def test_a_beat_that_is_under_way_does_not_take_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next driver would watch it for fifteen seconds as another's."""
    monkeypatch.setattr(driver_lease, "BEAT_S", 0.01)
    database = Database()
    lease = Lease(database)  # type: ignore[arg-type]
    lease.beat()
    keeper = threading.Thread(target=lease.keep)
    keeper.start()
    database.asked.wait()
    monkeypatch.setattr(driver_lease, "BEAT_S", 10.0)
    lease.release()
    keeper.join()
    assert database.attributes_ == {LEASE: None}
