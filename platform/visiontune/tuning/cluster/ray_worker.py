"""The Ray actor that runs legs. It imports no sampler and no storage, and torch only once it is on a worker."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray.tune import PlacementGroupFactory, Trainable

from visiontune.errors import UserError, first_line
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.tuning.cluster.node_check import NodeNeeds, lack_at_start
from visiontune.tuning.records.leg import Report, unpack

if TYPE_CHECKING:
    from visiontune.training.heartbeat import Heartbeat
    from visiontune.tuning.cluster.rank_actors import RankActors
    from visiontune.tuning.legs.run_leg import Worker

IDLE_STEP_S = 0.1
NODE_LABEL = "ray.io/node-id"
"""Ray labels each node with its id by itself."""


class LegWorker(Trainable):  # type: ignore[misc]
    """A worker that stays: it imports and opens the data once, then it runs leg after leg, until it meets a fault of its machine."""

    _ranks: RankActors | None = None
    _worker: Worker | None = None
    _reports: Generator[Report, None, None] | None = None
    _heartbeat: Heartbeat
    _hang_s: float

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        os.environ["RAY_CHDIR_TO_TRIAL_DIR"] = "0"  # what a recipe names is named from the driver's folder
        super().__init__(*args, **kwargs)

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> PlacementGroupFactory:
        """What Tune reserves for a leg: a share for each of its workers, all on one node where that has room, none on shunned ones."""
        bundles: list[dict[str, float]] = [config["bundle"]] * config["num_workers"]
        if not config["shunned"]:
            return PlacementGroupFactory(bundles)
        elsewhere = {NODE_LABEL: f"!in({','.join(config['shunned'])})"}
        return PlacementGroupFactory(bundles, bundle_label_selector=[elsewhere] * len(bundles))

    def setup(self, config: dict[str, Any]) -> None:
        """Start the leg in `config`, or wait idle."""
        from visiontune.training.heartbeat import HEARTBEAT

        self._heartbeat, self._hang_s = HEARTBEAT, config["hang_s"]
        with suppress(ValueError):  # not where Ray runs actors in another thread
            signal.signal(signal.SIGTERM, lambda number, frame: HEARTBEAT.is_leaving.set())
        with HEARTBEAT.watched(self._hang_s):
            HEARTBEAT.begin()
            self._set_up(config)

    def _set_up(self, config: dict[str, Any]) -> None:
        import torch

        from visiontune.data.store.node_copy import on_this_node
        from visiontune.data.store.store import Store
        from visiontune.training.gpu import machine_fault
        from visiontune.training.loop import train
        from visiontune.tuning.legs.run_leg import Worker

        if self._reports is not None:
            self._reports.close()  # where other ranks wait for the next epoch of the leg before
        if config["num_workers"] > 1 and self._ranks is None:
            from visiontune.tuning.cluster.rank_actors import RankActors

            self._ranks = RankActors(config)  # they start while this one opens its pictures
        torch.set_num_threads(config["num_threads"])
        if self._worker is None:
            refuse_unfit(config.get("needs"))
            try:
                store = Store.open(on_this_node(Path(config["store"]), config["remote_cache"]))
            except (UserError, OSError) as error:  # the driver has it
                raise machine_fault(first_line(error), is_begun=False) from error
            train_by = self._ranks.train if self._ranks is not None else train
            self._worker = Worker(store, StudyFolder(Path(config["folder"])), config["num_gpus"], train_by)
        leg = unpack(config["leg"])
        saving = {key: config[key] for key in ("rungs", "checkpoint_every_s")}
        self._reports = idle() if leg is None else self._worker.run(leg, **saving)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next leg without a new process."""
        self.setup(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """The next report. Raises MachineFault, and then the process ends."""
        assert self._reports is not None
        with self._heartbeat.watched(self._hang_s):  # not between two steps, while the driver may do something else
            self._heartbeat.beat()
            return {"report": next(self._reports)}


def refuse_unfit(needs: NodeNeeds | None) -> None:
    """Raise UnfitMachine where this one is not yet looked at and lacks what it needs; None asks for nothing."""
    from visiontune.training.gpu import machine_fault

    if needs is not None and (lack := lack_at_start(needs)) is not None:
        raise machine_fault(lack.why, is_begun=False)


def idle() -> Generator[Report, None, None]:
    """Empty reports, every IDLE_STEP_S, of a worker that has no leg."""
    while True:
        time.sleep(IDLE_STEP_S)
        yield Report(epoch=0, metrics={}, time_ms=0)
