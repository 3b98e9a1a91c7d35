"""More legs than the cluster can place, on real raylets: whoever is idle takes what waits, and the search ends."""

import errno
import os
import pathlib
import signal
import sys
import threading
import time
import traceback
from types import SimpleNamespace
from typing import Any

import pytest
from simulated_search import make_spec, report

from visiontune.errors import UserError
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.tuning.cluster.environment import environment
from visiontune.tuning.records.leg import Leg, unpack
from visiontune.tuning.search.search_run import SearchRun
from visiontune.tuning.study.open_storage import create_or_resume
from visiontune.tuning.study.read_study import read_study
from visiontune.tuning.study.trial_history import read_history

pytestmark = pytest.mark.ray
LIMIT_S = 300.0  # on a machine that is busy with other things
KINDS = ("UnfitMachine", "MachineFault", "Preempted")
WORKER_DIED = (
    "The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR Worker exit detail: Worker unexpectedly exits "
    "with a connection error code 2. End of file. There are some potential root causes. (1) The process is killed by SIGKILL by OOM killer "
    "due to high memory usage. (2) ray stop --force is called. (3) The worker is crashed unexpectedly due to SIGSEGV or other unexpected "
    "errors."
)
"""What ray 2.60 says; cut at 300 characters it ended within a word."""


def fake_worker():
    """A worker with the curve of simulated_search.py in place of a network. Made here, so that it travels by value."""
    import ray
    from ray.tune import Trainable

    class Worker(Trainable):
        @classmethod
        def default_resource_request(cls, config):
            from visiontune.tuning.cluster.ray_worker import LegWorker

            return LegWorker.default_resource_request(config)

        def setup(self, config):
            from visiontune.tuning.cluster.ray_worker import idle
            from visiontune.tuning.records.leg import unpack

            leg = unpack(config["leg"])
            if leg is not None and (sick := config.get("sick")):
                tried, until = pathlib.Path(config["tried"]), time.monotonic() + 30
                if ray.get_runtime_context().get_node_id() == sick:
                    tried.touch()
                    os._exit(1)
                while not tried.exists() and time.monotonic() < until:  # or it would have run all legs before the other has started
                    time.sleep(0.02)
            self._reports = idle() if leg is None else self._run(leg)

        def reset_config(self, new_config):
            self.setup(new_config)
            return True

        def _run(self, leg):
            from visiontune.tuning.records.leg import Report

            for epoch in range(leg.known_epochs + 1, leg.recipe.training["num_epochs"] + 1):
                time.sleep(0.02)
                if epoch > leg.known_epochs + 1 and pathlib.Path(self.config.get("freezes", "")).is_file():
                    pathlib.Path(self.config["freezes"]).unlink()
                    os.kill(os.getpid(), signal.SIGSTOP)
                value = 1.0 - abs(leg.recipe.optimizer["lr"] - 0.01) - 0.3 / epoch
                metrics = {"val_top1": value, "val_loss": -value, "test_top1": 0.5, "test_loss": 1.0}
                yield Report(epoch, metrics, 0, is_last=epoch == leg.recipe.training["num_epochs"])

        def step(self):
            return {"report": next(self._reports)}

    return Worker


def running(folder, num_trials, num_seeds=0):
    """A search that has begun, and what it says."""
    folder.mkdir()
    spec = make_spec(folder, num_trials, num_seeds=num_seeds, overrides=["resources.hang_s=1"])
    run = SearchRun(spec, create_or_resume(StudyFolder(folder), spec), StudyFolder(folder), lambda event: None)
    said = []
    run.say = said.append
    return run, said


@pytest.fixture(scope="module")
def raylet():
    """Two CPUs and two GPUs that nobody looks for."""
    from visiontune.tuning.cluster.ray_cluster import SETTINGS
    from visiontune.tuning.cluster.ray_start import agents_of_known_ports, no_idle_helpers

    with environment(SETTINGS):
        from ray.cluster_utils import Cluster

        with agents_of_known_ports(), no_idle_helpers():
            cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "num_gpus": 2, "include_dashboard": False})
        yield cluster
        cluster.shutdown()


@pytest.fixture
def ray_of_two(raylet):
    """A driver there; its actors end with it."""
    import ray

    ray.init(address=raylet.address, log_to_driver=False, logging_level="ERROR")
    yield ray
    ray.shutdown()


