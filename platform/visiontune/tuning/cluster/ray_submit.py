"""`visiontune submit`: the same search as a Ray job, with the runtime environment that it needs; safe to repeat.

A job's id comes from the study's name and the content of file and overrides. The same command again follows the job
that runs under this id; after one that ended it starts the next attempt, which goes on from the study's storage.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

from visiontune.errors import UserError, last_line
from visiontune.filesystem.study_folder import StudiesFolder
from visiontune.filesystem.uri import has_secret, shown
from visiontune.spec.declarations.teacher_files import files_of
from visiontune.spec.kept_files import teachers_in
from visiontune.spec.plugins import loaded
from visiontune.spec.space.study_spec import StudySpec
from visiontune.tuning.cluster.follow_job import Left, follow, patiently
from visiontune.tuning.cluster.job_client import CONNECT_S, connect
from visiontune.tuning.cluster.travelling_files import base_of, copy_to, listed, travelling
from visiontune.tuning.study.study_place import refuse_renamed_before

_REFUSED = (401, 403)
RETRY_PAUSE_S, LONGEST_RETRY_PAUSE_S = 10.0, 300.0
STOP_S = 30
"""A stopped search checkpoints, flushes and exits within 20 s; Ray kills after 3 s unless told otherwise."""

FORWARDED = ("RAY_AUTH_MODE", "VISIONTUNE_REMOTE_CACHE", "MLFLOW_TRACKING_URI")
"""Variables of this environment that the job has too: no token, no key and no password, which its machines have by themselves."""

PACKAGE = Path(__file__).resolve().parents[2]


def submit(
    file: Path,
    address: str,
    overrides: Sequence[str] = (),
    *,
    studies_dir: str | None = None,
    retries: int = 0,
    trust_network: bool = False,
    say: Callable[[str], None] = print,
) -> int:
    """Start the search in `file` on the cluster at `address`, or follow it where it runs already; its exit code.

    A driver that died with its machine is started again, at most so many times (`retries`).
    Raises UserError for the file, a study that was renamed or the address, ConnectionError where no job server answers, RuntimeError where
    Ray refuses the job.
    """
    from visiontune.spec.parse import load_study

    spec = load_study(file, overrides)
    if told := [shown(text) for text in overrides if has_secret(text.partition("=")[2])]:
        rule = f"a job's command line is seen by all who see the cluster, so it must hold no password, but {', '.join(told)} has one"
        raise UserError(f"{rule}; for PostgreSQL ~/.pgpass of the head has it, for s3:// its environment")
    forwarded = _forwarded()
    _refuse_renamed(_studies(studies_dir), spec.study)
    client = connect(address)
    if not trust_network:
        _refuse_open_door(address)
    name_base = job_id(spec.study, file.read_bytes(), [*overrides, *spec.plugins])

    def start() -> str:
        known = patiently(lambda: {job.submission_id: str(job.status) for job in client.list_jobs()}, say, "nothing was sent yet")
        job, is_new = attempt(name_base, known)
        if is_new:
            _send(client, job, file, overrides, spec, forwarded, studies_dir, say)
        say(f"{'started' if is_new else 'runs already'}: job {job} on {address}")
        return job

    return _followed(client, start, retries, address, say)


def _followed(client: Any, start: Callable[[], str], retries: int, address: str, say: Callable[[str], None]) -> int:
    """Start, follow to the end, and start again what a machine has ended; the exit code."""
    num_left, job = retries, ""
    try:
        while True:
            job = start()
            end = follow(client, job, say)
            if not end.is_machines or not num_left:
                break
            pause_s = min(LONGEST_RETRY_PAUSE_S, RETRY_PAUSE_S * 2 ** (retries - num_left))
            num_left -= 1
            say(f"{end.why}; started again in {pause_s:.0f} s, {num_left} more time{'s'[num_left == 1 :]} after that")
            time.sleep(pause_s)
    except Left as left:
        ends = f"; `ray job stop {job} --address {address}` ends it" if job else ""
        print(f"{left}; the same command follows it again{ends}", file=sys.stderr)
        return 1
    if end.why:
        print(f"{end.why}; the same command starts it again and goes on", file=sys.stderr)
    return end.exit_code


def _refuse_open_door(address: str) -> None:
    """Ray's job server runs whatever it is sent: one that answers a stranger on a network is anybody's."""
    url = address if "://" in address else f"http://{address}"
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return
    with suppress(ValueError):
        if ip_address(host).is_loopback:
            return
    if wants_token(url):
        return
    rule = f"{address} takes jobs from whoever reaches it: it asked for no token, and is not on this machine's loopback"
    how = "start the cluster with RAY_AUTH_MODE=token, or forward its dashboard (ray dashboard cluster.yaml; ssh -L 8265:127.0.0.1:8265)"
    raise UserError(f"{rule}; {how}. Where nobody else is on that network: `trust_network=True`")


def wants_token(url: str) -> bool:
    """Whether the job server refuses who comes without a token; what this process has of tokens says nothing of what it is asked for."""
    import requests  # as Ray's client does, with the same certificates

    with requests.Session() as stranger:
        stranger.auth = lambda request: request  # or requests sends what ~/.netrc has for this host
        try:
            answer = stranger.get(f"{url.rstrip('/')}/api/jobs/", timeout=CONNECT_S, allow_redirects=False, stream=True)
        except requests.RequestException:
            return False
        return answer.status_code in _REFUSED


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


def _send(
    client: Any,
    job: str,
    file: Path,
    overrides: Sequence[str],
    spec: StudySpec,
    forwarded: Mapping[str, str],
    studies_dir: str | None,
    say: Callable[[str], None],
) -> None:
    """Lay together what travels, say it, and start the job."""
    base = base_of(file.resolve())
    _refuse_left_behind(spec.plugins, base)
    _refuse_teachers_left_behind(teachers_in(spec), base)
    paths = travelling(file, overrides)
    say(f"to the cluster goes the package, and {listed(paths, base)}")
    with TemporaryDirectory(prefix="visiontune-job-") as shipped:
        copy_to(Path(shipped), paths, base)
        entrypoint, environment = plan(file.resolve().relative_to(base.resolve()), overrides, shipped, forwarded, studies_dir)
        say(_where_study_goes(environment["env_vars"].get("VISIONTUNE_STUDIES")))
        _start(client, job, entrypoint, environment)


def _forwarded() -> dict[str, str]:
    """Raises UserError for a password in one of them: whoever sees the cluster sees a job's environment."""
    found = {name: os.environ[name] for name in FORWARDED if os.environ.get(name)}
    for name, value in found.items():
        if has_secret(value):
            rule = f"{name} is shown to all who see the cluster, with the job, so it must hold no password, but {shown(value)} has one"
            raise UserError(f"{rule}; the machines have it by themselves, such as MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD")
    return found


