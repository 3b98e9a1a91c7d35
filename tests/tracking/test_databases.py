"""Optuna's storage and MLflow's server on a real PostgreSQL, each of which breaks in the middle of a search."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow_server import Server
from postgres import postgres
from sample_events import content, study
from simulated_search import curve, drive, make_spec

from visiontune.filesystem.study_folder import StudyFolder
from visiontune.tracking.outbox import Outbox
from visiontune.tracking.writer_process import start_writer


@pytest.mark.heavy
def test_a_search_whose_database_and_tracking_server_crash_has_everything_once(tmp_path: Path) -> None:
    with postgres() as database:
        server = Server(database.make("mlflow"), tmp_path / "artifacts")
        try:
            found, values = _search(tmp_path / "search", database, server)
        finally:
            server.close()
    assert len(found) == 1 + len(values) == 9
    for number, curve_of_study in values.items():
        _, status, _, _, _, curves, *_ = found[str(number)]
        assert [(step, value) for step, value, _ in curves.get("objective", ())] == curve_of_study
        assert status in ("FINISHED", "FAILED")


def _search(path: Path, database, server: Server) -> tuple[dict, dict]:
    """What MLflow has by trial, which fails where one is there twice, and the values that the study has of each."""
    folder = StudyFolder(path)
    spec = make_spec(path, num_trials=8, sampler="random", overrides=[f"storage.url={database.make('optuna')}"])
    writer = start_writer(folder, server.uri)
    outbox = Outbox(folder)
    outbox.put(study("search"))
    server.start()
    assert writer.drain(60) == 0
    num_reports = 0

    def value(recipe, epoch):
        nonlocal num_reports
        num_reports += 1
        if num_reports == 6:
            server.stop()
            database.restart()
        return curve(recipe, epoch)

    session, storage, _ = drive(spec, path, put=outbox.put, value=value)
    assert session.is_finished and writer.drain(0.5) > 0, "nothing came through while the server was away"
    assert "no answer from" in writer.trouble
    server.start()
    assert writer.drain(60) == 0
    writer.stop(20)
    from mlflow.tracking import MlflowClient

    values = {trial.number: sorted(trial.intermediate_values.items()) for trial in storage.trials()}
    return content(MlflowClient(server.uri), "search"), values
