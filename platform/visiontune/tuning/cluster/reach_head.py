"""Whether a cluster's head answers at an address: `ray.init` waits for minutes where nobody does, and for ever where somebody is silent."""

from __future__ import annotations

import os
import socket
import time

from visiontune.errors import NoCluster, UserError

REACH_S = 5.0
ANSWER_S = 30.0
"""A head on a machine that is very busy takes seconds."""

_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
"""With which a client of HTTP/2, which gRPC speaks, begins: its preface and an empty SETTINGS frame (RFC 9113, section 3.4)."""
_SETTINGS = 4
"""The type, fourth byte of the frame with which every server answers."""


def refuse_unreachable(named: str, host: str, port: int) -> None:
    """Raise NoCluster where nothing listens, nobody answers, or somebody who does not speak gRPC. `named` is the address as it is said.

    With Ray's TLS only the first is looked at. Raises UserError for what is no host.
    """
    is_encrypted = os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true")
    try:
        with socket.create_connection((host.removeprefix("[").removesuffix("]"), port), REACH_S) as connection:
            is_head = is_encrypted or _speaks_http_2(connection)
    except UnicodeError as error:  # of a name that is none
        raise UserError(f"a Ray address is auto or HOST:PORT, but got {named!r}, where {host!r} is no host") from error
    except _Silent as error:
        raise NoCluster(
            f"what listens at {named} takes connections and says nothing: no head of a Ray cluster, or one that hangs"
        ) from error
    except OSError as error:
        raise NoCluster(f"no Ray cluster answers at {named} ({getattr(error, 'strerror', None) or error})") from error
    if not is_head:
        raise NoCluster(f"what listens at {named} is not the head of a Ray cluster, whose port is 6379 unless it was started with another")


class _Silent(Exception):
    """Nothing, or too little, has come in time."""


def _speaks_http_2(connection: socket.socket) -> bool:
    ends_s, answer = time.monotonic() + ANSWER_S, b""
    try:
        connection.sendall(_GREETING)
        while len(answer) < 4:
            connection.settimeout(max(0.001, ends_s - time.monotonic()))
            if not (more := connection.recv(4 - len(answer))):
                break
            answer += more
    except TimeoutError as error:
        raise _Silent from error
    return answer[3:] == bytes((_SETTINGS,))