def plan(
    file: Path, overrides: Sequence[str], shipped: str, forwarded: Mapping[str, str], studies_dir: str | None = None
) -> tuple[str, dict[str, Any]]:
    """The job's command line and runtime environment; `file` is named from the folder that travels."""
    env_vars = {"NO_ALBUMENTATIONS_UPDATE": "1", "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_S), "PYTHONUNBUFFERED": "1", **forwarded}
    if studies := _studies(studies_dir):
        env_vars["VISIONTUNE_STUDIES"] = studies
    command = ["python", "-m", "visiontune", "search", str(file), *overrides]
    return shlex.join(command), {
        "working_dir": shipped,
        "py_modules": [str(PACKAGE)],
        "excludes": ["**/__pycache__/"],
        "env_vars": env_vars,
    }


def _studies(studies_dir: str | None) -> str | None:
    """Raises UserError for a path that starts from the job's own folder, which is removed with the job."""
    studies = studies_dir or os.environ.get("VISIONTUNE_STUDIES") or None
    if studies and not studies.startswith(("/", "~")):
        where = "studies_dir" if studies_dir else "VISIONTUNE_STUDIES"
        rule = "must be a whole path on the cluster, as a job's own folder is removed with the job"
        raise UserError(f"{where} {rule}, but got {studies!r}; here that is {Path(studies).absolute()}")
    return studies


def _refuse_renamed(studies: str | None, study: str) -> None:
    """What the job would refuse, where this machine sees the folder that it is to write to: one that is shared has the same path here."""
    if studies and Path(studies).is_absolute() and Path(studies).is_dir():
        refuse_renamed_before(StudiesFolder(Path(studies)), study)


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
        "no studies_dir given: the study goes where VISIONTUNE_STUDIES of the head node says, else to its ~/visiontune-studies, because "
        "a job's own folder is removed with the job; with more than one node it must be a folder that all of them see"
    )


def _start(client: Any, name: str, entrypoint: str, environment: dict[str, Any]) -> None:
    try:
        client.submit_job(entrypoint=entrypoint, submission_id=name, runtime_env=environment)
    except Exception as error:
        if "already exists" not in str(error):  # else another submit was faster: follow its job
            raise RuntimeError(f"Ray did not take the job: {last_line(error)}") from error
