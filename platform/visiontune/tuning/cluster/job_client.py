"""A client of Ray's job server that waits for no answer for ever."""

from __future__ import annotations

import logging
import socket
from typing import Any
from urllib.parse import urlsplit

from visiontune.errors import UserError, first_line
from visiontune.tuning.cluster.environment import environment
from visiontune.tuning.cluster.follow_job import is_refused

CONNECT_S = 5.0
ANSWER_S = 60.0
"""For one answer; Ray's own client waits for ever, as for a dashboard whose process is frozen."""

VERBOSE_LOGGERS = (
    "ray.dashboard.modules.job.sdk",
    "ray.dashboard.modules.dashboard_sdk",
    "ray._private.runtime_env.packaging",
    "ray._private.runtime_env.working_dir",
)
"""Loggers of Ray that have a line for every ignored file."""


def connect(address: str) -> Any:
    """A client of Ray's job server. Raises UserError for what is no URL, ConnectionError when nothing answers or the token is refused.

    What it asks raises OSError where the server takes a connection, and does not answer within ANSWER_S.
    """
    url = address if "://" in address else f"http://{address}"
    host, port = _host_and_port(url, address)
    hint = "is the cluster up, and its dashboard forwarded (ray dashboard cluster.yaml)?"
    try:  # Ray itself would wait for minutes
        socket.create_connection((host, port), CONNECT_S).close()
    except OSError as error:
        raise ConnectionError(f"no Ray job server answers at {url} ({error.strerror or error}); {hint}") from error
    for name in VERBOSE_LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with environment({"RAY_ADDRESS": None, "RAY_API_SERVER_ADDRESS": None}):  # Ray would let them win over --address
            return _client(url)
    except Exception as error:
        if is_refused(error):
            raise ConnectionError(f"{url} wants a token: set RAY_AUTH_MODE=token and have the cluster's in ~/.ray/auth_token") from error
        if "timed out" in str(error):
            raise ConnectionError(f"{url} takes connections, but has not answered within {ANSWER_S:g} s; {hint}") from error
        raise ConnectionError(f"{url} answers, but not as a Ray job server: {first_line(error)}") from error


def _host_and_port(url: str, written: str) -> tuple[str, int]:
    """Raises UserError for what is no URL of a host's."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        is_one = parts.scheme in ("http", "https") and bool(host.encode("idna"))  # as a socket encodes it
    except ValueError:  # of a port, a bracket or a label
        is_one = False
    if not is_one:
        raise UserError(f"the address must be the URL of Ray's dashboard such as http://127.0.0.1:8265, but got {written!r}")
    return host, port


def _client(url: str) -> Any:
    from ray.job_submission import JobSubmissionClient

    class Client(JobSubmissionClient):  # type: ignore[misc]
        def _do_request(self, *args: Any, **more: Any) -> Any:
            return super()._do_request(*args, **{"timeout": ANSWER_S, **more})

    return Client(url)
