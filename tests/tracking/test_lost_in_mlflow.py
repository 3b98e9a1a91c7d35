"""What is lost or deleted on the way to MLflow is there afterwards, once: the study has it, or the outbox."""

from __future__ import annotations

import errno
import math
import sqlite3
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from sample_events import content, end, epoch, search, study, study_end, trial
from simulated_search import drive, make_spec

from visiontune.filesystem.study_folder import StudiesFolder, StudyFolder
from visiontune.tracking import tracker as tracking
from visiontune.tracking.delivery import Delivery
from visiontune.tracking.mlflow_runs import Runs
from visiontune.tracking.outbox import Outbox, is_settled, load_sent, num_unsent
from visiontune.tracking.sqlite_file import move_half_made, settle, state
from visiontune.tracking.told import Told
from visiontune.tracking.writer import _connect, run
from visiontune.tuning.search.study_again import say_again
from visiontune.tuning.study.event_log import read_events


def fill(folder: StudyFolder, events: list[dict[str, Any]]) -> None:
    outbox = Outbox(folder)
    for event in events:
        outbox.put(event)
    outbox.close()


def deliver(folder: StudyFolder, uri: str, client: Any) -> None:
    run(Delivery(folder, uri, lambda: Runs(client, None)), lambda seconds: True)


class NoWriter:
    """In place of the writer's process."""

    told, trouble, is_asked = (), "", True

    def tend(self) -> None:
        pass

    def drain(self, timeout_s: float, *, wants_answer: bool = False) -> int:
        return 0

    def stop(self) -> None:
        pass


def test_what_a_full_disk_did_not_take_of_the_study_is_taken_when_it_is_said_again(
    studies_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    folder, event = StudyFolder(studies_dir / "full"), {**study("full"), "again": True}
    monkeypatch.setattr(tracking, "start_writer", lambda folder: NoWriter())
    with tracking.tracker(folder) as put:
        with monkeypatch.context() as disk, pytest.raises(OSError, match="No space left"):
            disk.setattr(Outbox, "put", full)
            put(event)
        put(event)
    assert num_unsent(folder, "") == 1


@pytest.mark.heavy
@pytest.mark.parametrize("kept", [0.0, 0.4])
def test_what_a_crash_of_the_machine_took_of_the_outbox_comes_back_out_of_the_study(
    client: Any, uri: str, studies_dir: Path, monkeypatch: pytest.MonkeyPatch, kept: float
) -> None:
    name = f"crash{kept}"
    folder = StudyFolder(studies_dir / name)
    spec = make_spec(folder.path, num_trials=6, sampler="random", num_seeds=1)
    _, storage, events = drive(spec, folder.path)
    fill(folder, [study(name), *events])
    whole = folder.outbox.read_bytes()
    with folder.outbox.open("r+b") as file:
        file.truncate(int(kept * len(whole)))
    monkeypatch.setattr(tracking, "start_writer", lambda folder: NoWriter())
    for _ in range(2):  # the second time nothing is left to say
        with tracking.tracker(folder) as put:
            put({**study(name), "again": True})
            say_again(storage, spec, put)
        size = folder.outbox.stat().st_size
    deliver(folder, uri, client)
    with tracking.tracker(folder) as put:
        say_again(storage, spec, put)
    assert folder.outbox.stat().st_size == size

    found = content(client, name)
    ended = {"COMPLETE": "FINISHED", "PRUNED": "FINISHED", "FAIL": "FAILED"}
    for one in storage.trials():
        _, status, _, _, params, curves, tags, _ = found[str(one.number)]
        assert [(step, value) for step, value, _ in curves.get("objective", ())] == sorted(one.intermediate_values.items())
        assert params.keys() == one.params.keys() and tags["recipe.fingerprint"] == one.user_attrs["fingerprint"]
        assert status == ended.get(one.state.name, status) != "RUNNING"
        assert not one.state.is_finished() or tags["visiontune.reason"] == one.user_attrs["end"]["reason"]
    confirmed = {key: one for key, one in storage.attributes().items() if key.startswith("confirmation.")}
    assert confirmed and len(found) == 1 + len(storage.trials()) + len(confirmed)
    for key, one in confirmed.items():
        figures = {name: points[-1][1] for name, points in found[key][5].items()}
        assert figures["val_top1"] == one["val_value"]
        assert figures.get("test_top1") == (None if math.isnan(one["test_top1"]) else one["test_top1"])


def _delete(client: Any, name: str, what: str) -> None:
    experiment = client.get_experiment_by_name(name).experiment_id
    ids = {run.data.tags.get("visiontune.number", ""): run.info.run_id for run in client.search_runs([experiment])}
    store = client._tracking_client.store
    if "child" in what:
        client.delete_run(ids["0"])
    if "study" in what:
        client.delete_run(ids[""])
    if "experiment" in what:
        client.delete_experiment(experiment)
    if what == "purged child":
        store._hard_delete_run(ids["0"])
    if what == "purged experiment":
        for one in ids.values():
            store._hard_delete_run(one)
        store._hard_delete_experiment(experiment)


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("child", "MLflow has 1 deleted run again"),
        ("study and child", "MLflow has 2 deleted runs again"),
        ("experiment", "MLflow has the deleted experiment again"),
        ("purged child", "MLflow has lost"),
        ("purged experiment", "MLflow has lost"),
    ],
)
def test_what_is_deleted_in_mlflow_is_restored_and_what_is_purged_sent_again(
    client: Any, uri: str, tmp_path: Path, what: str, said: str
) -> None:
    name, folder = f"deleted {what}", StudyFolder(tmp_path)
    first = [study(name), trial(0), epoch(0, 1), trial(1), epoch(1, 1)]
    fill(folder, first)
    delivery = Delivery(folder, uri, lambda: Runs(client, None))
    delivery.step()
    _delete(client, name, what)  # while the search goes on
    fill(folder, [epoch(0, 2), end(1)])
    for _ in range(20):
        try:
            if not delivery.step():
                break
        except OSError:  # what is gone is sent again
            pass
    expected = {"": [], "0": [1, 2], "1": [1]}
    for _ in range(2):
        curves = {key: [step for step, _, _ in row[5].get("objective", ())] for key, row in content(client, name).items()}
        assert curves == expected
        _delete(client, name, what)  # after its writer has left
        deliver(folder, uri, client)
    assert num_unsent(folder, uri) == 0 and not folder.outbox_refused.exists()
    assert [event.text for event in read_events(folder.events) if event.text.startswith(said)]


