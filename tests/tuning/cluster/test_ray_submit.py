"""`visiontune submit` against a job server that is made up, one that is silent, and Ray's own."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from job_server import JobServer
from places import DIGITS, ROOT

from visiontune.errors import UserError
from visiontune.spec.parse import load_study
from visiontune.tuning.cluster import follow_job, job_client
from visiontune.tuning.cluster import ray_submit as door


class Server:
    """What `submit` uses of Ray's client; a submitted job ends at once as the first of `ends` says. `cuts` connections break."""

    def __init__(self, jobs: dict[str, str] | None = None, ends: str = "SUCCEEDED", exit_code: int | None = 0, cuts: int = 0) -> None:
        self.jobs, self.ends, self.cuts = dict(jobs or {}), [(ends, exit_code, "")], cuts
        self.submitted: list[dict[str, Any]] = []
        self.travelled: list[str] = []

    def list_jobs(self) -> list[Any]:
        return [SimpleNamespace(submission_id=name, status=status) for name, status in self.jobs.items()]

    def submit_job(self, **job: Any) -> str:
        self.submitted.append(job)
        shipped = Path(job["runtime_env"]["working_dir"])
        self.travelled = sorted(str(path.relative_to(shipped)) for path in shipped.rglob("*") if path.is_file())
        self.jobs[job["submission_id"]] = "RUNNING"
        return str(job["submission_id"])

    async def tail_job_logs(self, name: str) -> AsyncIterator[str]:
        yield "one\ntw"
        if self.cuts:
            self.cuts -= 1
            raise RuntimeError("WebSocket connection closed unexpectedly")
        yield "o\nthree\n"
        self.jobs[name], self.exit_code, self.error_type = self.ends[0]
        self.ends = self.ends[1:] or self.ends

    def get_job_status(self, name: str) -> str:
        return self.jobs[name]

    def get_job_info(self, name: str) -> Any:
        message = "Job entrypoint command failed with exit code 1, last available logs (truncated):\nthree"
        return SimpleNamespace(submission_id=name, message=message, driver_exit_code=self.exit_code, error_type=self.error_type)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    made = Server()
    monkeypatch.setattr(door, "connect", lambda _: made)
    monkeypatch.setattr(follow_job, "POLL_S", 0.0)
    return made


def test_the_same_command_has_the_same_job() -> None:
    content = DIGITS.read_bytes()
    assert door.job_id("digits", content, ["a=1"]) == door.job_id("digits", content, ["a=1"])
    others = [door.job_id("digits", content, []), door.job_id("digits", content + b"#", ["a=1"]), door.job_id("other", content, ["a=1"])]
    assert len({*others, door.job_id("digits", content, ["a=1"])}) == 4


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ({}, ("j", True)),
        ({"j": "RUNNING"}, ("j", False)),
        ({"j": "PENDING"}, ("j", False)),
        ({"j": "FAILED"}, ("j-2", True)),
        ({"j": "SUCCEEDED", "j-2": "STOPPED"}, ("j-3", True)),
        ({"j": "FAILED", "j-2": "RUNNING"}, ("j-2", False)),
        ({None: "RUNNING", "k": "RUNNING"}, ("j", True)),
    ],
)
def test_a_running_job_is_followed_and_an_ended_one_tried_again(states: dict[str | None, str], expected: tuple[str, bool]) -> None:
    assert door.attempt("j", states) == expected


