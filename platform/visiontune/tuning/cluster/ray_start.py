"""Ray's start on a machine that is busy: its raylet gives the agents that it starts 15 s to write down their ports, and dies (ray 2.60).

With a load of 20 on two cores their imports alone take longer, and two starts of three failed. What the raylet waits for are files; with
ports that are chosen here and written before, it finds them at once. Ray's own options fix the ports of all of them, but its raylet is told
of the dashboard agent's by nothing else than the file.

As a program it is `ray` with that, for a cluster's own `ray start`; nothing of this package is imported, so the file is enough:
python ray_start.py start --head ...
"""

from __future__ import annotations

import inspect
import random
import socket
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain, repeat
from typing import Any

PORTS = ("metrics_agent_port", "metrics_export_port", "runtime_env_agent_port", "dashboard_agent_listen_port")
"""Of Ray's agents, as arguments of its `start_raylet` and names of the files."""
BY_DEFAULT = 52_365
"""Where Ray has its dashboard's agent listen if nobody says where (ray 2.60). Its agent binds it seconds after a raylet has started: of
two that start on one machine both find it free, and the one whose agent comes second dies."""
HELPERS = ("start_log_monitor", "start_monitor")
"""Methods of Ray's node."""
_FIRST, _LAST = 20_000, 32_000  # below those that a system gives to whoever asks for any, above those of Ray's workers


@contextmanager
def agents_of_known_ports() -> Iterator[None]:
    """While the block runs, raylets that this process starts wait for no agent. Ports that are given to them stay."""
    # Ray's own, not promised to anybody.
    try:
        from ray._private import services
        from ray._raylet import persist_port  # type: ignore[attr-defined]
    except ImportError:
        yield
        return
    if not {"session_dir", "node_id", *PORTS} <= inspect.signature(services.start_raylet).parameters.keys():
        yield
        return
    with _replaced(services, start_raylet=_with_ports(services.start_raylet, persist_port)):
        yield


def _with_ports(start_raylet: Callable[..., Any], persist_port: Callable[..., None]) -> Callable[..., Any]:
    """The same start, before which the ports stand in their files."""
    signature = inspect.signature(start_raylet)

    def start(*args: Any, **options: Any) -> Any:
        given = signature.bind(*args, **options)
        for name, port in ports_beside(given.arguments).items():
            given.arguments[name] = port
            persist_port(given.arguments["session_dir"], given.arguments["node_id"], name, port)
        return start_raylet(*given.args, **given.kwargs)

    return start


@contextmanager
def no_idle_helpers() -> Iterator[None]:
    """While the block runs, a Ray that this process starts has no reader of its workers' logs and no autoscaler.

    One machine can't grow, and a search has no lines of its workers' (`log_to_driver=False`): two processes whose imports took a second and
    a half of the cores on which the first trial waits.
    """
    try:
        from ray._private.node import Node
    except ImportError:
        yield
        return
    names = [name for name in HELPERS if hasattr(Node, name)]  # Ray's own, not promised to anybody
    with _replaced(Node, **dict.fromkeys(names, lambda _: None)):
        yield


@contextmanager
def _replaced(owner: Any, **others: Any) -> Iterator[None]:
    before = {name: getattr(owner, name) for name in others}
    for name, other in others.items():
        setattr(owner, name, other)
    try:
        yield
    finally:
        for name, one in before.items():
            setattr(owner, name, one)


def ports_beside(given: Mapping[str, Any]) -> dict[str, int]:
    """The ports of all agents: those that are given, and free ones where none is, or only Ray's own choice."""
    asked = {name: int(port) for name in PORTS if (port := given.get(name)) and port != BY_DEFAULT}
    left = [name for name in PORTS if name not in asked]
    return asked | dict(zip(left, free_ports(len(left), beside=asked.values()), strict=True))


def free_ports(num: int, beside: Collection[int] = ()) -> list[int]:
    """Different ones at which nobody listens, and that by Linux's default range no outgoing connection gets meanwhile; none of `beside`.

    Where all of those are taken, others. Raises OSError where the system has none.
    """
    found: list[int] = []
    order = random.SystemRandom().sample(range(_FIRST, _LAST), _LAST - _FIRST)  # no seed of the user's, and none of another start
    for port in chain(order, repeat(0)):  # 0: whichever the system gives
        if len(found) == num:
            break
        if (bound := _bound(port)) and bound not in (*found, *beside):
            found.append(bound)
    return found


def _bound(port: int) -> int:
    """The port that a socket gets there; 0 where somebody listens. Raises OSError where the system has none to give."""
    with socket.socket() as probe:
        try:
            probe.bind(("", port))
        except OSError:
            if not port:
                raise
            return 0
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    from ray.scripts.scripts import main

    with agents_of_known_ports():
        main()
