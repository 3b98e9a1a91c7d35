"""MLflow's own UI on the database of the studies, on loopback only: whoever reaches it can read and delete everything."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from visiontune.errors import UserError
from visiontune.filesystem.file_lock import locked
from visiontune.filesystem.study_folder import StudiesFolder
from visiontune.filesystem.uri import shown
from visiontune.spec.declarations.call_ranges import PORT
from visiontune.tracking.mlflow_uri import QUIET_ENV, artifact_root, tracking_uri
from visiontune.tracking.mlflow_view import leaderboards
from visiontune.tracking.moved_artifacts import follow_artifacts
from visiontune.tracking.tied_process import END_S, start_tied

HOST = "127.0.0.1"


def ui_command(studies: StudiesFolder, program: str = "visiontune") -> str:
    """What to type, or where to look when a server has the runs; for the last line of a search."""
    uri = tracking_uri(studies)
    if uri.startswith("http"):
        return f"open {shown(uri)}"
    options = "" if studies.path == Path("studies") else f" --studies-dir {shlex.quote(str(studies.path))}"
    return f"{program} ui{options}"


def open_ui(studies: StudiesFolder, port: int = 5000) -> None:
    """Run MLflow's UI until Ctrl-C, SIGTERM or the terminal's end.

    Raises UserError when there is nothing to show, the port is taken, a server has the runs, or MLflow's UI fails.
    """
    uri = tracking_uri(studies)
    if uri.startswith("http"):
        raise UserError(f"MLFLOW_TRACKING_URI names a server, which has its own UI: open {shown(uri)}")
    database = Path(uri.removeprefix("sqlite:///"))
    if uri.startswith("sqlite") and not database.exists():
        raise UserError(f"no MLflow database at {database} yet; a search makes it: visiontune search search_spaces/digits.yaml")
    check_port(port)
    with suppress(OSError, UserError), locked(studies.mlflow_lock):
        follow_artifacts(studies)
    print(f"MLflow: http://{HOST}:{port} (Ctrl-C ends it)", flush=True)
    command = [sys.executable, "-m", "mlflow", "ui", "--host", HOST, "--port", str(port), "--workers", "1"]
    command += ["--default-artifact-root", str(artifact_root(studies, uri))]
    jobs = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # LLM judging: four more processes that no study needs
    env = {**os.environ, **QUIET_ENV, **jobs, "MLFLOW_BACKEND_STORE_URI": uri}  # not on the command line: it may hold a password
    if journals := sorted(studies.path.glob("*/study.journal"), key=lambda path: path.stat().st_mtime):
        command_of_optuna = f"optuna-dashboard {shlex.quote(str(journals[-1]))}"
        print(f"what mattered, in Optuna's own dashboard: pip install optuna-dashboard && {command_of_optuna}", flush=True)
    try:
        code = _serve(command, env, f"http://{HOST}:{port}")
    except KeyboardInterrupt:
        return
    if code:
        raise UserError(f"MLflow's UI ended with code {code}; its own message stands above")


def _serve(command: Sequence[str], env: Mapping[str, str], address: str) -> int:
    """Run it until it ends or a signal interrupts; its exit code. A process group, ended as a whole: mlflow starts others that stay."""
    is_main = threading.current_thread() is threading.main_thread()  # Python lets no other have handlers
    signals = [signal.SIGTERM, signal.SIGHUP, signal.SIGINT] if is_main else []
    before = {number: signal.signal(number, signal.default_int_handler) for number in signals}
    server = start_tied(command, dict(env))
    try:
        _say_links(server, address)
        return server.wait()
    finally:
        for number in signals:
            signal.signal(number, signal.SIG_IGN)  # one is enough: the group is being ended
        _end_group(server)
        for number, handler in before.items():
            signal.signal(number, handler)


def _say_links(server: subprocess.Popen[bytes], address: str) -> None:
    """Once it answers, how to open each study as trainings, best first: by itself MLflow shows experiments as those of language models."""
    while server.poll() is None:
        with suppress(OSError, ValueError):
            for name, link in leaderboards(address):
                print(f"  {name}: {link}", flush=True)
            return
        time.sleep(0.3)


def _end_group(leader: subprocess.Popen[bytes]) -> None:
    """SIGTERM to all of its processes, SIGKILL to those that are left after END_S."""
    deadline_s = time.monotonic() + END_S
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(leader.pid, number)
            while time.monotonic() < deadline_s:
                leader.poll()  # or it would stay in its group as a zombie
                os.killpg(leader.pid, 0)
                time.sleep(0.05)


def check_port(port: int) -> None:
    """Raise UserError when the loopback port can't be bound, mostly because something listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            near = port + 1 if port < PORT[1] else port - 1
            raise UserError(f"port {port} on {HOST} cannot be used ({error.strerror}); choose another: `port={near}`") from None
