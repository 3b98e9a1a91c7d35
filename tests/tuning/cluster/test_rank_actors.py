"""The followers of a trial on several workers, without Ray: what their actors keep, and which of them are replaced."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray
import torch
from ray.exceptions import ActorDiedError, RayActorError, RayTaskError
from tiny import make_recipe, make_store

from visiontune.data.store.store import Store
from visiontune.errors import LostRank
from visiontune.training.lead_ranks import Meeting
from visiontune.tuning.cluster import rank_actors
from visiontune.tuning.cluster.rank_actors import RankActors, RankWorker

CONFIG = {"num_workers": 4, "num_threads": 1, "num_gpus": 0.5, "folder": "", "store": "", "remote_cache": ""}
MEETING = Meeting("127.0.0.1", 1, 4, make_recipe(), "cuda")
DONE, FAILED, DIED, HANGS = "done", ValueError("no such channel"), RayActorError(), "hangs"


class Cluster:
    """Plays Ray: each actor of a rank answers `outcome[rank]`, and that is its own reference."""

    def __init__(self, outcome: dict[int, Any]) -> None:
        self.outcome, self.started, self.killed = outcome, [], []  # type: ignore[var-annotated]

    def new(self, _: Any, rank: int) -> Any:
        self.started.append(rank)
        return SimpleNamespace(rank=rank, follow=SimpleNamespace(remote=lambda meeting, rank, watch: self.outcome[rank]))

    def wait(self, done: list[Any], **_: Any) -> tuple[list[Any], list[Any]]:
        return [one for one in done if one != HANGS], [one for one in done if one == HANGS]

    def get(self, done: Any) -> Any:
        if isinstance(done, Exception):
            raise done
        return done

    def kill(self, actor: Any) -> None:
        self.killed.append(actor.rank)


@pytest.mark.parametrize(("outcome", "replaced"), [((DONE, FAILED, DONE), []), ((HANGS, DIED, FAILED), [1, 2])])
def test_an_actor_that_is_gone_after_a_training_is_replaced_before_the_next(
    outcome: tuple[Any, ...], replaced: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that runs on is killed, as after an error of rank 0 alone; one that only raised stays."""
    cluster = Cluster(dict(enumerate(outcome, 1)))
    monkeypatch.setattr(rank_actors, "ray", cluster)
    monkeypatch.setattr(rank_actors, "get_current_placement_group", lambda: None)
    monkeypatch.setattr(RankActors, "_new", lambda self, *args: cluster.new(None, args[-1]))
    actors = RankActors(CONFIG)
    actors._start(MEETING).end()
    del cluster.started[:]
    actors._start(MEETING).end()
    assert cluster.started == replaced and cluster.killed[:1] == replaced[:1]


def test_why_a_follower_did_not_start_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a machine that lacks the pictures; it read as a process that was lost."""
    text = "ray::RankWorker.__init__() (pid=1)\n  File x\nvisiontune.errors.UserError: there is no store.arrow"
    unfit = ActorDiedError(RayTaskError("RankWorker.__init__", text, ValueError(), actor_id="a", actor_repr="r"))
    cluster = Cluster({1: DONE, 2: unfit, 3: DONE})
    monkeypatch.setattr(rank_actors, "ray", cluster)
    actors = {rank: cluster.new(None, rank) for rank in cluster.outcome}
    training = rank_actors._Training(MEETING, actors)
    said = str(training.lost())
    training.end()
    assert said == "worker 3 of 4 failed as it started: visiontune.errors.UserError: there is no store.arrow"
    assert LostRank.rank_in(said) == 2


def test_a_follower_whose_machine_goes_before_it_is_there_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the hang limit. Ray 2.60 has the actor wait, with a bundle on the node "", as was seen with raylets that were killed."""
    cluster = Cluster({1: HANGS, 2: HANGS, 3: HANGS})
    nodes = {0: "a", 1: "b", 2: "c", 3: "d"}
    util = SimpleNamespace(placement_group_table=lambda group: {"bundles_to_node_id": nodes})
    monkeypatch.setattr(rank_actors, "ray", cluster)
    monkeypatch.setattr(ray, "util", util)
    monkeypatch.setattr(rank_actors, "_WATCH_S", 0.0)
    monkeypatch.setattr(rank_actors._Training, "_watch", lambda self: None)  # a thread that might ask Ray itself once the test is over
    actors = {rank: cluster.new(None, rank) for rank in cluster.outcome}
    training = rank_actors._Training(MEETING, actors, "group")
    assert training.lost() is None
    nodes[2] = ""
    said = str(training.lost())
    training.end()
    assert said == "worker 3 of 4 was lost with its machine" and LostRank.rank_in(said) == 2 and actors == {}


def test_a_follower_keeps_to_its_share_of_a_gpu_and_gives_memory_back_after_it_ran_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the next training, which is the one with half the micro-batch."""
    seen: list[Any] = []

    def follow(*_: Any) -> None:
        seen.append("follow")
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("visiontune.data.store.node_copy.on_this_node", lambda *_: Path())
    monkeypatch.setattr(Store, "open", lambda _: make_store())
    monkeypatch.setattr(rank_actors, "follow", follow)
    share = SimpleNamespace(give_back=lambda: seen.append("give back"))
    monkeypatch.setattr("visiontune.training.gpu.GpuShare.take", lambda num: [seen.append(num), share][1])
    monkeypatch.setattr("visiontune.tuning.cluster.rank_actors.release_all", lambda: seen.append("release"), raising=False)
    worker = RankWorker(CONFIG)
    for _ in range(2):
        with pytest.raises(torch.OutOfMemoryError):
            worker.follow(MEETING, 1)
    assert seen == [0.5, "give back", "follow", "release", "give back", "follow"]
