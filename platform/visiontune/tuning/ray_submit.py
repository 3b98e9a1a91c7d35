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
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from visiontune.errors import UserError, first_line
from visiontune.spec.kept_files import teachers_in
from visiontune.spec.plugins import loaded
from visiontune.spec.teacher_files import files_of
from visiontune.tuning.environment import environment

CONNECT_S = 5.0
POLL_S = 1.0
STOP_S = 30
"""A stopped search checkpoints, flushes and exits within 20 s; Ray kills after 3 s unless told otherwise."""

VERBOSE_LOGGERS = (
    "ray.dashboard.modules.job.sdk",
    "ray.dashboard.modules.dashboard_sdk",
    "ray._private.runtime_env.packaging",
    "ray._private.runtime_env.working_dir",
)
"""Loggers of Ray that have a line for every ignored file."""

EXCLUDES = [".git/", ".venv/", "studies/", "mlruns/", "build/", "**/__pycache__/", ".mypy_cache/", ".ruff_cache/", ".pytest_cache/"]
CHECKOUT = Path(__file__).resolve().parents[3]


def submit(
    file: Path, address: str, overrides: Sequence[str] = (), *, studies_dir: str | None = None, say: Callable[[str], None] = print
) -> int:
    """Start the search in `file` on the cluster at `address`, or follow it where it runs already; its exit code.

    Raises UserError for the file or the address, ConnectionError where no job server answers, RuntimeError where Ray refuses the job.
    """
    from visiontune.spec.parse import load_study

    spec = load_study(file, overrides)
    client = connect(address)
    base = job_id(spec.study, file.read_bytes(), [*overrides, *spec.plugins])
    name, is_new = attempt(base, {job.submission_id: str(job.status) for job in client.list_jobs()})
    if is_new:
        entrypoint, environment = plan(file, overrides, studies_dir)
        _refuse_left_behind(spec.plugins, Path(environment["working_dir"]))
        _refuse_teachers_left_behind(teachers_in(spec), Path(environment["working_dir"]))
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


def plan(file: Path, overrides: Sequence[str], studies_dir: str | None = None) -> tuple[str, dict[str, Any]]:
    """The job's command line and runtime environment.

    A file inside the checkout travels with it. For any other file its folder travels, and the package beside it.
    """
    file = file.resolve()
    is_checkout = (CHECKOUT / "platform" / "visiontune").is_dir() and (CHECKOUT / "jobs" / "search.py").is_file()
    env_vars = {"NO_ALBUMENTATIONS_UPDATE": "1", "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_S), "PYTHONUNBUFFERED": "1"}
    environment: dict[str, Any] = {"excludes": EXCLUDES, "env_vars": env_vars}
    if is_checkout and file.is_relative_to(CHECKOUT):
        environment["working_dir"] = str(CHECKOUT)
        env_vars["PYTHONPATH"] = "platform"
        command = ["python", "jobs/search.py", str(file.relative_to(CHECKOUT))]
    else:
        environment |= {"working_dir": str(file.parent), "py_modules": [str(Path(__file__).resolve().parents[1])]}
        command = ["python", "-m", "visiontune", "search", file.name]
    for name in ("RAY_AUTH_MODE", "VISIONTUNE_REMOTE_CACHE"):
        if os.environ.get(name):
            env_vars[name] = os.environ[name]
    if studies := studies_dir or os.environ.get("VISIONTUNE_STUDIES"):
        env_vars["VISIONTUNE_STUDIES"] = studies
    return shlex.join([*command, *overrides]), environment


def _refuse_left_behind(plugins: Sequence[str], shipped: Path) -> None:
    """Files travel with the folder that they are in; an installed package's plugin is to be on every node already."""
    for plugin in map(loaded, plugins):
        if plugin.content is not None and (Path(plugin.given).is_absolute() or not plugin.path.is_relative_to(shipped.resolve())):
            rule = f"must lie in the folder that travels to the cluster, {shipped}, and be named from the folder of the study's file"
            raise UserError(f"the plugin {plugin.given} {rule}")


def _refuse_teachers_left_behind(teachers: Iterable[str], shipped: Path) -> None:
    """Their files travel with the folder that they are in, without what is left out of it, or are named as every node sees them."""
    out = [shipped.resolve() / name.rstrip("/") for name in EXCLUDES if "*" not in name]
    for teacher in teachers:
        named = files_of(teacher).recipe
        is_within = named.resolve().is_relative_to(shipped.resolve()) and not any(named.resolve().is_relative_to(one) for one in out)
        if not is_within and not named.is_absolute():
            rule = f"must lie in the folder that travels to the cluster, {shipped}, outside of studies, or be named by its whole path"
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
