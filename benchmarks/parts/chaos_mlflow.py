"""Faults of MLflow: its server away or refusing the credentials, and runs that somebody deletes, while a search goes on."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

from common.machine import clean_env
from parts.chaos_ground import Faults, Ground, Row, begin, end_of, get_on, not_said
from parts.chaos_runs import delete_experiment, delete_study, delete_trial
from parts.chaos_servers import free_port, is_open
from parts.killable_search import Search, wait_for

AWAY_S, LONG_S = 20.0, 300.0
MOST_AGAIN = 5
"""A server that starts on a busy machine takes longer than a search waits for it."""
SAID_S = 60.0
"""In which a search has said that its credentials are refused."""


class Server:
    """MLflow's, on one port and one database, however often it starts."""

    def __init__(self, ground: Ground) -> None:
        self._ground, self._home, self.port = ground, ground.folder / "mlflow", free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self._home.mkdir()
        self.start()

    def start(self) -> None:
        """And wait until it answers."""
        words = ["server", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]
        words += ["--backend-store-uri", f"sqlite:///{self._home}/runs.db", "--artifacts-destination", str(self._home / "artifacts")]
        with (self._home / "server.log").open("ab") as log:
            command = [sys.executable, "-m", "mlflow", *words]
            self._process = subprocess.Popen(command, env=clean_env(), stdout=log, stderr=log, start_new_session=True)
        self._ground.at_end.callback(subprocess.run, ["kill", "-9", "--", f"-{self._process.pid}"], capture_output=True)
        wait_for(lambda: is_open(self.port), 120.0)

    def kill(self) -> None:
        """All of its processes."""
        subprocess.run(["kill", "-9", "--", f"-{self._process.pid}"], capture_output=True)
        self._process.wait()
        wait_for(lambda: not is_open(self.port), 20.0)


def server_away(ground: Ground, times: int, away_s: float = AWAY_S) -> Row:
    """The server is killed, and started again so much later, on the same database; the search may have ended by then."""
    server = Server(ground)
    search = ground.search(MLFLOW_TRACKING_URI=server.uri)
    driver, faults = begin(search), Faults(search)
    while faults.times < times and get_on(search, driver, 2):
        _away(server, faults, away_s)
    return faults.row(ground.num_trials, *_end_of(search, driver))


def _end_of(search: Search, driver: subprocess.Popen[bytes]) -> list[str]:
    """The same command again, for as long as the search says that it sends what MLflow did not have in time."""
    ended, num_said = end_of(search, driver), 0
    for _ in range(MOST_AGAIN):
        num_before, num_said = num_said, search.said().count("the same command sends them")
        if num_said == num_before:
            break
        ended += end_of(search, search.start())
    return ended


def _away(server: Server, faults: Faults, away_s: float) -> None:
    server.kill()
    faults.note()
    time.sleep(away_s)
    server.start()


def credentials_refused(ground: Ground, times: int) -> Row:
    """In the server's place somebody answers each request with 401, then with 403, each until the search has said so."""
    server = Server(ground)
    search = ground.search(MLFLOW_TRACKING_URI=server.uri)
    driver, faults, problems = begin(search), Faults(search), list[str]()
    while faults.times < times and get_on(search, driver):
        server.kill()
        faults.note()
        for code in (401, 403):
            problems += _refused(search, server.port, code)
        server.start()
    return faults.row(ground.num_trials, *_end_of(search, driver), *problems)


def _refused(search: Search, port: int, code: int) -> list[str]:
    """The problem with what was said of it, if there is one."""
    refusing = HTTPServer(("127.0.0.1", port), type("Refusing", (_Refusing,), {"code": code}))
    threading.Thread(target=refusing.serve_forever, daemon=True).start()
    wanted = f"refuses the credentials ({code})"
    is_said = wait_for(lambda: wanted in search.said(), SAID_S)
    refusing.shutdown()
    refusing.server_close()
    return [] if is_said else [f"the search does not say that MLflow {wanted}: {search.tail()}"]


class _Refusing(BaseHTTPRequestHandler):
    code = 401

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(self.code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST = do_PATCH = _answer

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


def runs_deleted(ground: Ground, times: int) -> Row:
    """As in MLflow's UI: a trial's run, then the study's, then the experiment, each time with the search going on."""
    ways = [delete_trial, delete_study, delete_experiment]
    search = ground.search()
    driver, faults = begin(search), Faults(search)
    while faults.times < times and get_on(search, driver, 2):
        ways[faults.times % len(ways)](search)
        faults.note()
    ended = end_of(search, driver)
    return faults.row(ground.num_trials, *ended, *not_said(search, " again", 1, "mlflow"))