def test_of_ray_only_what_a_search_needs_is_started(raylet):
    """Else Ray calls what is left out by another name (no_idle_helpers, agents_of_known_ports)."""
    from visiontune.tuning.cluster.ray_start import PORTS

    node = raylet.head_node
    assert {*node.all_processes} == {"gcs_server", "dashboard", "raylet"}
    ports = [getattr(node, name) for name in PORTS]
    assert all(20_000 <= port < 32_000 for port in ports), ports


def hold_a_cpu(ray):
    """Another job's actor on the same cluster."""

    @ray.remote(num_cpus=1)
    class Other:
        def ping(self):
            return True

    other = Other.remote()
    assert ray.get(other.ping.remote())
    return other


@pytest.mark.parametrize(
    ("resources", "num_slots", "is_shared", "num_fit"),
    [
        pytest.param({"cpu": 1, "gpu": 0}, 3, False, 2, id="more legs than cores"),
        pytest.param({"cpu": 0.1, "gpu": 0.6}, 3, False, 2, id="fractions that do not pack"),
        pytest.param({"cpu": 1, "gpu": 0}, 2, True, 1, id="another job holds a core"),
    ],
)
def test_a_search_ends_with_more_legs_than_can_be_placed(tmp_path, monkeypatch, ray_of_two, resources, num_slots, is_shared, num_fit):
    from visiontune.tuning.cluster import ray_adapter

    monkeypatch.setattr(ray_adapter, "LegWorker", fake_worker())
    session, said = running(tmp_path / "study", 12, num_seeds=2)
    (tmp_path / "freezes").touch()  # one worker, where there are two
    other = hold_a_cpu(ray_of_two) if is_shared else None
    late = threading.Timer(LIMIT_S, lambda: setattr(session, "is_interrupted", True))
    late.start()
    shots = []
    session.num_slots = num_slots
    base = {"bundle": {name.upper(): amount for name, amount in resources.items()}, "num_workers": 1}
    base |= {} if is_shared else {"freezes": str(tmp_path / "freezes")}
    ray_adapter.run_tune(session, base=base, look=lambda: None, screen=shots.append)
    late.cancel()
    assert session.is_finished, session.snapshot()
    assert sum("no sign of life" in line for line in said) == (not is_shared), said
    assert 1 <= max(shot.num_running for shot in shots) <= num_fit
    assert max(shot.num_running + shot.num_staged for shot in shots) <= num_slots
    del other


def where_two_workers_are(ray):
    """Of a leg with a worker on each of two nodes: as the driver sees it."""
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    from visiontune.tuning.cluster.ray_nodes import node_of, nodes_beside

    @ray.remote(num_cpus=1)
    class First:
        def ping(self):
            return True

    group = ray.util.placement_group([{"CPU": 1}] * 2)
    first = First.options(scheduling_strategy=PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=0)).remote()
    assert ray.get(first.ping.remote())
    found = [node_of(first), *nodes_beside(first)]
    ray.kill(first)
    ray.util.remove_placement_group(group)
    return found


def test_a_machine_that_kills_every_worker_is_left_alone(tmp_path, monkeypatch):
    """A head without CPUs and two raylets, one of which ends whatever leg it gets before it begins."""
    import ray
    from ray.cluster_utils import Cluster

    from visiontune.spec.space.study_spec import Resources
    from visiontune.tuning.cluster import ray_adapter
    from visiontune.tuning.cluster.node_watch import NodeWatch
    from visiontune.tuning.cluster.ray_cluster import SETTINGS
    from visiontune.tuning.cluster.ray_start import agents_of_known_ports, no_idle_helpers

    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(ray_adapter, "LegWorker", fake_worker())
    with agents_of_known_ports(), no_idle_helpers():
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        sick, sound = cluster.add_node(num_cpus=1), cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    try:
        run, said = running(tmp_path / "study", 12)
        watch = NodeWatch(run, Resources(0.0, 1, 1, "auto"), {"cpu": 1.0, "gpu": 0.0}, is_local=False)
        watch.refuse_too_small()
        assert run.num_slots == 2 and {"", *where_two_workers_are(ray)} == {"", sick.node_id, sound.node_id}
        with pytest.raises(UserError, match=r"a worker needs 2 CPUs on one machine, but there are .*\(1 CPUs, 0 GPUs\)"):
            NodeWatch(running(tmp_path / "large", 12)[0], Resources(0.0, 2, 1, 4), {"cpu": 2.0}, is_local=False).refuse_too_small()
        base = {"bundle": {"CPU": 1.0}, "num_workers": 1, "sick": sick.node_id, "tried": str(tmp_path / "tried")}
        ray_adapter.run_tune(run, base=base, look=watch.look, screen=lambda shot: None)
    finally:
        ray.shutdown()
        cluster.shutdown()
    trials = read_study(StudyFolder(tmp_path / "study")).trials
    assert run.is_finished and len(trials) == 12 and not any(trial.kind == "crashed" for trial in trials)
    lost = [line for line in said if "lost its worker on" in line]
    assert 2 <= len(lost) <= 6, said


