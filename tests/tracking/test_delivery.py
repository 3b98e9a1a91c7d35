"""Delivery while the server is away, refuses, or has forgotten; and nothing is lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sample_events import content, end, epoch, search, study, study_end, trial

from visiontune.filesystem.same_folder import LeftBehind, SameFolder
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.tracking.delivery import Delivery, group_lines, is_transient
from visiontune.tracking.mlflow_runs import Runs
from visiontune.tracking.outbox import Line, Outbox, load_sent, num_unsent
from visiontune.tracking.writer import GIVE_UP_S, _only_at, run


def fill(folder: StudyFolder, events: list[dict[str, Any]]) -> None:
    outbox = Outbox(folder)
    for event in events:
        outbox.put(event)


class Faulty:
    """A client that fails as `fault(number of the call, method, arguments)` says."""

    def __init__(self, client: Any, fault: Any) -> None:
        self._client, self._fault, self.num_calls = client, fault, 0

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.num_calls += 1
            if error := self._fault(self.num_calls, name, args):
                raise error
            return getattr(self._client, name)(*args, **kwargs)

        return call


class Clock:
    """Time that passes only by waiting; the driver is gone after `gone_s`."""

    def __init__(self, gone_s: float) -> None:
        self.now_s, self.gone_s = 0.0, gone_s
        self.waits: list[float] = []

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        self.now_s += seconds
        return self.now_s >= self.gone_s

    def __call__(self) -> float:
        return self.now_s


def test_mlflow_is_left_alone_until_there_is_something_to_send(tmp_path: Path) -> None:
    """A search that was refused left `mlflow.db`, with the tables of nothing."""
    asked: list[str] = []

    def connect() -> Runs:
        asked.append("MLflow")
        raise ConnectionError("refused")

    delivery = Delivery(StudyFolder(tmp_path), "sqlite:///mlflow.db", connect)
    assert not delivery.step() and not asked
    delivery.leave()
    fill(StudyFolder(tmp_path), [study("begun")])
    with pytest.raises(ConnectionError):
        delivery.step()
    assert asked


@pytest.mark.heavy
def test_a_server_away_for_a_minute_costs_nothing(client: Any, uri: str, tmp_path: Path) -> None:
    fill(StudyFolder(tmp_path), search("away", num_trials=2))
    clock = Clock(gone_s=300.0)
    faulty = Faulty(client, lambda n, name, args: ConnectionError("refused") if 0.4 < clock.now_s < 60 or n in (4, 6) else None)
    run(Delivery(StudyFolder(tmp_path), uri, lambda: Runs(faulty, None)), clock.wait, clock)
    assert num_unsent(StudyFolder(tmp_path), uri) == 0
    assert set(content(client, "away")) == {"", "0", "1"}
    assert len(content(client, "away")["1"][5]["val_top1"]) == 3
    assert max(clock.waits) == 10.0
    assert not StudyFolder(tmp_path).outbox_refused.exists()


@pytest.mark.heavy
def test_a_server_that_never_answers_leaves_everything_for_the_next_time(uri: str, tmp_path: Path, client: Any) -> None:
    fill(StudyFolder(tmp_path), search("never", num_trials=1))
    clock = Clock(gone_s=100.0)

    def refuse() -> Runs:
        raise ConnectionError("connection refused by http://me:secret@host")

    run(Delivery(StudyFolder(tmp_path), uri, refuse), clock.wait, clock)
    assert 100.0 <= clock.now_s <= 100.0 + 2 * GIVE_UP_S
    sent = load_sent(StudyFolder(tmp_path), uri)
    assert (sent.offset, sent.trouble) == (0, "ConnectionError: connection refused by http://host")
    run(Delivery(StudyFolder(tmp_path), uri, lambda: Runs(client, None)), Clock(0.0).wait)
    assert num_unsent(StudyFolder(tmp_path), uri) == 0
    assert load_sent(StudyFolder(tmp_path), uri).trouble == ""
    assert set(content(client, "never")) == {"", "0"}


def test_a_study_that_is_moved_while_it_is_sent_is_not_made_again_where_it_was(tmp_path: Path) -> None:
    """The writer went on at the old place: artifacts and outbox.sent were there alone, and MLflow's runs pointed to them."""
    folder, new = StudyFolder(tmp_path / "studies" / "s"), tmp_path / "moved"
    fill(folder, search("moved", num_trials=3))

    class Server:
        """Of MLflow, as far as a delivery asks; with the second group the folder is moved."""

        is_ready, restored, num_sent = True, "", 0

        def send(self, events: list[dict[str, Any]]) -> None:
            self.num_sent += 1
            if self.num_sent == 2:
                folder.path.parent.rename(new)
                raise ConnectionError("unable to open database file")

        def forget(self) -> None:
            pass

    server = Server()
    with pytest.raises(LeftBehind, match="was moved or removed"):
        run(Delivery(folder, "sqlite:///x.db", lambda: server), lambda seconds: True)  # type: ignore[arg-type,return-value]
    assert server.num_sent == 2 and not folder.path.parent.exists() and (new / "s" / "outbox.jsonl").exists()
    place = SameFolder(new / "s")
    log = _only_at(place, lambda name: (new / name).mkdir(parents=True))
    log("one")
    new.rename(tmp_path / "again")
    with pytest.raises(LeftBehind):
        log("two")
    assert not new.exists()


