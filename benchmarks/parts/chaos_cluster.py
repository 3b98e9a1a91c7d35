"""Faults of a cluster: a head without CPUs and raylets, each started as on a machine of its own with `ray start`."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress

from common.machine import clean_env
from parts.chaos_ground import SEEN_S, Faults, Ground, NotRun, Row, blamed, end_of, get_on, not_said, now_ms
from parts.killable_search import MARK, marked, wait_for
from visiontune.tuning.cluster import ray_start

RAY = (sys.executable, ray_start.__file__)
"""As in cluster.yaml: the plain command dies on a busy machine."""
STARTS, STARTS_S = 5, 120.0
NOTICE_S = 30.0
"""What a cloud gives a machine that it takes back."""


class Raylet:
    """A node of a cluster; `kill` ends all of its processes at once."""

    def __init__(self) -> None:
        self.mark = uuid.uuid4().hex

    def start(self, words: Sequence[str], within: Sequence[str], env: Mapping[str, str]) -> None:
        """Raises NotRun where Ray does not start. `within` runs another command elsewhere, as `ip netns exec` does."""
        mine = clean_env(**{MARK: self.mark}, RAY_USAGE_STATS_ENABLED="0", **env)
        said = ""
        for _ in range(STARTS):  # Ray gives a node 30 s to start, which a busy machine may not do
            try:
                subprocess.run([*within, *RAY, "start", *words], env=mine, capture_output=True, text=True, timeout=STARTS_S, check=True)
                return
            except subprocess.SubprocessError as error:
                said = str(getattr(error, "stderr", None) or error)
            self.kill()
        raise NotRun(f"ray start {' '.join(words)}: {said[-500:]}")

    def kill(self, how: int = signal.SIGKILL) -> None:
        """Its raylet first, so that it can say nothing of its workers."""
        for pid, _ in sorted(marked(self.mark), key=lambda one: "raylet/raylet" not in one[1]):
            with suppress(ProcessLookupError):
                os.kill(pid, how)

    def has(self, title: str) -> bool:
        """Whether a process of it is called so."""
        return any(title in command for _, command in marked(self.mark))

    @property
    def key(self) -> str:
        """Ray's id of it."""
        found = (re.search(r"--node_id=(\w+)", command) for _, command in marked(self.mark) if "raylet/raylet" in command)
        return next(one[1] for one in found if one)


class Cluster:
    """A head without CPUs, and nodes of one CPU that join it; all in one temporary folder, which must have a short name.

    `env` has its token, for nodes and drivers.
    """

    def __init__(self, ground: Ground, num_nodes: int, host: str = "127.0.0.1") -> None:
        self._ground, self.nodes = ground, list[Raylet]()
        self.env = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        folder = tempfile.mkdtemp(prefix="vtc-", dir="/tmp")
        ground.at_end.callback(shutil.rmtree, folder, ignore_errors=True)
        port = 20_000 + os.getpid() % 20_000
        self.address = f"{host}:{port}"
        words = [
            "--head",
            f"--port={port}",
            f"--node-ip-address={host}",
            f"--temp-dir={folder}",
            "--num-cpus=0",
            "--include-dashboard=false",
        ]
        self.head = self._start([*words, "--include-dashboard=false", "--object-store-memory=100000000"])
        for _ in range(num_nodes):
            self.join()

    def join(self, words: Sequence[str] = (), within: Sequence[str] = ()) -> Raylet:
        """Another node."""
        known = [f"--address={self.address}", "--num-cpus=1", "--object-store-memory=100000000"]
        self.nodes.append(self._start([*known, *words], within))
        return self.nodes[-1]

    def drain(self, node: Raylet) -> None:
        """Tell the cluster that it is to go in NOTICE_S."""
        words = [f"--address={self.address}", f"--node-id={node.key}", "--reason=DRAIN_NODE_REASON_PREEMPTION", "--reason-message=chaos"]
        deadline = f"--deadline-remaining-seconds={NOTICE_S:.0f}"
        done = subprocess.run([*RAY, "drain-node", *words, deadline], env=clean_env(**self.env), capture_output=True, text=True)
        if done.returncode:
            raise NotRun(f"ray drain-node: {done.stderr[-500:]}")

    def _start(self, words: Sequence[str], within: Sequence[str] = ()) -> Raylet:
        node = Raylet()
        self._ground.at_end.callback(node.kill)  # first: `ray start` may be interrupted
        node.start(words, within, self.env)
        return node


