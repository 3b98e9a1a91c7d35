"""What is said where Ray can't be had: started here, joined, or in use by this process already. Ray itself is made up."""

from __future__ import annotations

import importlib.util
import inspect
import mmap
import os
import shutil
import socket
import sys
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from threading import Event
from types import SimpleNamespace

import pytest
from places import ROOT
from simulated_search import make_spec, report

import visiontune
from visiontune.errors import NoCluster, SearchFailed, UserError
from visiontune.filesystem.checkpoint_files import Attempt
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.spec.space.study_spec import Resources
from visiontune.tuning.cluster import node_watch, ray_start
from visiontune.tuning.cluster.node_check import Lack, NodeNeeds
from visiontune.tuning.cluster.node_watch import NodeWatch
from visiontune.tuning.cluster.ray_ask_nodes import NodeTasks
from visiontune.tuning.cluster.ray_cluster import (
    SETTINGS,
    check_address,
    close_token,
    cluster,
    is_local,
    note_of_gpus,
    trial_resources,
    unprinted_news,
)
from visiontune.tuning.cluster.ray_nodes import legs_to_come, nodes_up
from visiontune.tuning.cluster.ray_start import PORTS, agents_of_known_ports, free_ports, no_idle_helpers
from visiontune.tuning.legs.placement import Node, Placement
from visiontune.tuning.search.search_run import SearchRun
from visiontune.tuning.study.event_log import read_events
from visiontune.tuning.study.open_storage import create_or_resume
from visiontune.tuning.study.trial_history import read_history

GONE = Lack("folder", "it is not there")


def ray_that(monkeypatch: pytest.MonkeyPatch, *, says: str = "", is_initialized: bool = False) -> list[str]:
    """Addresses that it is asked for; it says no where there is something to say."""
    asked: list[str] = []

    def init(address: str, **options: object) -> None:
        asked.append(address)
        if says:
            # a plain one, as Ray's own where a node takes too long to start
            raise (ConnectionError if says.startswith("Failed to connect") else Exception)(says)

    made = SimpleNamespace(init=init, is_initialized=lambda: is_initialized, shutdown=lambda: None)
    private = SimpleNamespace(services=SimpleNamespace(start_raylet=lambda: None))
    raylet = SimpleNamespace(persist_port=None)
    for name, module in (("ray", made), ("ray._private", private), ("ray._raylet", raylet)):
        monkeypatch.setitem(sys.modules, name, module)  # type: ignore[arg-type]
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    return asked


def test_a_ray_of_the_users_own_is_told_before_anything_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    ray_that(monkeypatch, is_initialized=True)
    space = {
        "study": "mine",
        "data": {"source": "digits"},
        "budget": {"num_trials": 1, "max_epochs": 1},
        "space": {"model": {"name": "lenet5"}, "optimizer": {"name": "sgd", "lr": 0.1}},
    }
    with pytest.raises(UserError, match=r"Ray is initialised in this process already: call ray\.shutdown\(\) first"):
        visiontune.search(space, studies_dir="/proc/nowhere")


def test_a_ray_that_does_not_start_here_is_no_missing_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ray_that(monkeypatch, says="no room in /dev/shm\nand more")
    with pytest.raises(SearchFailed, match=r"^Ray does not start on this machine: no room in /dev/shm$"), cluster(None):
        pass
    with pytest.raises(NoCluster, match=r"^the Ray cluster at 10\.0\.0\.1:6379 can't be joined: no room"), cluster("10.0.0.1:6379"):
        pass
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.2:6379")
    with pytest.raises(NoCluster, match=r"^the Ray cluster at 10\.0\.0\.2:6379 can't be joined"), cluster(None):
        pass
    assert asked == ["local", "10.0.0.1:6379", "10.0.0.2:6379"]
    ray_that(monkeypatch, says="Failed to connect to Ray cluster at 10.0.0.1:6379")  # as ray 2.60 says of a wrong token, and of none
    with pytest.raises(NoCluster, match=r"Failed to connect .*; most likely it wants another token: RAY_AUTH_MODE=token"), cluster("auto"):
        pass