def test_two_submits_start_one_job(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    name = door.job_id("digits", DIGITS.read_bytes(), [])
    server.jobs[name] = "RUNNING"
    server.get_job_status = lambda _: "SUCCEEDED"  # type: ignore[method-assign]
    assert door.submit(DIGITS, "http://127.0.0.1") == 0
    assert server.submitted == [] and f"runs already: job {name}" in capsys.readouterr().out


def test_the_job_of_a_file_in_this_folder(server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "secret")
    monkeypatch.setenv("VISIONTUNE_REMOTE_CACHE", "s3://team/stores")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "secret")
    assert door.submit(DIGITS, "http://127.0.0.1", ["budget.num_trials=2"], studies_dir="/shared") == 0
    job = server.submitted[0]
    assert job["entrypoint"] == "python -m visiontune search search_spaces/digits.yaml budget.num_trials=2"
    assert server.travelled == ["search_spaces/digits.yaml"]
    environment = job["runtime_env"]
    assert environment["py_modules"] == [str(ROOT / "platform" / "visiontune")]
    variables = environment["env_vars"]
    assert variables["MLFLOW_TRACKING_URI"] == "http://127.0.0.1:5000" and variables["NO_ALBUMENTATIONS_UPDATE"] == "1"
    assert variables["VISIONTUNE_STUDIES"] == "/shared" and variables["RAY_AUTH_MODE"] == "token"
    assert variables["VISIONTUNE_REMOTE_CACHE"] == "s3://team/stores"
    assert float(variables["RAY_JOB_STOP_WAIT_TIME_S"]) >= 20  # a stopped search may take 20 s to flush
    assert "secret" not in str(job)
    assert "one\ntwo\nthree\n" in capsys.readouterr().out


