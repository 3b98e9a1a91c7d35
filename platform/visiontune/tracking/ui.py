"""MLflow's own UI on a study's database, on loopback only: it shows and deletes for whoever reaches it."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
from pathlib import Path

from visiontune.spec.errors import UserError
from visiontune.tracking.backend import QUIET_ENV, artifact_root, tracking_uri

HOST = "127.0.0.1"


def ui_command(studies_dir: Path, program: str = "visiontune") -> str:
    """What to type, or where to look when a server has the runs; for the last line of a search."""
    uri = tracking_uri(studies_dir)
    if uri.startswith("http"):
        return f"open {uri}"
    options = "" if studies_dir == Path("studies") else f" --studies-dir {shlex.quote(str(studies_dir))}"
    return f"{program} ui{options}"


def open_ui(studies_dir: Path, port: int = 5000) -> None:
    """Run MLflow's UI until Ctrl-C. UserError when there is nothing to show or the port is taken."""
    uri = tracking_uri(studies_dir)
    if uri.startswith("http"):
        raise UserError(f"MLFLOW_TRACKING_URI names a server, which has its own UI: open {uri}")
    database = Path(uri.removeprefix("sqlite:///"))
    if uri.startswith("sqlite") and not database.exists():
        raise UserError(f"no MLflow database at {database} yet; a search makes it: visiontune search search_spaces/digits.yaml")
    check_port(port)
    print(f"MLflow: http://{HOST}:{port} (Ctrl-C ends it)", flush=True)
    command = [sys.executable, "-m", "mlflow", "ui", "--host", HOST, "--port", str(port), "--workers", "1"]
    command += ["--default-artifact-root", str(artifact_root(studies_dir, uri))]
    jobs = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # LLM judging: four more processes that no study needs
    env = {**os.environ, **QUIET_ENV, **jobs, "MLFLOW_BACKEND_STORE_URI": uri}  # not on the command line: it may hold a password
    try:
        subprocess.run(command, env=env, check=True)
    except KeyboardInterrupt:
        return
    except subprocess.CalledProcessError as error:
        raise UserError(f"MLflow's UI ended with code {error.returncode}; its own message stands above") from None


def check_port(port: int) -> None:
    """UserError when something listens on the loopback port already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise UserError(f"port {port} on {HOST} cannot be used ({error.strerror}); choose another: --port {port + 1}") from None
