"""MLflow's tracking server as a process that a test kills and starts again, without waiting for its imports each time.

Run as a program it serves on loopback what its standard input says:
    python mlflow_server.py PORT STORE_URI ARTIFACTS      (lines: start, stop)
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path


class Server:
    """`uri` stays the same; its imports run from the first moment on."""

    def __init__(self, store: str, artifacts: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, __file__, str(self.port), store, str(artifacts)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True)

    def start(self) -> None:
        """Serve; returns once it answers."""
        self._say("start")
        deadline_s = time.monotonic() + 60
        while not self._answers():
            assert time.monotonic() < deadline_s, "MLflow's server does not start"
            time.sleep(0.05)

    def stop(self) -> None:
        """By kill -9; returns once nobody answers."""
        self._say("stop")
        while self._answers():
            time.sleep(0.02)

    def close(self) -> None:
        """For good."""
        self._process.communicate("stop\n")

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def _say(self, word: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()


def main(port: int, store: str, artifacts: str) -> None:
    os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "_MLFLOW_SERVER_FILE_STORE": store, "_MLFLOW_SERVER_ARTIFACT_ROOT": artifacts}
    from mlflow.server import app
    from werkzeug.serving import make_server

    child = 0
    for line in sys.stdin:
        if child:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            child = 0
        if line.strip() == "start" and not (child := os.fork()):
            make_server("127.0.0.1", port, app, threaded=True).serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
