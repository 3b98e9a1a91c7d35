"""Faults of what a search leans on: MLflow's server, the study's database, the network, another driver."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

from parts.chaos_cluster import Cluster
from parts.chaos_ground import Faults, Ground, NotRun, Row, begin, end_of, get_on
from parts.killable_search import wait_for

AWAY_S = 20.0
CUT_S = 60.0
POSTGRES = Path("/usr/lib/postgresql/15/bin")
REFUSED_S = 120.0


def database_restarts(ground: Ground, times: int) -> Row:
    """PostgreSQL is stopped as a power cut would, and started again some seconds later."""
    database = Postgres(ground)
    search = ground.search(sections={"storage": {"url": database.url}})
    driver, faults = begin(search), Faults(search, database.url)
    while faults.times < times and get_on(search, driver, 2):
        database.control("-m", "immediate", "stop")
        time.sleep(ground.draw.uniform(1.0, 5.0))
        database.start()
        faults.note()
    return faults.row(ground.num_trials, *end_of(search, driver))


def two_drivers(ground: Ground, times: int) -> Row:
    """Another driver starts the same study from a folder of its own, on the same database; the search has to outlast its watch of 15 s."""
    database = Postgres(ground)
    sections = {"storage": {"url": database.url}}
    search = ground.search(sections=sections)
    driver, faults, problems = begin(search), Faults(search, database.url), list[str]()
    while faults.times < times and get_on(search, driver):
        second = ground.search(sections=sections)
        other = second.start()
        faults.note()
        code = wait_for(lambda: other.poll() is not None and f"{other.returncode}", REFUSED_S)  # noqa: B023
        if code != "2" or "is already driven by" not in second.tail():
            problems.append(f"the second driver ended with {code}: {second.tail()}")
        second.end()
    return faults.row(ground.num_trials, *end_of(search, driver), *problems)


def network_cut(ground: Ground, times: int) -> Row:
    """One of two nodes is in a network namespace of its own, whose link to the others is down for CUT_S."""
    name, here, there = f"vtc{os.getpid() % 100_000}", f"10.213.{os.getpid() % 250}.1", f"10.213.{os.getpid() % 250}.2"
    for words in (f"netns add {name}", f"link add {name}a type veth peer name {name}b", f"link set {name}b netns {name}"):
        _ip(words)
        if words.startswith("netns"):
            ground.at_end.callback(subprocess.run, ["ip", "netns", "del", name], capture_output=True)
    within = f"netns exec {name} ip"
    for words in (f"addr add {here}/24 dev {name}a", f"link set {name}a up", f"{within} addr add {there}/24 dev {name}b"):
        _ip(words)
    for words in (f"{within} link set {name}b up", f"{within} link set lo up"):
        _ip(words)
    cluster = Cluster(ground, 0, here)
    cluster.join([f"--node-ip-address={here}"])
    cluster.join([f"--node-ip-address={there}"], ["ip", "netns", "exec", name])
    search = ground.search(["--address", cluster.address], **cluster.env)
    driver, faults = search.start(), Faults(search)
    while faults.times < times and get_on(search, driver, 4):
        _ip(f"link set {name}a down")
        faults.note()
        time.sleep(CUT_S)
        _ip(f"link set {name}a up")
    return faults.row(ground.num_trials, *end_of(search, driver))


def _ip(words: str) -> None:
    if shutil.which("ip") is None or (done := subprocess.run(["ip", *words.split()], capture_output=True, text=True)).returncode:
        raise NotRun("no ip command here" if shutil.which("ip") is None else f"ip {words}: {done.stderr.strip()}")


class Postgres:
    """A server of its own on loopback, by Debian's package; run by the user postgres where this is root, whom it refuses."""

    def __init__(self, ground: Ground) -> None:
        if not POSTGRES.is_dir():
            raise NotRun(f"no PostgreSQL in {POSTGRES}")
        self._folder, self._port = ground.folder / "postgres", free_port()
        self._as = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        self._folder.mkdir()
        if self._as:
            ground.folder.chmod(0o755)
            shutil.chown(self._folder, "postgres")
        self._run("initdb", "-D", str(self._folder / "data"), "-A", "trust", "-U", "postgres")
        ground.at_end.callback(self.control, "-m", "immediate", "stop")
        self.start()
        self.url = f"postgresql://postgres@127.0.0.1:{self._port}/postgres"

    def start(self) -> None:
        """And wait until it answers."""
        options = f"-p {self._port} -c listen_addresses=127.0.0.1 -k {self._folder}"
        self.control("-w", "-o", options, "-l", str(self._folder / "log"), "start")

    def control(self, *words: str) -> None:
        """By pg_ctl."""
        self._run("pg_ctl", "-D", str(self._folder / "data"), *words)

    def _run(self, program: str, *words: str) -> None:
        subprocess.run([*self._as, str(POSTGRES / program), *words], cwd="/", capture_output=True, timeout=120)


def free_port() -> int:
    """One that nobody listens at now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def is_open(port: int) -> bool:
    """Whether somebody listens at it."""
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0
