"""Whether a cluster's head answers at an address: `ray.init` waits for minutes where nobody does, and for ever where somebody is silent."""

from __future__ import annotations

import os
import socket

from visiontune.errors import NoCluster

REACH_S = 5.0
ANSWER_S = 30.0
"""A head on a machine that is very busy takes seconds."""

_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
"""With which a client of HTTP/2, which gRPC speaks, begins: its preface and an empty SETTINGS frame (RFC 9113, section 3.4)."""
_SETTINGS = 4
"""The type, fourth byte of the frame with which every server answers."""


def refuse_unreachable(named: str, host: str, port: int) -> None:
    """Raise NoCluster where nothing listens, nobody answers, or somebody else than a head does. `named` is the address as it is said."""
    is_encrypted = os.environ.get("RAY_USE_TLS", "0") not in ("", "0")
    try:
        with socket.create_connection((host, port), REACH_S) as connection:
            is_head = is_encrypted or _speaks_http_2(connection)
    except TimeoutError as error:
        raise NoCluster(f"no Ray cluster answers at {named} (timed out)") from error
    except (OSError, OverflowError) as error:
        raise NoCluster(f"no Ray cluster answers at {named} ({getattr(error, 'strerror', None) or error})") from error
    if not is_head:
        raise NoCluster(f"what listens at {named} is not the head of a Ray cluster, whose port is 6379 unless it was started with another")


def _speaks_http_2(connection: socket.socket) -> bool:
    connection.settimeout(ANSWER_S)
    connection.sendall(_GREETING)
    answer = connection.recv(4)
    while answer and len(answer) < 4 and (more := connection.recv(4 - len(answer))):
        answer += more
    return answer[3:] == bytes((_SETTINGS,))