@pytest.mark.parametrize(
    ("last_line", "said", "is_begun"),
    [
        ("visiontune.errors.UnfitMachine: node7: a GPU was asked for, but torch sees none (x)", "node7: a GPU was asked for", False),
        ("visiontune.errors.MachineFault: node7: CUDA error: an illegal memory access was encountered", "node7: CUDA error", True),
        ("visiontune.errors.MachineFault: node7: worker 2 of 2 was lost with its process", "node7: worker 2 of 2", True),
        ("FileNotFoundError: [Errno 2] No such file or directory: '/studies/store'", "FileNotFoundError: [Errno 2]", True),
        (WORKER_DIED, "The actor is dead because its worker process has died.", True),
        ("\tthe actor's node was terminated expectedly: received SIGTERM", "the actor's node was terminated", None),
        ("visiontune.errors.Preempted: it was told to leave", "it was told to leave", None),
    ],
)
def test_why_a_worker_was_lost_gets_to_the_search(tmp_path, last_line, said, is_begun):
    """Out of the file that Tune writes on the driver's machine (ray 2.60). Who leaves as told, or whose node does, is not lost."""
    from visiontune.tuning.cluster.leg_searcher import LegSearcher
    from visiontune.tuning.cluster.ray_adapter import LegScheduler

    lost = []
    run = SimpleNamespace(lost=lambda key, what, node, rank, is_begun: lost.append((key, what, is_begun, rank)))
    run.preempted = lambda key, what, node: lost.append((key, what, None, 0))
    searcher = LegSearcher(run, lambda: None)
    searcher.keys["ray trial"] = "00003"
    (tmp_path / "error.txt").write_text(f"Failure # 1 (occurred at 2026-11-28)\nray::LegWorker.train() (pid=1)\n{last_line}\n")
    LegScheduler(run, searcher).on_trial_error(None, SimpleNamespace(trial_id="ray trial", error_file=str(tmp_path / "error.txt")))
    searcher.on_trial_complete("ray trial", error=True)
    [(key, what, begun, rank)] = [lost.pop()]
    if begun:  # the same of a worker that never took the leg
        searcher.keys["ray trial"], searcher._staged["ray trial"] = "00003", (object(), frozenset())
        LegScheduler(run, searcher).on_trial_error(None, SimpleNamespace(trial_id="ray trial", error_file=str(tmp_path / "error.txt")))
        searcher.on_trial_complete("ray trial", error=True)
        assert [one[2] for one in lost] == [False]
    assert (key, begun, rank) == ("00003", is_begun, int("worker 2" in said)) and what.startswith(said) and len(what) <= 300
    assert last_line.strip() in (what, *(f"visiontune.errors.{kind}: {what}" for kind in KINDS)) or what[-1] == "."


def test_of_an_idle_worker_that_is_lost_nothing_is_kept() -> None:
    """A text for each, for as long as the search ran."""
    from visiontune.tuning.cluster.leg_searcher import IDLE, LegSearcher

    searcher = LegSearcher(SimpleNamespace(), lambda: None)  # type: ignore[arg-type]
    searcher.keys["ray trial"], searcher.errors["ray trial"], searcher.ended["ray trial"] = IDLE, WORKER_DIED, "its process was ended"
    searcher.on_trial_complete("ray trial", error=True)
    assert not (searcher.keys or searcher.errors or searcher.ended)