def test_a_clean_stop_leaves_nothing_that_says_running(client: Any, uri: str, tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    stop = study_end("KILLED") | {"reason": "interrupted; the same command goes on"}
    fill(folder, [study("stopped"), trial(0), epoch(0, 1), end(0), trial(1), epoch(1, 1), trial(2), stop])
    deliver(folder, uri, client)
    found = content(client, "stopped")
    assert [found[key][1] for key in ("", "0", "1", "2")] == ["KILLED", "FINISHED", "KILLED", "KILLED"]
    assert {found[key][6]["visiontune.can_go_on"] for key in ("", "1", "2")} == {"true"}
    fill(folder, [study("stopped"), epoch(1, 2)])
    Delivery(folder, uri, lambda: Runs(client, None)).step()  # its driver goes on
    assert [content(client, "stopped")[key][1] for key in ("", "0", "1", "2")] == ["RUNNING", "FINISHED", "RUNNING", "KILLED"]
    deliver(folder, uri, client)  # and by kill -9, once its writer sees that nobody drives the study
    assert {row[1] for row in content(client, "stopped").values()} == {"KILLED", "FINISHED"}


def test_a_file_that_nobody_wrote_to_since_is_not_asked(client: Any, uri: str, studies_dir: Path) -> None:
    folder = StudyFolder(studies_dir / "settled")
    fill(folder, search("settled", num_trials=1))
    assert not is_settled(folder, uri)
    deliver(folder, uri, client)
    settle(uri)
    replace(load_sent(folder, uri), settled=state(uri)).save(folder)  # as the writer does at its end
    assert is_settled(folder, uri)
    client.delete_run(next(iter(client.search_runs([client.get_experiment_by_name("settled").experiment_id]))).info.run_id)
    assert not is_settled(folder, uri)


@pytest.mark.heavy
def test_a_database_that_was_never_finished_is_made_anew(uri: str, tmp_path: Path) -> None:
    with sqlite3.connect(uri.removeprefix("sqlite:///")) as whole:
        statements = [text for text in whole.iterdump() if text.startswith("CREATE TABLE")]
    path = tmp_path / "mlflow.db"
    with sqlite3.connect(path) as half:
        for text in statements[:20]:
            half.execute(text)
    own, earlier = f"sqlite:///{path}", tmp_path / "mlflow.db.unfinished-20260101-000000"
    earlier.write_bytes(path.read_bytes())
    for name in (f"{earlier.name}-shm", "mlflow.db.unfinished-20260102-000000-wal"):
        (tmp_path / name).write_bytes(b"x")
    _connect(own, StudyFolder(tmp_path / "study"), StudiesFolder(tmp_path))
    assert not list(tmp_path.glob("mlflow.db.unfinished-*")), "there is nothing in them, and each try on a full disk left one"
    assert move_half_made(own) == "", "it is whole now, and stays"
    for damaged in (b"\0" * 8192, b"no database"):
        path.write_bytes(damaged)
        assert "made anew" in move_half_made(own) and not path.exists()
    with sqlite3.connect(path) as others:
        others.execute("create table notes (text)")
        others.execute("insert into notes values ('mine')")
    assert "what was there is mlflow.db.unfinished-" in move_half_made(own)
    kept = [*tmp_path.glob("mlflow.db.unfinished-*")]
    assert move_half_made(own) == "" and [*tmp_path.glob("mlflow.db.unfinished-*")] == kept, "what has something in it stays"
    assert len([one for one in kept if not one.name.endswith(("-wal", "-shm"))]) == 3


class Refusing(BaseHTTPRequestHandler):
    """Answers every request with the server's `answer`: status, kind and body."""

    def _answer(self) -> None:
        status, kind, body = self.server.answer  # type: ignore[attr-defined]
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PATCH = _answer

    def log_message(self, format: str, *args: Any) -> None:
        pass


def test_a_server_that_refuses_the_credentials_is_said_to_and_no_credential_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from mlflow.tracking import MlflowClient

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    server = HTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    uri, folder = f"http://me:TOPSECRET@127.0.0.1:{server.server_port}", StudyFolder(tmp_path)
    fill(folder, search("refused", num_trials=1))
    answers = [
        (401, "text/plain", b"You are not authenticated."),
        (401, "application/json", b'{"detail": "Unauthorized"}'),
        (403, "application/json", b'{"error_code": "PERMISSION_DENIED", "message": "no"}'),
        (403, "text/html", b"<html>403 Forbidden</html>"),
        (500, "text/plain", b"http://me:TOPSECRET@elsewhere broke"),
    ]
    troubles = []
    for server.answer in answers:  # type: ignore[attr-defined]
        with pytest.raises(Exception):  # noqa: B017  whatever the client raises
            Delivery(folder, uri, lambda: Runs(MlflowClient(uri), None)).step()
        troubles.append(load_sent(folder, uri).trouble)
    server.shutdown()
    server.server_close()
    with pytest.raises(Exception):  # noqa: B017
        Delivery(folder, uri, lambda: Runs(MlflowClient(uri), None)).step()
    address = f"http://127.0.0.1:{server.server_port}"
    assert [text[: len(address) + 30] for text in troubles[:4]] == [
        f"{address} refuses the credentials ({code})" for code in (401, 401, 403, 403)
    ]
    assert all("MLFLOW_TRACKING_USERNAME" in text for text in troubles[:4])
    assert load_sent(folder, uri).trouble == f"no answer from {address}"
    assert num_unsent(folder, uri) == len(search("refused", num_trials=1)) and not folder.outbox_refused.exists()
    left = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"TOPSECRET" not in left and "TOPSECRET" not in caplog.text + str(troubles)
    assert Told.read(folder).children["0"].last == 3
