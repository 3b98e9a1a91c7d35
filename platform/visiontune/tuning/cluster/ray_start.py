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
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import chain, repeat
from typing import Any

PORTS = ("metrics_agent_port", "metrics_export_port", "runtime_env_agent_port", "dashboard_agent_listen_port")
"""Of Ray's agents, as arguments of its `start_raylet` and names of the files."""
_FIRST, _LAST = 20_000, 32_000  # below those that a system gives to whoever asks for any, above those of Ray's workers


@contextmanager
def agents_of_known_ports() -> Iterator[None]:
    """While the block runs, raylets that this process starts wait for no agent."""
    # Ray's own, not promised to anybody.
    try:
        from ray._private import services
        from ray._raylet import persist_port  # type: ignore[attr-defined]
    except ImportError:
        yield
        return
    start_raylet = services.start_raylet
    if not {"session_dir", "node_id", *PORTS} <= inspect.signature(start_raylet).parameters.keys():
        yield
        return

    def start(*args: Any, **options: Any) -> Any:
        given = inspect.signature(start_raylet).bind(*args, **options)
        for name, port in zip(PORTS, free_ports(len(PORTS)), strict=True):
            given.arguments[name] = port
            persist_port(given.arguments["session_dir"], given.arguments["node_id"], name, port)
        return start_raylet(*given.args, **given.kwargs)

    services.start_raylet = start
    try:
        yield
    finally:
        services.start_raylet = start_raylet


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
    names = [name for name in ("start_log_monitor", "start_monitor") if hasattr(Node, name)]  # Ray's own, not promised to anybody
    started = {name: getattr(Node, name) for name in names}
    for name in names:
        setattr(Node, name, lambda _: None)
    try:
        yield
    finally:
        for name in names:
            setattr(Node, name, started[name])


def free_ports(num: int) -> list[int]:
    """Different ones at which nobody listens, and that by Linux's default range no outgoing connection gets meanwhile.

    Where all of those are taken, others. Raises OSError where the system has none.
    """
    found: list[int] = []
    order = random.SystemRandom().sample(range(_FIRST, _LAST), _LAST - _FIRST)  # no seed of the user's, and none of another start
    for port in chain(order, repeat(0)):  # 0: whichever the system gives
        with socket.socket() as probe, suppress(*[OSError] * bool(port)):
            probe.bind(("", port))
            found = [*dict.fromkeys([*found, int(probe.getsockname()[1])])]
        if len(found) == num:
            break
    return found


if __name__ == "__main__":
    from ray.scripts.scripts import main

    with agents_of_known_ports():
        main()