def test_an_idle_worker_is_given_back_after_some_seconds_and_at_once_where_it_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Idle ones kept their GPUs to the end of a search, so that no cluster shrank."""
    from visiontune.tuning.cluster import leg_searcher as module

    now_s, legs = [100.0], list[Any]()
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now_s[0]))
    run: Any = SimpleNamespace(out={"00007": None}, next_leg=lambda: legs.pop() if legs else None)
    searcher = module.LegSearcher(run, lambda: None)
    searcher.keys["ray trial"] = module.IDLE
    searcher.placed("ray trial", "node")
    assert searcher.may_idle("ray trial")
    now_s[0] += module.IDLE_S - 0.1
    assert searcher.may_idle("ray trial")
    now_s[0] += 0.2
    assert not searcher.may_idle("ray trial")
    searcher.placed("ray trial", "node")
    legs.append(SimpleNamespace(key="00007"))
    assert not searcher.may_idle("ray trial"), "there is work"


def test_a_report_of_a_worker_that_was_given_up_counts_for_nothing(tmp_path: pathlib.Path) -> None:
    """It was cut off, another has its leg by now, and then its report arrives; the two have one key, and two Ray trials."""
    from visiontune.tuning.cluster.leg_searcher import LegSearcher
    from visiontune.tuning.cluster.ray_adapter import LegScheduler

    folder = StudyFolder(tmp_path / "study")
    folder.path.mkdir()
    spec = make_spec(folder.path, 4)
    run = SearchRun(spec, create_or_resume(folder, spec), folder, lambda event: None)
    searcher = LegSearcher(run, lambda: None)
    scheduler = LegScheduler(run, searcher)

    def hand_out(ray_trial: str) -> Leg:
        leg = unpack(searcher.suggest(ray_trial)["leg"])
        assert leg is not None
        searcher.placed(ray_trial, "")
        return leg

    def result(ray_trial: str, value: float) -> str:
        return scheduler.on_trial_result(None, SimpleNamespace(trial_id=ray_trial), {"report": report(leg, 1, value)})

    leg = hand_out("first")
    searcher.on_trial_complete("first", error=True)
    assert hand_out("second").key == leg.key
    assert result("first", 0.9) == "STOP" and not read_study(folder).trials[leg.number].values
    result("second", 0.5)
    assert result("first", 0.9) == "STOP" and read_study(folder).trials[leg.number].values == {1: 0.5}
    assert [loss.epoch for loss in read_history(folder, leg.number).losses] == [0]


def test_what_a_search_raises_within_tunes_loop_is_not_its_traceback(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal that was moved away ended a search with the sentence "Traceback (most recent call last):"."""
    import ray.tune
    from ray.tune.error import TuneError

    from visiontune.tuning.cluster.ray_adapter import run_tune

    def tune(*arguments: object, **options: object) -> None:
        try:  # as ray 2.60 does in TuneController._on_result
            raise FileNotFoundError(errno.ENOENT, "the study was moved", "study.journal")
        except Exception:
            raise TuneError(traceback.format_exc())  # noqa: B904

    monkeypatch.setattr(ray.tune, "run", tune)
    with pytest.raises(FileNotFoundError, match="the study was moved"):
        run_tune(SimpleNamespace(), base={}, look=lambda: None, screen=lambda shot: None)


def test_workers_take_a_process_that_ray_has_started_beforehand_and_no_key_is_written_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray starts them without a runtime environment, and has runtime environments word for word in logs that every user may read."""
    from ray.tune import Trainable
    from ray.tune.execution.class_cache import _ActorClassCache

    import visiontune.tuning.cluster.ray_adapter  # noqa: F401

    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    monkeypatch.setenv("RAY_CHDIR_TO_TRIAL_DIR", "0")
    given = _ActorClassCache().get(type("Worker", (Trainable,), {}))._default_options["runtime_env"]
    assert not any(given.values())


def test_a_worker_stays_in_the_folder_from_which_weights_are_named(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from visiontune.tuning.cluster.ray_worker import LegWorker

    monkeypatch.setattr(LegWorker, "setup", lambda self, config: None)
    monkeypatch.setenv("RAY_CHDIR_TO_TRIAL_DIR", "1")
    here = pathlib.Path.cwd()
    LegWorker({}, storage=SimpleNamespace(trial_fs_path="there", trial_working_directory=str(tmp_path)))
    assert pathlib.Path.cwd() == here


def test_statistics_that_are_off_import_no_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Tune calls as each search begins."""
    from ray.air._internal import usage

    import visiontune.tuning.cluster.ray_adapter  # noqa: F401

    monkeypatch.delitem(sys.modules, "ray.air.integrations.mlflow", raising=False)
    usage.tag_callbacks([])
    assert "ray.air.integrations.mlflow" not in sys.modules