def test_what_mlflow_refuses_is_set_aside_and_the_rest_arrives(client: Any, uri: str, tmp_path: Path) -> None:
    bad_key = trial(1) | {"params": {"a bad\nkey": 1}}
    bad_status = end(1, "EXPLODED")
    fill(
        StudyFolder(tmp_path), [study("refused"), trial(0), bad_key, {"event": "trial"}, epoch(1, 1), bad_status, {"event": "what"}, end(0)]
    )
    for _ in range(2):
        run(Delivery(StudyFolder(tmp_path), uri, lambda: Runs(client, None)), Clock(0.0).wait)
        (tmp_path / "outbox.sent").unlink()
    rows = [json.loads(row) for row in StudyFolder(tmp_path).outbox_refused.read_text().splitlines()]
    assert sorted(row["event"]["event"] for row in rows) == ["end", "trial", "trial", "what"]
    assert any("status must be one of FINISHED, KILLED, FAILED, but got 'EXPLODED'" in row["reason"] for row in rows)
    found = content(client, "refused")
    assert found["0"][1] == "FINISHED"
    assert found["1"][5]["val_loss"] == [(1, 1.0, epoch(1, 1)["time_ms"])]


def test_a_database_that_was_deleted_gets_everything_again(client: Any, uri: str, tmp_path: Path) -> None:
    events = search("forgotten", num_trials=1)
    fill(StudyFolder(tmp_path), [study("gone before"), *events[1:]])
    run(Delivery(StudyFolder(tmp_path), uri, lambda: Runs(Faulty(client, lambda *_: None), None)), Clock(0.0).wait)
    outbox = (tmp_path / "outbox.jsonl").read_text()
    (tmp_path / "outbox.jsonl").write_text(outbox.replace("gone before", "other name!"))  # MLflow knows no such study
    run(Delivery(StudyFolder(tmp_path), uri, lambda: Runs(client, None)), Clock(0.0).wait)
    assert set(content(client, "other name!")) == {"", "0"}


def test_nothing_is_written_for_a_study_that_is_all_sent(client: Any, uri: str, tmp_path: Path) -> None:
    fill(StudyFolder(tmp_path), search("quiet", num_trials=1))
    run(Delivery(StudyFolder(tmp_path), uri, lambda: Runs(client, None)), Clock(0.0).wait)
    writes = ("create_run", "log_batch", "log_inputs", "update_run", "set_terminated", "create_experiment")
    silent = Faulty(client, lambda n, name, args: AssertionError(name) if name in writes else None)
    run(Delivery(StudyFolder(tmp_path), uri, lambda: Runs(silent, None)), Clock(0.0).wait)
    assert load_sent(StudyFolder(tmp_path), uri).trouble == ""


def test_each_drivers_events_stay_in_order() -> None:
    events = [study("a"), trial(1), trial(0), epoch(1, 1), end(1), study_end("KILLED"), study("a"), epoch(0, 1), end(0), study_end()]
    groups = group_lines([Line(n, event) for n, event in enumerate(events)])
    assert [[line.end for line in group] for group in groups] == [[0], [1, 3, 4], [2], [5], [6], [7, 8], [9]]


@pytest.mark.parametrize(
    ("code", "transient"),
    [
        ("INTERNAL_ERROR", True),
        ("TEMPORARILY_UNAVAILABLE", True),
        ("REQUEST_LIMIT_EXCEEDED", True),
        ("UNAUTHENTICATED", True),
        ("ENDPOINT_NOT_FOUND", True),
        ("INVALID_PARAMETER_VALUE", False),
        ("RESOURCE_DOES_NOT_EXIST", False),
    ],
)
def test_only_what_can_never_be_taken_is_refused(code: str, transient: bool) -> None:
    from mlflow.exceptions import RestException

    assert is_transient(RestException({"error_code": code, "message": ""})) == transient
