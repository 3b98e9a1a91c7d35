"""An address where no head of a cluster answers, by servers that do else."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from visiontune.errors import NoCluster, UserError
from visiontune.tuning.cluster import reach_head
from visiontune.tuning.cluster.reach_head import refuse_unreachable


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.mark.parametrize(
    ("says", "rule"),
    [
        (None, "what listens at here takes connections and says nothing: no head of a Ray cluster, or one that hangs"),
        (b"P", "what listens at here takes connections and says nothing"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "what listens at here is not the head of a Ray cluster"),
        (b"-ERR unknown command\r\n", "what listens at here is not the head of a Ray cluster"),
        (b"", "what listens at here is not the head of a Ray cluster|Connection reset"),
    ],
)
def test_somebody_else_is_no_head(says: bytes | None, rule: str, listening: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray itself waits without end for one that is silent (2.60)."""
    monkeypatch.setattr(reach_head, "ANSWER_S", 0.3)
    is_over = threading.Event()

    def answer() -> None:
        connection, _ = listening.accept()
        with connection:
            if says is not None:
                connection.sendall(says)
            if says in (None, b"P"):
                is_over.wait()

    with ThreadPoolExecutor() as pool:
        pool.submit(answer)
        with pytest.raises(NoCluster, match=rule):
            refuse_unreachable("here", *listening.getsockname())
        is_over.set()


def test_a_server_of_grpc_is_taken_for_one(listening: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    server = grpc.server(ThreadPoolExecutor())
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    refuse_unreachable("here", "127.0.0.1", port)
    server.stop(None)
    monkeypatch.setenv("RAY_USE_TLS", "1")  # then the greeting is a secret one
    refuse_unreachable("here", *listening.getsockname())
    with pytest.raises(UserError, match=r"auto or HOST:PORT, but got 'a\.\.b:6379', where 'a\.\.b' is no host"):
        refuse_unreachable("a..b:6379", "a..b", 6379)