def test_local_is_here_by_whatever_name(monkeypatch: pytest.MonkeyPatch) -> None:
    ray_that(monkeypatch)
    assert is_local(None) and is_local("local") and not is_local("auto")
    check_address("local")
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    assert not is_local(None) and is_local("local")


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://10.0.0.1:8265", "RAY_ADDRESS is that of Ray's dashboard, .* visiontune submit FILE --address http://10.0.0.1:8265"),
        ("ray://10.0.0.1:10001", "can't run through Ray's client: .* visiontune submit FILE --address http://10.0.0.1:8265"),
        ("10.0.0.1", "RAY_ADDRESS is a Ray address, auto or HOST:PORT, but got '10.0.0.1'"),
        ("10.0.0.1:²", "RAY_ADDRESS is a Ray address, auto or HOST:PORT, but got '10.0.0.1:²'"),
        ("10.0.0.1:99999", "RAY_ADDRESS is a Ray address, auto or HOST:PORT, but got '10.0.0.1:99999'"),
        ("tcp://10.0.0.1:6379", "auto or HOST:PORT, but got 'tcp://10.0.0.1:6379'"),
    ],
)
def test_an_address_that_a_search_can_not_join_says_what_does(monkeypatch: pytest.MonkeyPatch, address: str, words: str) -> None:
    ray_that(monkeypatch)
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(UserError, match=words):
        check_address(None)


def test_a_folder_that_ray_can_not_use_is_told_before_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as Ray itself takes: `validate_socket_filepath` of ray 2.60."""
    from ray._private.utils import validate_socket_filepath

    ray_that(monkeypatch)
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    made = Path("/tmp") / f"vt{os.getpid()}"
    below = len(f"/ray/session_2026-11-29_02-44-48_056681_{os.getpid()}/sockets/plasma_store")
    try:
        longest = made / ("x" * (107 - below - len(str(made)) - 1))
        longest.mkdir(parents=True)
        monkeypatch.setenv("TMPDIR", str(longest))
        validate_socket_filepath(f"{longest}/ray/session_2026-11-29_02-44-48_056681_{os.getpid()}/sockets/plasma_store")
        check_address(None)
        monkeypatch.setenv("TMPDIR", f"{longest}y")
        with pytest.raises(UserError, match=r"below TMPDIR=/tmp/vt\d+/x+y, whose path is 1 characters too long .* set RAY_TMPDIR to"):
            check_address(None)
        check_address("auto")  # Ray runs there already
    finally:
        shutil.rmtree(made)
    monkeypatch.setenv("RAY_TMPDIR", "/proc")
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # the tests may run as root
    with pytest.raises(UserError, match=r"/proc, is root's and can't be written; set RAY_TMPDIR to a folder of your own"):
        check_address(None)


def test_ray_prints_no_dump_of_a_lost_machine(capsys: pytest.CaptureFixture[str]) -> None:
    """By its own listener (ray 2.60), which `log_to_driver=False` does not silence, as the last part shows."""
    from ray import JobID
    from ray._private.worker import listen_error_messages

    def hear(dump: str) -> str:
        stop = Event()

        def poll() -> tuple[bytes, dict[str, object]]:
            stop.set()
            return b"", {"job_id": JobID.nil().binary(), "error_message": f"{dump}\n    [state-dump] NodeManager"}

        subscriber = SimpleNamespace(subscribe=lambda: None, poll=poll)
        listen_error_messages(SimpleNamespace(gcs_error_subscriber=subscriber, current_job_id=JobID.from_int(1)), stop)  # type: ignore[arg-type]
        return capsys.readouterr().out

    with unprinted_news():
        assert hear("Raylet is terminated.") == ""
    assert "state-dump" in hear("Raylet is terminated again.")


def test_workers_of_a_trial_are_each_whole_on_a_node(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = [
        {"Alive": True, "Resources": {"CPU": 6.0, "GPU": 4.0}},
        {"Alive": True, "Resources": {"CPU": 3.0, "GPU": 1.0}},
        {"Alive": True, "Resources": {"CPU": 64.0}},
        {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 64.0}},
    ]
    made = SimpleNamespace(nodes=lambda: nodes, cluster_resources=lambda: {"CPU": 73.0, "GPU": 5.0})
    private = SimpleNamespace(services=SimpleNamespace(start_raylet=lambda: None))
    raylet = SimpleNamespace(persist_port=None)
    for name, module in (("ray", made), ("ray._private", private), ("ray._raylet", raylet)):
        monkeypatch.setitem(sys.modules, name, module)  # type: ignore[arg-type]
    three, five = (Resources("auto", 2, num, "auto") for num in (3, 5))  # two CPUs and a GPU each: three on the first, one on the second
    wanted = trial_resources(three, "auto")
    assert wanted == {"cpu": 2.0, "gpu": 1.0}
    placements = [Placement(wanted, num_workers) for num_workers in (3, 2)]
    for placement in placements:
        placement.see([Node("a", "a", 6.0, 4.0), Node("b", "b", 3.0, 1.0), Node("c", "c", 64.0, 0.0)])
    assert [placement.num_slots for placement in placements] == [1, 2]
    with pytest.raises(UserError, match=r"5 workers with 2 CPUs and 1 GPU each, but the cluster .* has room for 4; nearest is 4"):
        trial_resources(five, "auto")
    assert trial_resources(Resources("auto", 2, 5, 8), "auto") == wanted  # eight trials wait for machines
    with pytest.raises(UserError, match=r"this machine has room for 4"):
        trial_resources(Resources("auto", 2, 5, 8), None)


def test_auto_without_a_gpu_on_a_cluster_is_said() -> None:
    none, one = {"cpu": 1.0, "gpu": 0.0}, {"cpu": 1.0, "gpu": 1.0}
    auto, told = Resources("auto", 1, 1, "auto"), Resources(0.0, 1, 1, "auto")
    notes = [note_of_gpus(*case) for case in ((auto, none, "auto"), (auto, one, "auto"), (told, none, "auto"), (auto, none, "local"))]
    assert [bool(note) for note in notes] == [True, False, False, False] and "resources.gpus_per_trial=1 waits for GPUs" in notes[0]


def test_a_machine_that_is_to_go_has_its_workers_leave_and_gets_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Preempted: its leg goes back to the search, which blames nobody."""
    spec, folder = make_spec(tmp_path / "study", 4, sampler="random"), StudyFolder(tmp_path / "study")
    folder.path.mkdir()
    run = SearchRun(spec, create_or_resume(folder, spec), folder, lambda event: None)
    going: set[str] = set()
    monkeypatch.setattr(node_watch, "nodes_up", lambda: [Node(name, name) for name in "ab"])
    monkeypatch.setattr(node_watch, "nodes_going", lambda: going)
    monkeypatch.setattr(node_watch, "grows", lambda: False)
    monkeypatch.setattr(node_watch, "RECOUNT_S", 0.0)
    watch = NodeWatch(run, Resources(0.0, 1, 1, "auto"), {"cpu": 1.0, "gpu": 0.0}, is_local=False)
    watch.look()
    first, second = run.next_leg(), run.next_leg()
    assert first is not None and second is not None
    for leg, node in ((first, "a"), (second, "b")):
        Attempt.claim(folder.checkpoint(leg.key))
        run.out.placed(leg.key, node)
    going.add("a")
    watch.look()
    assert folder.leaving(first.key).exists() and not folder.leaving(second.key).exists() and run.num_slots == 1
    run.preempted(first.key, "it was told to leave", node="a")
    kinds = [(event.kind, event.trial) for event in read_events(folder.events)]
    assert ("preempted", first.number) in kinds and "machine" in dict(kinds) and not run.fatal
    assert run.report(second.key, report(second, 9, 0.5)) is False
    again = run.next_leg()
    assert again is not None and again.key == first.key and not run.out.placement.shunned(first.key)


