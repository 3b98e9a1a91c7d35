"""What `visiontune ui` says instead of showing nothing."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import pytest
from browser import CHROMIUM, page
from places import PLATFORM
from sample_events import search
from test_mlflow_runs import send

from visiontune.errors import UserError
from visiontune.filesystem.study_folder import StudiesFolder
from visiontune.tracking.mlflow_ui import _serve, check_port, open_ui, ui_command
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
        with pytest.raises(UserError, match=f"port {port} on 127.0.0.1 cannot be used .*`port={port + 1}`"):
            open_ui(StudiesFolder(tmp_path), port)


def test_behind_the_last_port_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", 65_535))
        taken.listen()
        with pytest.raises(UserError, match=r"choose another: `port=65534`$"):
            check_port(65_535)


def test_a_thread_other_than_the_main_one_leaves_signals_alone() -> None:
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(_serve, [sys.executable, "-c", "raise SystemExit(3)"], dict(os.environ), "http://127.0.0.1:9").result() == 3


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
def test_its_links_open_studies_as_trainings_and_no_server_outlives_the_command(
    tmp_path: Path, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """mlflow starts uvicorn, which a signal to the command alone left listening. What is seen is seen in a Chromium, where there is one."""
    from mlflow.tracking import MlflowClient

    monkeypatch.chdir(tmp_path)  # where artifacts go that nobody says a place for
    shutil.copy(uri.removeprefix("sqlite:///"), tmp_path / "mlflow.db")
    client, figures = MlflowClient(tracking_uri(StudiesFolder(tmp_path))), {"lr": 0.1, "epoch_s": 1.0, "costs.num_parameters": 5.0}
    first, *events, last = search("mine", num_trials=2)
    events = [{**one, "metrics": {**figures, **one["metrics"]}} if one["event"] == "epoch" else one for one in events]
    send(client, [{**first, "searched": ["optimizer.lr"], "mode": "max"}, *events, last])
    log = tmp_path / "log"
    with started(tmp_path) as (ui, port):
        mine = re.compile(rf"  mine: http://127\.0\.0\.1:{port}/#/experiments/\d+/runs\?")
        assert becomes(lambda: mine.search(log.read_text()) is not None, 60), log.read_text()
        assert is_listening(port)
        if CHROMIUM is not None:
            (link,) = (line.split(": ", 1)[1] for line in log.read_text().splitlines() if line.startswith("  mine: "))
            rows, charts, errors = asyncio.run(looked_at(link, tmp_path / "profile"))
            assert rows[:2] == ["0001 lenet5 adamw", "0000 lenet5 adamw"]
            told = [line for line in charts.splitlines() if line in ("objective", "schedule.lr", "val_loss", "val_top1")]
            assert told == ["objective", "schedule.lr", "val_loss", "val_top1"] and "system/" not in charts, charts
            assert errors == []
        ui.send_signal(signal.SIGTERM)
        assert ui.wait(20) == 0
    assert becomes(lambda: not is_listening(port), 5)


async def looked_at(link: str, profile: Path) -> tuple[list[str], str, list[str]]:
    """Names in the leaderboard from the top, the text of the first one's charts, and what the console holds of errors.

    But for MLflow's own: a server without users is asked who the user is, and its grid is resized while it is.
    """
    names = "[...document.querySelectorAll('.ag-row a')].map(one => one.innerText)"
    async with page(link, profile) as browser:
        rows = await browser.until(f"(names => names.length > 2 && names)({names})")
        path = await browser.evaluate("document.querySelector('.ag-row a').getAttribute('href')")
        await browser.evaluate(f"location.hash = '{path}/model-metrics'")
        charts = await browser.until("(text => text.includes('val_top1') && text)(document.body.innerText)")
        return rows, charts, [one for one in browser.errors if "404" not in one and "ResizeObserver" not in one]


MLFLOW = """
import subprocess, sys, time
print("started", subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]).pid, "by mlflow", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_ctrl_c_and_the_end_of_the_terminal_end_all_of_it(number: int, tmp_path: Path) -> None:
    (tmp_path / "mlflow").mkdir()
    (tmp_path / "mlflow" / "__init__.py").touch()
    (tmp_path / "mlflow" / "__main__.py").write_text(MLFLOW)
    (tmp_path / "mlflow.db").touch()
    (tmp_path / "digits").mkdir()
    (tmp_path / "digits" / "study.journal").touch()
    with started(tmp_path, {"PYTHONPATH": f"{tmp_path}:{PLATFORM}"}) as (ui, _):
        log = tmp_path / "log"
        assert becomes(lambda: "by mlflow" in log.read_text(), 30)
        assert f"optuna-dashboard {tmp_path}/digits/study.journal" in log.read_text()
        ui.send_signal(number)
        assert ui.wait(20) == (-number if number == signal.SIGKILL else 0)
    (started_by_mlflow,) = (int(line.split()[1]) for line in log.read_text().splitlines() if line.startswith("started"))
    assert becomes(lambda: not is_alive(started_by_mlflow), 5)


@contextmanager
def started(folder: Path, env: Mapping[str, str] = MappingProxyType({})) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """`visiontune ui` on a free port, with its output in the file `log`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "visiontune", "ui", "--port", str(port), "--studies-dir", str(folder)]
    with (folder / "log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **env}) as ui:
        try:
            yield ui, port
        finally:
            ui.terminate()


def is_alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def becomes(is_so: Callable[[], bool], limit_s: float) -> bool:
    end_s = time.monotonic() + limit_s
    while not is_so() and time.monotonic() < end_s:
        time.sleep(0.1)
    return is_so()