def nodes_killed(ground: Ground, times: int) -> Row:
    """One node of three after the other is killed -9 while it works, and another one joins for it."""
    cluster = Cluster(ground, 3)
    search = ground.search(["--address", cluster.address], **cluster.env)
    driver, faults = search.start(), Faults(search)
    while faults.times < times and get_on(search, driver, 2):
        cluster.nodes.pop(0).kill()
        faults.note()
        cluster.join()
    return faults.row(ground.num_trials, *end_of(search, driver))


def followers_killed(ground: Ground, times: int) -> Row:
    """Trials on two workers, each on a node of its own: that of the second is killed -9 while it works, and another one joins for it."""
    cluster, problems = Cluster(ground, 3), list[str]()
    resources = {"cpus_per_trial": 1, "workers_per_trial": 2}
    search = ground.search(["--address", cluster.address], sections={"resources": resources}, **cluster.env)
    driver, faults = search.start(), Faults(search)
    while faults.times < times and get_on(search, driver, 2):
        node = next(node for node in cluster.nodes if node.has("ray::RankWorker"))
        key = node.key
        cluster.nodes.remove(node)
        node.kill()
        faults.note()
        problems += not_said(search, f"has lost its worker on {socket.gethostname()}/{key[:8]}: ", 1, "lost")
        cluster.join()
    return faults.row(ground.num_trials, *end_of(search, driver), *problems, *blamed(search))


def through_all(ground: Ground, times: int) -> Row:
    """Two of three nodes are killed, one joins, the driver is killed, and the same command goes on."""
    cluster = Cluster(ground, 3)
    search = ground.search(["--address", cluster.address], **cluster.env)
    driver, faults, problems = search.start(), Faults(search), list[str]()
    for _ in range(2):
        get_on(search, driver, 2)
        cluster.nodes.pop(0).kill()
        faults.note()
    problems += not_said(search, "a machine is gone", 2)
    cluster.join()
    problems += not_said(search, "a machine has joined", 1)
    get_on(search, driver, 2)
    driver.kill()
    driver.wait()
    time.sleep(1.0)
    faults.note()
    driver = search.start()
    return faults.row(ground.num_trials, *end_of(search, driver), *problems)


def nodes_preempted(ground: Ground, times: int) -> Row:
    """A node is drained with a deadline, as clouds and autoscalers do, or all of its processes get SIGTERM; NOTICE_S later it is gone.

    Another one joins for it.
    """
    cluster = Cluster(ground, 3)
    search = ground.search(["--address", cluster.address], **cluster.env)
    driver, faults = search.start(), Faults(search)
    while faults.times < times and get_on(search, driver, 2):
        caused_ms, node = now_ms(), cluster.nodes.pop(0)
        if faults.times % 2:
            node.kill(signal.SIGTERM)
        else:
            cluster.drain(node)
        time.sleep(NOTICE_S)
        node.kill()
        faults.note(caused_ms)
        cluster.join()
    ended = end_of(search, driver)
    return faults.row(ground.num_trials, *ended, *not_said(search, "told to leave", 1, "preempted"), *blamed(search))


def nodes_join(ground: Ground, times: int) -> Row:
    """A search on one node of one CPU; each that joins has to get a leg."""
    cluster, problems = Cluster(ground, 1), list[str]()
    search = ground.search(["--address", cluster.address], **cluster.env)
    driver, faults = search.start(), Faults(search)
    while faults.times < times and get_on(search, driver):
        node, started_s = cluster.join(), time.monotonic()
        faults.note()
        if not wait_for(lambda: driver.poll() is not None or node.has("ray::LegWorker"), SEEN_S):  # noqa: B023
            problems.append(f"a node that joined has no worker after {time.monotonic() - started_s:.0f} s")
    ended = end_of(search, driver)
    return faults.row(ground.num_trials, *ended, *problems, *not_said(search, "a machine has joined", faults.times))
