"""`visiontune submit`: the same search as a Ray job, with the runtime environment that it needs; safe to repeat.

A job's id comes from the study's name and the content of file and overrides. The same command again follows the job
that runs under this id; after one that ended it starts the next attempt, which goes on from the study's storage.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import shlex
import socket
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

from visiontune.errors import UserError, first_line
from visiontune.filesystem.uri import has_secret, shown
from visiontune.spec.kept_files import teachers_in
from visiontune.spec.plugins import loaded
from visiontune.spec.teacher_files import files_of
from visiontune.tuning.environment import environment
from visiontune.tuning.travelling_files import base_of, copy_to, listed, travelling

CONNECT_S = 5.0
POLL_S = 1.0
STOP_S = 30
"""A stopped search checkpoints, flushes and exits within 20 s; Ray kills after 3 s unless told otherwise."""

FORWARDED = ("RAY_AUTH_MODE", "VISIONTUNE_REMOTE_CACHE", "MLFLOW_TRACKING_URI")
"""Variables of this environment that the job has too: no token, no key and no password, which its machines have by themselves."""

VERBOSE_LOGGERS = (
    "ray.dashboard.modules.job.sdk",
    "ray.dashboard.modules.dashboard_sdk",
    "ray._private.runtime_env.packaging",
    "ray._private.runtime_env.working_dir",
)
"""Loggers of Ray that have a line for every ignored file."""

PACKAGE = Path(__file__).resolve().parents[1]


def submit(
    file: Path,
    address: str,
    overrides: Sequence[str] = (),
    *,
    studies_dir: str | None = None,
    trust_network: bool = False,
    say: Callable[[str], None] = print,
) -> int:
    """Start the search in `file` on the cluster at `address`, or follow it where it runs already; its exit code.

    Raises UserError for the file or the address, ConnectionError where no job server answers, RuntimeError where Ray refuses the job.
    """
    from visiontune.spec.parse import load_study

    spec = load_study(file, overrides)
    if told := [shown(text) for text in overrides if has_secret(text.partition("=")[2])]:
        rule = f"a job's command line is seen by all who see the cluster, so it must hold no password, but {', '.join(told)} has one"
        raise UserError(f"{rule}; for PostgreSQL ~/.pgpass of the head has it, for s3:// its environment")
    client = connect(address)
    if not trust_network:
        _refuse_open_door(address)
    name_base = job_id(spec.study, file.read_bytes(), [*overrides, *spec.plugins])
    name, is_new = attempt(name_base, {job.submission_id: str(job.status) for job in client.list_jobs()})
    if is_new:
        base = base_of(file.resolve())
        _refuse_left_behind(spec.plugins, base)
        _refuse_teachers_left_behind(teachers_in(spec), base)
        paths = travelling(file, overrides)
        say(f"to the cluster goes the package, and {listed(paths, base)}")
        with TemporaryDirectory(prefix="visiontune-job-") as shipped:
            copy_to(Path(shipped), paths, base)
            entrypoint, environment = plan(file.resolve().relative_to(base.resolve()), overrides, shipped, studies_dir)
            say(_where_study_goes(environment["env_vars"].get("VISIONTUNE_STUDIES")))
            _start(client, name, entrypoint, environment)
    say(f"{'started' if is_new else 'runs already'}: job {name} on {address}")
    return follow(client, name)


def connect(address: str) -> Any:
    """A client of Ray's job server. Raises UserError for what is no URL, ConnectionError when nothing answers or the token is refused."""
    url = address if "://" in address else f"http://{address}"
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UserError(f"--address must be the URL of Ray's dashboard such as http://127.0.0.1:8265, but got {address!r}")
    try:  # Ray itself would wait for minutes
        socket.create_connection((parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)), CONNECT_S).close()
    except OSError as error:
        hint = "is the cluster up, and its dashboard forwarded (ray dashboard cluster.yaml)?"
        raise ConnectionError(f"no Ray job server answers at {url} ({error.strerror or error}); {hint}") from error
    from ray.job_submission import JobSubmissionClient

    for name in VERBOSE_LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with environment({"RAY_ADDRESS": None, "RAY_API_SERVER_ADDRESS": None}):  # Ray would let them win over --address
            return JobSubmissionClient(url)
    except Exception as error:
        if "uthenti" in str(error):
            raise ConnectionError(f"{url} wants a token: set RAY_AUTH_MODE=token and have the cluster's in ~/.ray/auth_token") from error
        raise ConnectionError(f"{url} answers, but not as a Ray job server: {first_line(error)}") from error


def _refuse_open_door(address: str) -> None:
    """Ray's job server runs whatever it is sent: one that answers a stranger on a network is anybody's."""
    host = urlsplit(address if "://" in address else f"http://{address}").hostname or ""
    if host == "localhost" or os.environ.get("RAY_AUTH_MODE") == "token":
        return
    with suppress(ValueError):
        if ip_address(host).is_loopback:
            return
    rule = f"{address} takes jobs from whoever reaches it: it asked for no token, and is not on this machine's loopback"
    how = "start the cluster with RAY_AUTH_MODE=token, or forward its dashboard (ray dashboard cluster.yaml; ssh -L 8265:127.0.0.1:8265)"
    raise UserError(f"{rule}; {how}. Where nobody else is on that network: --trust-network")


