"""What `visiontune ui` says instead of showing nothing."""

from __future__ import annotations

import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from visiontune.errors import UserError
from visiontune.filesystem.study_folder import StudiesFolder
from visiontune.tracking.mlflow_ui import open_ui, ui_command
from visiontune.tracking.mlflow_uri import artifact_root, tracking_uri


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def test_no_database_yet(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no MLflow database at .*mlflow.db yet; a search makes it"):
        open_ui(StudiesFolder(tmp_path), 5000)


def test_a_port_in_use(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").touch()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"port {port} on 127.0.0.1 cannot be used .*--port {port + 1}"):
            open_ui(StudiesFolder(tmp_path), port)


def test_a_server_has_its_own_ui(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")
    with pytest.raises(UserError, match="open http://mlflow:5000"):
        open_ui(StudiesFolder(tmp_path), 5000)
    assert ui_command(StudiesFolder(tmp_path)) == "open http://mlflow:5000"
    assert artifact_root(StudiesFolder(tmp_path), tracking_uri(StudiesFolder(tmp_path))) is None


def test_the_command_can_be_typed(tmp_path: Path) -> None:
    assert ui_command(StudiesFolder(Path("studies"))) == "visiontune ui"
    assert shlex.split(ui_command(StudiesFolder(tmp_path / "my studies"))) == [
        "visiontune",
        "ui",
        "--studies-dir",
        str(tmp_path / "my studies"),
    ]
    assert tracking_uri(StudiesFolder(tmp_path)) == f"sqlite:///{tmp_path}/mlflow.db"


@pytest.mark.heavy
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_no_server_outlives_the_command(number: int, tmp_path: Path) -> None:
    """mlflow starts uvicorn, which a signal to the command alone left listening."""
    from mlflow.tracking import MlflowClient

    MlflowClient(tracking_uri(StudiesFolder(tmp_path))).search_experiments()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "visiontune.cli", "ui", "--port", str(port), "--studies-dir", str(tmp_path)]
    with (tmp_path / "log").open("w") as log:
        ui = subprocess.Popen(command, stdout=log, stderr=log)
    assert becomes(lambda: is_listening(port), 90), (tmp_path / "log").read_text()
    ui.send_signal(number)
    assert ui.wait(20) == 0
    assert becomes(lambda: not is_listening(port), 5)


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def becomes(is_so: Callable[[], bool], limit_s: float) -> bool:
    end_s = time.monotonic() + limit_s
    while not is_so() and time.monotonic() < end_s:
        time.sleep(0.1)
    return is_so()