def test_the_package_travels_with_a_file_from_elsewhere(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And what it names, but nothing else that lies beside it, not even under the name of a key, the study or a source."""
    file = tmp_path / "my space.yaml"
    file.write_text(f"start: [best.yaml]\n{DIGITS.read_text()}")
    hidden = (".ssh/id_rsa", "pictures/.git/config", "pictures/a/.token")
    for name in (*hidden, "private.txt", "pictures/a/1.png", "other.py", "data/1.png", "digits/journal.log"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "my_models.py").write_text("PLUGINS = {}\n")
    (tmp_path / "best.yaml").write_text("{optimizer.lr: 0.1}\n")
    monkeypatch.setattr("visiontune.spec.parse.load_study", lambda file, overrides: load_study(DIGITS))
    door.submit(file, "http://127.0.0.1", ["data.path=pictures", "plugins=[my_models.py]"])
    job = server.submitted[0]
    assert job["entrypoint"] == "python -m visiontune search 'my space.yaml' data.path=pictures 'plugins=[my_models.py]'"
    assert server.travelled == ["best.yaml", "my space.yaml", "my_models.py", "pictures/a/1.png"]
    assert "goes the package, and best.yaml, my space.yaml, my_models.py, pictures/ (1 file)" in (said := capsys.readouterr().out)
    assert job["runtime_env"]["py_modules"] == [str(ROOT / "platform" / "visiontune")]
    assert "~/visiontune-studies" in said  # where the study goes is said


def test_what_is_wrong_never_leaves_the_machine(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(DIGITS.read_text().replace("budget", "budgett"))
    with pytest.raises(UserError, match="budgett"):
        door.submit(file, "http://127.0.0.1")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@mlflow:5000")
    with pytest.raises(UserError, match=r"must hold no password, but http://mlflow:5000 has one"):
        door.submit(DIGITS, "http://127.0.0.1")
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    with pytest.raises(UserError, match=r"studies_dir must be a whole path on the cluster, .* but got 'studies'; here that is /"):
        door.submit(DIGITS, "http://127.0.0.1", studies_dir="studies")  # it went, and the study was gone with its job
    assert server.submitted == []


def test_a_door_that_is_open_to_a_network_is_not_used_without_a_word(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray's job server runs whatever it is sent (CVE-2023-48022)."""
    monkeypatch.setenv("RAY_AUTH_MODE", "token")  # of this machine, which says nothing of that one
    monkeypatch.setattr(door, "wants_token", lambda url: False)
    tricks = ("http://localhost.example:8265", "http://127.0.0.1@10.0.0.1:8265", "http://[::ffff:10.0.0.1]:8265", "http://0.0.0.0:8265")
    for address in ("http://10.0.0.1:8265", "head.example:8265", *tricks):
        with pytest.raises(UserError, match=r"takes jobs from whoever reaches it: .* `trust_network=True`"):
            door.submit(DIGITS, address)
    assert server.submitted == []
    assert door.submit(DIGITS, "http://10.0.0.1:8265", trust_network=True) == 0
    monkeypatch.setattr(door, "wants_token", lambda url: url == "http://10.0.0.1:8265")
    assert door.submit(DIGITS, "10.0.0.1:8265") == 0
    assert len(server.submitted) == 2


def test_whether_a_job_server_wants_a_token_it_is_asked_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a stranger, whatever this machine has for it."""
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret")
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    server = JobServer()
    url = server.start()
    assert not door.wants_token(url)
    server.token = "secret"
    assert door.wants_token(url) and door.wants_token(f"{url}/")
    server.kill()
    assert not door.wants_token(url)


@pytest.mark.parametrize(("ends_in", "exit_code", "expected"), [("SUCCEEDED", 0, 0), ("FAILED", 1, 1), ("FAILED", 2, 2), ("STOPPED", 0, 1)])
def test_the_exit_code_is_the_jobs(server: Server, ends_in: str, exit_code: int, expected: int, capsys: pytest.CaptureFixture[str]) -> None:
    server.ends = [(ends_in, exit_code, "JOB_ENTRYPOINT_COMMAND_ERROR")]
    assert door.submit(DIGITS, "http://127.0.0.1", retries=3) == expected and len(server.submitted) == 1
    err = capsys.readouterr().err
    assert len(err.splitlines()) == (0 if expected == 0 else 1) and "last available" not in err


def test_a_driver_that_died_with_its_machine_is_started_again(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its node is lost, then the kernel kills it for want of memory; the search ends by itself the third time."""
    monkeypatch.setattr(door, "RETRY_PAUSE_S", 0.0)
    deaths = [("FAILED", None, "JobErrorType.JOB_SUPERVISOR_ACTOR_DIED"), ("FAILED", -9, ""), ("FAILED", 2, "")]
    server.ends = list(deaths)
    assert door.submit(DIGITS, "http://127.0.0.1", retries=3) == 2
    said = capsys.readouterr()
    assert [job["submission_id"][-2:] for job in server.submitted][1:] == ["-2", "-3"] and said.out.count("started again in 0 s") == 2
    server.ends = list(deaths)
    assert door.submit(DIGITS, "http://127.0.0.1", retries=1) == 1 and len(server.submitted) == 5


def test_a_cut_connection_repeats_no_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(follow_job, "POLL_S", 0.0)
    assert follow_job.follow(Server({"j": "RUNNING"}, cuts=3), "j", print).exit_code == 0
    assert capsys.readouterr().out == "one\ntwo\nthree\n"


@pytest.mark.heavy
def test_a_dashboard_that_dies_takes_no_job_with_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Killed while the log is followed, and back on its port; then back as another head, which knows of no job."""
    monkeypatch.setattr(follow_job, "POLL_S", 0.0)
    monkeypatch.setattr(follow_job, "FIRST_PAUSE_S", 0.05)
    dashboard, said = JobServer(), []
    client, dashboard.log = door.connect(dashboard.start()), "one\n"

    def comes_back(name: str, status: str) -> None:
        dashboard.kill()
        dashboard.name, dashboard.status, dashboard.on_connect = name, status, lambda: None
        threading.Timer(0.3, dashboard.start).start()

    dashboard.on_connect = lambda: comes_back("j", "SUCCEEDED")
    assert follow_job.follow(client, "j", said.append).exit_code == 0
    assert capsys.readouterr().out == "one\nthe end\n"
    assert len(said) > 1 and "the job server does not answer (ConnectionError); job j goes on meanwhile; asked again in" in said[0]
    dashboard.name, dashboard.status = "k", "RUNNING"
    dashboard.on_connect = lambda: comes_back("another", "RUNNING")
    end = follow_job.follow(client, "k", said.append)
    assert end.is_machines and "the head that ran it was lost" in end.why
    dashboard.kill()


def test_who_leaves_a_job_is_told_how_to_find_it(
    monkeypatch: pytest.MonkeyPatch, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(follow_job, "GIVE_UP_S", 0.0)

    def no_answer(name: str) -> str:
        raise OSError("no route to host")

    for why, error in (("no job server answered for 0 minutes", no_answer), ("goes on without you", interrupt)):
        monkeypatch.setattr(server, "get_job_status", error)
        server.jobs.clear()
        assert door.submit(DIGITS, "http://127.0.0.1", retries=2) == 1
        err = capsys.readouterr().err
        assert why in err and re.search(r"follows it again; `ray job stop visiontune-digits-\w+ --address http://127.0.0.1` ends it", err)


def interrupt(name: str) -> str:
    raise KeyboardInterrupt


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_an_address_where_nothing_answers_is_one_sentence() -> None:
    with pytest.raises(ConnectionError, match=r"no Ray job server answers at http://127\.0\.0\.1"):
        door.connect(f"127.0.0.1:{free_port()}")


@pytest.mark.parametrize(
    "address", ["ray://127.0.0.1:10001", "http://127.0.0.1:99999", "http://h:abc", "h:abc", "http://[::1", "http://a..b:80", "http://"]
)
def test_what_is_no_address_is_the_users_mistake(address: str) -> None:
    with pytest.raises(UserError, match=rf"^the address must be the URL of Ray's dashboard .*, but got '{re.escape(address)}'$"):
        door.submit(DIGITS, address)


def test_a_server_that_takes_connections_and_never_answers_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a dashboard whose process is frozen: Ray's own client waits for it for ever."""
    monkeypatch.setattr(job_client, "ANSWER_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as frozen:
        late = threading.Timer(20.0, frozen.close)
        late.start()
        with pytest.raises(ConnectionError, match=r"takes connections, but has not answered within 0\.2 s; is the cluster up"):
            door.connect(f"127.0.0.1:{frozen.getsockname()[1]}")
        late.cancel()


def test_a_server_that_is_not_ray_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its address wins over Ray's own variable, which this process keeps."""
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:1")
    port = free_port()
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "-d", str(tmp_path)]
    stranger = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while socket.socket().connect_ex(("127.0.0.1", port)):
            time.sleep(0.05)
        with pytest.raises(ConnectionError, match="answers, but not as a Ray job server"):
            door.connect(f"http://127.0.0.1:{port}")
        assert os.environ["RAY_ADDRESS"] == "http://127.0.0.1:1"
    finally:
        stranger.terminate()
        stranger.wait()


@contextmanager
def head(folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """`ray start --head` with a token: its job server's URL and the environment of whoever may talk to it."""
    port, dashboard = free_port(), free_port()
    paths = {"HOME": str(folder), "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    env = {**os.environ, **paths, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "a" * 64, "PYTHONPATH": str(ROOT / "platform")}
    options = [f"--port={port}", f"--dashboard-port={dashboard}", f"--dashboard-agent-listen-port={free_port()}", "--num-cpus=2"]
    options += [f"--ray-client-server-port={free_port()}", "--dashboard-host=127.0.0.1", f"--temp-dir={folder / 'r'}", "--block"]
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--disable-usage-stats", *options]
    with (folder / "head.log").open("w") as log:
        process = subprocess.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True)
    try:
        while socket.socket().connect_ex(("127.0.0.1", dashboard)):
            assert process.poll() is None, (folder / "head.log").read_text()[-2000:]
            time.sleep(0.2)
        yield f"http://127.0.0.1:{dashboard}", env
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.ray
def test_a_search_on_a_cluster_with_a_token() -> None:
    folder = Path("/tmp") / f"vt{os.getpid()}"  # a socket's path has 107 characters at most
    folder.mkdir()
    small = ["budget.num_trials=2", "budget.max_epochs=1", "confirm.num_seeds=0", "resources.max_concurrent_trials=1"]
    try:
        with head(folder) as (url, env):
            command = [
                sys.executable,
                "-m",
                "visiontune",
                "submit",
                str(DIGITS),
                "--address",
                url,
                "--studies-dir",
                str(folder / "s"),
                *small,
            ]
            strangers = {key: value for key, value in env.items() if not key.startswith("RAY_AUTH")}
            refused = subprocess.run(command, env=strangers, capture_output=True, text=True)
            assert refused.returncode == 1 and "wants a token" in refused.stderr and door.wants_token(url)
            first = subprocess.run(command, env=env, capture_output=True, text=True)
            assert first.returncode == 0, first.stdout + first.stderr
            assert "the search is finished; 2 trials and " in first.stdout
            again = subprocess.run(command, env=env, capture_output=True, text=True)
            assert again.returncode == 0 and "nothing was left to do" in again.stdout
        assert (folder / "s" / "digits" / "winner.yaml").is_file()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