def job_id(study: str, content: bytes, overrides: Sequence[str]) -> str:
    """The same for the same study, file, and overrides with plugins."""
    digest = hashlib.sha256(b"\0".join([content, *(item.encode() for item in overrides)])).hexdigest()
    return f"visiontune-{study}-{digest[:10]}"


def attempt(base: str, states: Mapping[str | None, str]) -> tuple[str, bool]:
    """The id to use and whether it is new: the job that runs, else the first number that is free."""
    number = 1
    while True:
        name = base if number == 1 else f"{base}-{number}"
        if name not in states:
            return name, True
        if states[name] in ("PENDING", "RUNNING"):
            return name, False
        number += 1


def plan(file: Path, overrides: Sequence[str], shipped: str, studies_dir: str | None = None) -> tuple[str, dict[str, Any]]:
    """The job's command line and runtime environment; `file` is named from the folder that travels."""
    env_vars = {"NO_ALBUMENTATIONS_UPDATE": "1", "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_S), "PYTHONUNBUFFERED": "1"}
    for name in FORWARDED:
        if os.environ.get(name):
            env_vars[name] = os.environ[name]
    if studies := studies_dir or os.environ.get("VISIONTUNE_STUDIES"):
        env_vars["VISIONTUNE_STUDIES"] = studies
    command = ["python", "-m", "visiontune", "search", str(file), *overrides]
    return shlex.join(command), {
        "working_dir": shipped,
        "py_modules": [str(PACKAGE)],
        "excludes": ["**/__pycache__/"],
        "env_vars": env_vars,
    }


def _refuse_left_behind(plugins: Sequence[str], base: Path) -> None:
    """Files travel with their place below `base`; an installed package's plugin is to be on every node already."""
    for plugin in map(loaded, plugins):
        if plugin.content is not None and (Path(plugin.given).is_absolute() or not plugin.path.is_relative_to(base.resolve())):
            rule = f"must lie in {base}, which paths start from on the cluster, and be named from the folder of the study's file"
            raise UserError(f"the plugin {plugin.given} {rule}")


def _refuse_teachers_left_behind(teachers: Iterable[str], base: Path) -> None:
    """Their files travel too, or are named as every node sees them."""
    for teacher in teachers:
        named = files_of(teacher).recipe
        if not named.resolve().is_relative_to(base.resolve()) and not named.is_absolute():
            rule = f"must lie in {base}, which paths start from on the cluster, or be named by its whole path"
            raise UserError(f"the teacher {teacher.partition('@')[0]} {rule}")


def _where_study_goes(studies: str | None) -> str:
    if studies:
        return f"the study goes to {studies} on the cluster; every node must see this folder"
    return (
        "no --studies-dir given: the study goes where VISIONTUNE_STUDIES of the head node says, else to its ~/visiontune-studies, because "
        "a job's own folder is removed with the job; with more than one node it must be a folder that all of them see"
    )


def _start(client: Any, name: str, entrypoint: str, environment: dict[str, Any]) -> None:
    try:
        client.submit_job(entrypoint=entrypoint, submission_id=name, runtime_env=environment)
    except Exception as error:
        if "already exists" not in str(error):  # else another submit was faster: follow its job
            raise RuntimeError(f"Ray did not take the job: {str(error).strip().splitlines()[-1]}") from error


def follow(client: Any, name: str) -> int:
    """Print the job's log until it ends; its exit code: 0, 2 when it refused its input, else 1. Reconnects when the connection is cut."""
    num_printed = 0

    async def tail() -> None:
        nonlocal num_printed
        num_skip = num_printed
        async for chunk in client.tail_job_logs(name):
            fresh = chunk[num_skip:]
            num_skip = max(0, num_skip - len(chunk))
            sys.stdout.write(fresh)
            sys.stdout.flush()
            num_printed += len(fresh)

    while True:
        try:
            asyncio.run(tail())
        except KeyboardInterrupt:
            print(f"job {name} goes on without you; the same command follows it again, `ray job stop {name}` ends it", file=sys.stderr)
            return 1
        except RuntimeError as error:
            if "does not exist" in str(error):
                raise
        status = str(client.get_job_status(name))
        if status in ("SUCCEEDED", "FAILED", "STOPPED"):
            return _exit_code(client.get_job_info(name), status)
        time.sleep(POLL_S)


def _exit_code(info: Any, status: str) -> int:
    if status == "SUCCEEDED":
        return 0
    why = str(info.message or "").strip().partition("\n")[0].partition(", last available")[0]
    tail = f": {why}" if why else ""
    print(f"job {info.submission_id} {status.lower()}{tail}; the same command starts it again and goes on", file=sys.stderr)
    return 2 if getattr(info, "driver_exit_code", None) == 2 else 1
