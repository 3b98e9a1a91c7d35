"""A trial on several workers of a cluster: the actor that runs the leg is rank 0, the others are actors beside it, warm from leg to leg.

Tune reserves a bundle for each in one placement group, on one node where that has room; rank 0 has the first.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayActorError
from ray.util.placement_group import get_current_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from visiontune.data.store.store import Store
from visiontune.errors import first_line, last_line
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.spec.kept_files import load_files
from visiontune.training.gpu import GpuShare, is_out_of_memory, release_all
from visiontune.training.heartbeat import HEARTBEAT, Watch
from visiontune.training.lead_ranks import Followers, Meeting, follow, train_by_ranks
from visiontune.training.loop import Epoch
from visiontune.tuning.cluster.ray_nodes import ranks_without_node

_AT_START = "error raised in its creation task"
"""What Ray says of an actor that could not be made, before the traceback of why (ray 2.60)."""
_END_S = 10.0
_WATCH_S = 1.0
_NOTICE_S = 30.0
"""For rank 0 to see that another has gone. gloo says so at once, nccl only after its time-out: then this process ends as well."""


class RankWorker:
    """The actor of rank 1 or up."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        import torch

        from visiontune.data.store.node_copy import on_this_node

        torch.set_num_threads(config["num_threads"])
        self._folder = Path(config["folder"])
        self._store = Store.open(on_this_node(Path(config["store"]), config["remote_cache"]))
        self._num_gpus, self._ran_out = float(config["num_gpus"]), False
        self._share: GpuShare | None = None

    def follow(self, meeting: Meeting, rank: int, watch: Watch | None = None) -> None:
        """Be that rank of a training until rank 0 ends it. Raises UnfitMachine too."""
        self._make_room()
        load_files(meeting.recipe, self._folder)
        try:
            with HEARTBEAT.following(watch):
                follow(meeting, rank, self._store, meeting.device)
        except Exception as error:
            self._ran_out = is_out_of_memory(error)
            raise

    def _make_room(self) -> None:
        """On its GPU as rank 0 does; after it ran out of memory only now, as the error held the network."""
        if self._ran_out:
            release_all()
            self._ran_out = False
        if self._num_gpus:
            self._share = self._share or GpuShare.take(self._num_gpus)
            self._share.give_back()


class RankActors:
    """The actors of ranks 1 to `num_workers` - 1, for as long as this object is kept. `config` is what every worker gets beside its leg."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config, self._num, self._group = config, int(config["num_workers"]), get_current_placement_group()
        self._actors: dict[int, Any] = {}
        self._fill()

    def train(
        self, recipe: TrialRecipe, store: Store, *, device: str, resume: Mapping[str, Any] | None = None, **more: Any
    ) -> Iterator[Epoch]:
        """`train` of the loop, by all. Raises LostRank too."""
        host = ray.util.get_node_ip_address()
        yield from train_by_ranks(recipe, store, device=device, num=self._num, start=self._start, host=host, resume=resume, **more)

    def _start(self, meeting: Meeting) -> Followers:
        self._fill()
        return _Training(meeting, self._actors, self._group)

    def _fill(self) -> None:
        """An actor for each rank that has none, or whose own was ended with an earlier training."""
        for rank in range(1, self._num):
            if rank not in self._actors:
                self._actors[rank] = self._new(rank)

    def _new(self, rank: int) -> Any:
        config = self._config
        strategy = PlacementGroupSchedulingStrategy(self._group, placement_group_bundle_index=rank)
        resources = {"num_cpus": config["num_threads"], "num_gpus": config["num_gpus"]}
        return ray.remote(RankWorker).options(scheduling_strategy=strategy, **resources).remote(dict(config))


class _Training:
    """What the actors, by rank, do for one leg; those that end with it are taken out."""

    def __init__(self, meeting: Meeting, actors: dict[int, Any], group: Any = None) -> None:
        self._num, self._actors, self._group, self._asked_s = meeting.num, actors, group, time.monotonic()
        self._done = [actors[rank].follow.remote(meeting, rank, HEARTBEAT.of_rank(rank)) for rank in range(1, meeting.num)]
        self._is_over = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def lost(self) -> str | None:
        return self._ended() or self._homeless()

    def _ended(self) -> str | None:
        ended, _ = ray.wait(self._done, num_returns=len(self._done), timeout=0)
        for done in ended:
            try:
                ray.get(done)
            except RayActorError as error:
                why = f"failed as it started: {last_line(error)}" if _AT_START in str(error) else "was lost with its process"
                return f"worker {self._done.index(done) + 2} of {self._num} {why}"
            except Exception as error:
                return f"worker {self._done.index(done) + 2} of {self._num} failed: {first_line(error)}"
        return None

    def _homeless(self) -> str | None:
        """Of an actor whose machine went before it was there: Ray has it wait for another one, which may never come. Asked now and then."""
        if time.monotonic() - self._asked_s < _WATCH_S:
            return None
        self._asked_s = time.monotonic()
        lost = next((rank for rank in ranks_without_node(self._group) if rank), None)
        return None if lost is None else f"worker {lost + 1} of {self._num} was lost with its machine"

    def end(self) -> None:
        self._is_over.set()
        _, left = ray.wait(self._done, num_returns=len(self._done), timeout=_END_S)
        for rank, done in enumerate(self._done, 1):
            if done in left:
                ray.kill(self._actors.pop(rank))
            elif _is_dead(done):
                del self._actors[rank]

    def _watch(self) -> None:
        while not self._is_over.wait(_WATCH_S):
            if self._ended() is not None and not self._is_over.wait(_NOTICE_S):
                os._exit(1)


def _is_dead(done: Any) -> bool:
    """Whether an actor was lost while it did this; what else it raises, it has said."""
    try:
        ray.get(done)
    except Exception as error:
        return isinstance(error, RayActorError)
    return False
