"""The machines: start Ray here or join a cluster, and settle what a trial gets of them."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from visiontune.errors import NoCluster, Problem, SearchFailed, UserError, first_line
from visiontune.filesystem.cgroup import num_cpus
from visiontune.filesystem.uri import shown
from visiontune.spec.space.slots import settled_cpus, workers_on
from visiontune.spec.space.study_spec import Resources
from visiontune.tuning.cluster.environment import environment
from visiontune.tuning.cluster.interruption import deaf_to_hangups, heard_afterwards, own_sigterm
from visiontune.tuning.cluster.ray_nodes import may_start_gpus
from visiontune.tuning.cluster.ray_start import agents_of_known_ports, no_idle_helpers
from visiontune.tuning.cluster.ray_temp_folder import refuse_temp_folder
from visiontune.tuning.cluster.reach_head import refuse_unreachable
from visiontune.tuning.cluster.shipped_code import runtime_env

SETTINGS = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # no files for each trial
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # the driver has its own
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",  # the study is the state
    "TUNE_RESULT_BUFFER_LENGTH": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_raylet_start_wait_time_s": "120",  # 30 are too few on a machine that is very busy
    "RAY_agent_register_timeout_ms": "120000",  # as are these
    "RAY_worker_register_timeout_seconds": "600",  # and 60, after which Ray forgets a worker that its first driver then awaits for ever
    "NO_ALBUMENTATIONS_UPDATE": "1",
}
"""Environment of Ray and of the workers that inherit it, while a search runs; what the user has set stays."""
_SET_BY_RAY = ("RAY_AUTH_MODE", "PYTHONBREAKPOINT")  # when it starts, and left behind

# It answers strangers and friends alike with silence (ray 2.60), and that something listens there was looked at before.
_OF_TOKENS = "; most likely it wants another token: RAY_AUTH_MODE=token, with the cluster's in ~/.ray/auth_token or RAY_AUTH_TOKEN"


def check_address(address: str | None) -> None:
    """Raise NoCluster within half a minute when no head of a cluster answers at the address (or at RAY_ADDRESS): Ray would try for longer.

    Raises UserError for what is no address, where Ray runs in this process already (there can be one only), and where it can't start here
    for its folder.
    """
    if "ray" in sys.modules and sys.modules["ray"].is_initialized():
        rule = "a search starts Ray or joins a cluster itself, but Ray is initialised in this process already"
        raise UserError(f"{rule}: call ray.shutdown() first, or search in another process")
    if not isinstance(address, str | None):
        raise UserError(f"an address of a Ray cluster is text, auto or HOST:PORT, but got {address!r}")
    named = address_of(address)
    whose = "the address" if address else "RAY_ADDRESS"
    scheme, _, place = named.rpartition("://")
    host, _, port = place.rpartition(":")
    if named == "local":
        refuse_temp_folder()
    if named in ("auto", "local"):
        return
    if scheme in ("http", "https"):
        rule = f"{whose} is that of Ray's dashboard, {shown(named)}; a search joins HOST:6379 or auto from a machine of the cluster"
        raise UserError(f"{rule}, and from elsewhere it is sent: visiontune submit FILE --address {shown(named)}")
    if scheme == "ray":
        rule = f"{whose} is {shown(named)}, but a search can't run through Ray's client: its driver has to be on a machine of the cluster"
        raise UserError(f"{rule}; visiontune submit FILE --address http://{host}:8265 starts it there")
    is_port = port.isascii() and port.isdigit() and 1 <= int(port) <= 65_535
    if scheme or not host or not is_port:
        raise UserError(f"{whose} is a Ray address, auto or HOST:PORT, but got {shown(named)!r}")
    refuse_unreachable(named, host, int(port))


@contextmanager
def cluster(address: str | None, files: Iterable[Path] = ()) -> Iterator[None]:
    """Ray for as long as the block runs: the cluster at `address` (or in RAY_ADDRESS), else one on this machine.

    A cluster is sent this package, and `files` of this folder. Raises NoCluster where it can't be joined, SearchFailed where Ray does not
    start here, UserError for files that can't be sent.
    """
    had = {name: os.environ[name] for name in (*SETTINGS, *_SET_BY_RAY) if name in os.environ}
    with tokens_asked_anew(), environment(dict.fromkeys(_SET_BY_RAY) | SETTINGS | had):
        with heard_afterwards():
            import ray

        logging.getLogger("ray").setLevel(logging.ERROR)
        common: dict[str, Any] = {"address": address_of(address), "log_to_driver": False, "logging_level": logging.ERROR}
        try:
            with deaf_to_hangups(), own_sigterm():
                if is_local(address):
                    cpus = num_cpus()  # of a binding (taskset, Slurm) Ray does not know
                    with agents_of_known_ports(), no_idle_helpers():
                        ray.init(**common, num_cpus=cpus, include_dashboard=False)
                else:
                    with runtime_env(files) as sent:
                        ray.init(**common, runtime_env=sent)
        except UserError:
            raise
        except Exception as error:  # Ray raises some of its own as just that, as of a node that takes too long to start
            if is_local(address):
                raise SearchFailed(f"Ray does not start on this machine: {first_line(error)}") from error
            hint = _OF_TOKENS if isinstance(error, ConnectionError) else ""
            raise NoCluster(f"the Ray cluster at {address_of(address)} can't be joined: {first_line(error)}{hint}") from error
        close_token()
        try:
            with unprinted_news():
                yield
        finally:
            ray.shutdown()


@contextmanager
def tokens_asked_anew() -> Iterator[None]:
    """A process keeps whether its calls carry a token, which a Ray that starts here decides for them. Kept, it would refuse the calls of a
    cluster without tokens that is joined later, whose actors would then end as they start (ray 2.60).
    """
    try:
        yield
    finally:
        raylet = sys.modules.get("ray._raylet")  # where Ray was not imported, or not to the end, there is nothing to forget
        with suppress(AttributeError):  # Ray's own, not promised to anybody
            if raylet is not None:
                raylet.Config.initialize("")  # from the environment, and first: a thread that is ending still may ask for the token
                raylet.AuthenticationTokenLoader.instance().reset_cache()


@contextmanager
def unprinted_news() -> Iterator[None]:
    """Ray prints on the standard output what it tells every driver, whatever `log_to_driver` says: twenty lines of a lost raylet's
    state, or how its autoscaler fares (ray 2.60). A search has its own sentence for each, and Ray's stand in its logs.
    """
    from ray._private import worker

    printed = worker.print_to_stdstream
    worker.print_to_stdstream = lambda *_, **__: None
    try:
        yield
    finally:
        worker.print_to_stdstream = printed


def close_token(path: Path | None = None) -> None:
    """Ray lets every user of a machine read the token by which they could run code as this one; by default ~/.ray/auth_token."""
    token = path or Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    with suppress(OSError):
        if token.stat().st_mode & 0o077:
            token.chmod(0o600)


def address_of(address: str | None) -> str:
    """What Ray is asked for: the address, else RAY_ADDRESS, else "local"."""
    return address or os.environ.get("RAY_ADDRESS") or "local"


def is_local(address: str | None) -> bool:
    """Whether Ray is started on this machine and no cluster joined."""
    return address_of(address) == "local"


def trial_resources(resources: Resources, address: str | None) -> dict[str, float]:
    """What Ray is to reserve for a leg; "auto" is settled by what is there now. Raises UserError where this machine lacks it."""
    import ray

    total = ray.cluster_resources()
    gpus = resources.gpus_per_trial
    if gpus == "auto":
        gpus = 1.0 if total.get("GPU", 0) or (not is_local(address) and may_start_gpus()) else 0.0
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    cpus = settled_cpus(resources, float(gpus), ((node.get("CPU", 0.0), node.get("GPU", 0.0)) for node in nodes))
    wanted = {"cpu": float(cpus), "gpu": float(gpus)}
    if is_local(address):
        for name, amount in wanted.items():
            there = total.get(name.upper(), 0.0)
            if amount > there:
                rule = f"{amount:g} wanted, but this machine has {there:g} {name.upper()}s"
                raise UserError(Problem("", 0, f"resources.{name}s_per_trial", rule))
    num, has_room = resources.workers_per_trial, sum(workers_on(node.get("CPU", 0.0), node.get("GPU", 0.0), wanted) for node in nodes)
    is_waited_for = isinstance(resources.max_concurrent_trials, int) and not is_local(address)
    if num > 1 and num > has_room and not is_waited_for:
        each = " and ".join(f"{amount:g} {name.upper()}{'s'[amount == 1 :]}" for name, amount in wanted.items() if amount)
        where = "this machine" if is_local(address) else "the cluster as it is, and max_concurrent_trials names no number that may wait"
        rule = f"{num} workers with {each} each, but {where} has room for {has_room}; nearest is {max(1, has_room)}"
        raise UserError(Problem("", 0, "resources.workers_per_trial", rule))
    return wanted


def note_of_gpus(resources: Resources, wanted: Mapping[str, float], address: str | None) -> str:
    """What is to be said where "auto" found no GPU on a cluster, which may have some that are not up yet; "" where nothing is."""
    if resources.gpus_per_trial != "auto" or wanted["gpu"] or is_local(address):
        return ""
    return "no machine with a GPU is up, so trials train on CPUs; resources.gpus_per_trial=1 waits for GPUs"