def test_a_share_of_a_gpu_that_is_measured_forgets_no_machine_that_lacks_something(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its pause began anew, and what it lacks was said again."""
    spec, folder, said = make_spec(tmp_path / "study", 4), StudyFolder(tmp_path / "study"), list[str]()
    folder.path.mkdir()
    run = SearchRun(spec, create_or_resume(folder, spec), folder, lambda event: None)
    run.say = said.append
    monkeypatch.setattr(node_watch, "nodes_up", lambda: [Node("a", "a", 8, 1), Node("b", "b", 8, 1)])
    monkeypatch.setattr(node_watch, "nodes_going", lambda: ())
    monkeypatch.setattr(node_watch, "grows", lambda: False)
    asked: list[str] = []
    monkeypatch.setattr(NodeTasks, "start", lambda self, needs, node: [asked.append(node), node][1])
    monkeypatch.setattr(NodeTasks, "answers", lambda self, tasks, most_s: [(one, None if one == "a" else GONE) for one in [*tasks]])
    watch = NodeWatch(run, Resources("auto", 1, 1, "auto"), {"cpu": 1.0, "gpu": 1.0}, is_local=False)
    watch.look()
    watch.check(NodeNeeds(tmp_path, "token", "digest"))
    assert run.num_slots == 1 and asked == ["a", "b"] and len(said) == 1
    watch.want({"cpu": 1.0, "gpu": 0.25})
    watch.look()
    assert run.num_slots == 4 and asked == ["a", "b"] and len(said) == 1, said
    kept = [event.text for event in read_events(folder.events) if event.kind == "machine"]
    assert [text.partition(":")[0] for text in kept if "room" in text] == ["2 up, with room for 2 trials", "2 up, with room for 4 trials"]


def test_a_kind_of_gpu_that_joins_is_told_where_a_share_was_measured_on_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec, folder, said = make_spec(tmp_path / "study", 4), StudyFolder(tmp_path / "study"), list[str]()
    folder.path.mkdir()
    run = SearchRun(spec, create_or_resume(folder, spec), folder, lambda event: None)
    run.say = said.append
    up = [Node("a", "a", 8, 1, "A100")]
    monkeypatch.setattr(node_watch, "nodes_up", lambda: up)
    monkeypatch.setattr(node_watch, "nodes_going", lambda: ())
    monkeypatch.setattr(node_watch, "grows", lambda: False)
    monkeypatch.setattr(node_watch, "RECOUNT_S", 0.0)
    for gpus, num_told in (("auto", 1), (0.25, 0)):
        del up[1:], said[:]
        watch = NodeWatch(run, Resources(gpus, 1, 1, "auto"), {"cpu": 1.0, "gpu": 0.25}, is_local=False)
        for node in (Node("b", "b", 8, 1, "A100"), Node("c", "c", 8, 1, "T4"), Node("d", "d", 8, 1, "T4")):
            watch.look()
            up.append(node)
        watch.look()
        told = [text for text in said if "a trial's share of a GPU was not measured on its T4" in text]
        assert len(told) == num_told and len(said) == 3


def test_ray_launchers_file_says_how_far_a_cluster_may_grow(tmp_path: Path) -> None:
    """The repository's own, with eight machines of one GPU and four CPUs: a search may have as many legs out."""
    wanted = {"cpu": 4.0, "gpu": 1.0}
    assert legs_to_come(wanted, 1, 0, ROOT / "cluster.yaml") == 8
    assert legs_to_come(wanted, 2, 1, ROOT / "cluster.yaml") == 3
    assert legs_to_come({"cpu": 1.0, "gpu": 0.5}, 1, 3, ROOT / "cluster.yaml") == 13
    assert legs_to_come({"cpu": 8.0, "gpu": 2.0}, 1, 0, ROOT / "cluster.yaml") == 0
    assert legs_to_come(wanted, 1, 0, tmp_path / "none.yaml") == 0


def test_nobody_else_of_the_machine_may_read_rays_token(tmp_path: Path) -> None:
    token = tmp_path / "auth_token"
    close_token(token)  # none is no error
    token.write_text("secret")
    token.chmod(0o644)
    close_token(token)
    assert token.stat().st_mode & 0o777 == 0o600


@pytest.mark.ray
def test_nobody_gets_into_a_searchs_ray_without_its_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its ports are on all interfaces, whatever address it is given (ray 2.60)."""
    import grpc
    from ray._private.authentication.authentication_utils import is_token_auth_enabled

    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with cluster(None):
        import ray

        asked = grpc.insecure_channel(ray.get_runtime_context().gcs_address).unary_unary("/ray.rpc.NodeInfoGcsService/GetAllNodeInfo")
        for wrong in ((), (("authorization", f"Bearer {'0' * 64}"),)):
            with pytest.raises(grpc.RpcError) as caught:
                asked(b"", metadata=wrong, timeout=10)
            assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED
        token = (Path.home() / ".ray" / "auth_token").read_text().strip()
        assert asked(b"", metadata=(("authorization", f"Bearer {token}"),), timeout=10)
        assert "raylet" in (started := ray._private.worker._global_node.all_processes)
        assert not {"log_monitor", "monitor"} & {*started}  # nobody reads the lines of workers, and one machine does not grow
        assert is_token_auth_enabled()
    assert not is_token_auth_enabled()  # or the process would refuse the calls of a cluster without tokens that it joins next


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"metrics_export_port": 8080, "dashboard_agent_listen_port": 52_366, "metrics_agent_port": 0},
        {"metrics_agent_port": 20_003, "runtime_env_agent_port": 20_001},
    ],
)
def test_a_raylet_finds_the_ports_of_its_agents_before_they_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, asked: dict[str, int]
) -> None:
    """On a machine with a load of 20 it died after 15 s without, and with it the search. Ports that a user gave were others."""
    from ray._private import services
    from ray._raylet import wait_for_persisted_port

    monkeypatch.setattr(ray_start, "_LAST", 20_006)
    monkeypatch.setattr(ray_start, "_bound", lambda port: port)
    signature, started = inspect.signature(services.start_raylet), dict[str, int]()

    def start_raylet(*args: object, **options: int) -> None:
        started.update({name: options[name] for name in PORTS})

    node = "ab" * 28
    start_raylet.__signature__ = signature  # type: ignore[attr-defined]
    needed = [name for name, one in signature.parameters.items() if one.default is inspect.Parameter.empty]
    given = dict.fromkeys(needed, "") | {"session_dir": str(tmp_path), "node_id": node}
    monkeypatch.setattr(services, "start_raylet", start_raylet)
    with agents_of_known_ports():
        services.start_raylet(**given, **asked)
    assert services.start_raylet is start_raylet
    assert started == {name: wait_for_persisted_port(str(tmp_path), node, name, timeout_ms=1) for name in PORTS}
    assert len({*started.values()}) == len(PORTS) and all(started.values())
    assert started.items() >= {name: port for name, port in asked.items() if port}.items()


def test_rays_own_choice_of_a_port_is_always_another() -> None:
    """Free or not: of two raylets that start on one machine at once both found it free. A port that a user chose stays."""
    from ray._private.ray_constants import DEFAULT_DASHBOARD_AGENT_LISTEN_PORT as BY_DEFAULT

    for port, is_kept in ((BY_DEFAULT, False), (BY_DEFAULT + 1, True)):
        assert (ray_start.ports_beside({"dashboard_agent_listen_port": port})["dashboard_agent_listen_port"] == port) == is_kept


def test_what_is_left_out_of_rays_start_is_still_called_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its names are its own: with others, both would start again, and raylets wait for agents, without a word. The raylets of
    test_placement.py show that nothing runs.
    """
    from ray._private import services
    from ray._private.node import Node

    before = [getattr(Node, name) for name in ray_start.HELPERS]
    assert {"session_dir", "node_id", *PORTS} <= inspect.signature(services.start_raylet).parameters.keys()
    with no_idle_helpers():
        for name, started in zip(ray_start.HELPERS, before, strict=True):
            assert getattr(Node, name) is not started and getattr(Node, name)(None) is None
    assert [getattr(Node, name) for name in ray_start.HELPERS] == before


def test_ports_that_are_taken_are_replaced_by_the_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one of three free, Ray did not start: "zip() argument 2 is shorter than argument 1"."""
    with ExitStack() as held:
        taken = [held.enter_context(socket.socket()) for _ in range(3)]
        first = next(first for first in range(32_000, 60_000) if all(_is_bound(one, first + at) for at, one in enumerate(taken)))
        taken[1].close()
        monkeypatch.setattr(ray_start, "_FIRST", first)
        monkeypatch.setattr(ray_start, "_LAST", first + 3)
        ports = free_ports(4)
        assert len({*ports}) == 4 and first + 1 in ports and not {first, first + 2} & {*ports}


def _is_bound(one: socket.socket, port: int) -> bool:
    """Whether it is now; one that was before stays where it is."""
    with suppress(OSError):
        one.bind(("", port))
        return True
    return one.getsockname()[1] == port


def test_machines_that_share_a_hosts_name_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In lines of the search and in a trial's own history; two raylets on one host had one name."""
    ids = {"a" * 56: "box", "b" * 56: "box", "c" * 56: "node7"}
    found = [{"NodeID": key, "NodeManagerHostname": host, "Alive": True, "Resources": {"CPU": 2.0}} for key, host in ids.items()]
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(nodes=lambda: found))
    nodes = nodes_up()
    assert [node.name for node in nodes] == ["box/aaaaaaaa", "box/bbbbbbbb", "node7"]
    folder = StudyFolder(tmp_path / "study")
    folder.path.mkdir()
    spec = make_spec(folder.path, 2)
    run = SearchRun(spec, create_or_resume(folder, spec), folder, lambda event: None)
    run.out.placement.see(nodes)
    leg = run.next_leg()
    assert leg is not None
    run.out.placed(leg.key, "b" * 56)
    run.report(leg.key, replace(report(leg, 1, 0.5), place={"node": "box", "num_threads": 1, "gpu": ""}))
    assert read_history(folder, leg.number).places[0].node == "box/bbbbbbbb"


def test_ray_knows_the_limits_that_are_set_for_a_busy_machine() -> None:
    """With a load of 50 a driver waited for ever in `ray.init` for a worker that had not registered within 60 s."""
    raylet = Path(importlib.util.find_spec("ray").origin).parent / "core" / "src" / "ray" / "raylet" / "raylet"  # type: ignore
    limits = [name.removeprefix("RAY_").encode() for name in SETTINGS if "timeout" in name or "wait_time" in name]
    with raylet.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        assert len(limits) == 3 and all(content.find(name) > 0 for name in limits)
