"""`visiontune search` with workers that import no torch and train nothing: what is left of a worker is 130 MB, so that many fit a machine.

python crowded_search.py search FILE ...    # the words of `visiontune`
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

from visiontune.cli import main
from visiontune.tuning.cluster import ray_adapter
from visiontune.tuning.cluster.ray_worker import LegWorker, idle
from visiontune.tuning.records.leg import Leg, Report, unpack

EPOCH_S = 3.0


def as_light() -> type[LegWorker]:
    """By value, as a cluster has no file of it."""

    class LightWorker(LegWorker):
        def setup(self, config: dict[str, Any]) -> None:
            leg = unpack(config["leg"])
            self._reports = idle() if leg is None else epochs(leg)

        def step(self) -> dict[str, Any]:
            return {"report": next(self._reports)}

    def epochs(leg: Leg) -> Iterator[Report]:
        """As if a checkpoint were written after each."""
        for epoch in range(leg.known_epochs + 1, leg.recipe.training["num_epochs"] + 1):
            time.sleep(EPOCH_S)
            metrics = {"train_loss": 1 / epoch, "val_loss": 1 / epoch, "val_top1": 1 - 1 / epoch, "lr": 0.0, "epoch_s": EPOCH_S}
            yield Report(epoch, metrics, time.time_ns() // 1_000_000, is_last=epoch == leg.recipe.training["num_epochs"])

    return LightWorker


if __name__ == "__main__":
    ray_adapter.LegWorker = as_light()  # type: ignore[misc]
    sys.exit(main())
