"""The winner trained again in full on seeds that the search never saw, each then evaluated on the test split once."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import asdict, replace

from visiontune.spec.fingerprint import keyed_seed
from visiontune.spec.study_spec import StudySpec
from visiontune.spec.tables.metrics import FULL_METRICS
from visiontune.spec.trial_recipe import TrialRecipe
from visiontune.tuning.records import Confirmation, Leg, Report, TrialRecord
from visiontune.tuning.study_storage import Storage
from visiontune.tuning.trial_queue import MAX_CRASHES


class ConfirmationQueue:
    """Legs for the confirmations that the storage does not have yet."""

    def __init__(self, spec: StudySpec, storage: Storage, winner: TrialRecord) -> None:
        self._spec, self._storage = spec, storage
        self._winner, self._micro_batch = TrialRecipe(**winner.recipe), winner.micro_batch
        done = storage.attributes()
        self._prefix = confirmation_prefix(winner.fingerprint)
        self._todo = [index for index in range(int(spec.confirm["num_seeds"])) if self._attribute(index) not in done]
        self.num_done = int(spec.confirm["num_seeds"]) - len(self._todo)
        self._left_out: list[int] = []
        self._num_crashes: dict[int, int] = {}
        self.on_worker: set[int] = set()
        self.num_epochs = 0

    @property
    def num_todo(self) -> int:
        """Those that no worker has yet."""
        return len(self._todo)

    @property
    def keys_todo(self) -> list[str]:
        """Checkpoint folders of those that no worker has yet."""
        return [f"{self._prefix}{index}" for index in self._todo]

    @property
    def keys_left(self) -> list[str]:
        """Checkpoint folders of all that are not done, those too that there was no room for."""
        return [f"{self._prefix}{index}" for index in (*self._todo, *self.on_worker, *self._left_out)]

    def limit(self, begun: Collection[str], num_new: int) -> None:
        """Of those that were not begun only so many; what was begun goes on first."""
        first = [index for index in self._todo if f"{self._prefix}{index}" in begun]
        new = [index for index in self._todo if index not in first]
        self._todo, self._left_out = first + new[:num_new], new[num_new:]

    def next_leg(self) -> Leg | None:
        """The next confirmation to train; None when all are on workers or done."""
        if not self._todo:
            return None
        index = self._todo.pop(0)
        self.on_worker.add(index)
        training = {**self._winner.training, "seed": self._seed(index)}
        recipe = replace(self._winner, training=training)
        more = {"micro_batch": self._micro_batch, "test_time": self._spec.confirm["test_time"]}
        return Leg(f"{self._prefix}{index}", index, recipe, known_epochs=0, is_confirmation=True, **more)

    def report(self, index: int, report: Report) -> bool:
        """Take a worker's report, the last of which has the test figures; whether the worker should go on with this confirmation."""
        self.num_epochs += 1
        nan = math.nan
        if report.failure:
            self._record(index, Confirmation(self._seed(index), nan, nan, nan, f"{report.failure}: {report.reason}"))
            return False
        if not report.is_last:
            return True
        values, metric = report.metrics, self._spec.objective.metric
        own = values.get(f"test_{metric.removeprefix('val_')}") if metric in FULL_METRICS else None
        figures = Confirmation(self._seed(index), values[metric], values["test_top1"], values["test_loss"], test_value=own)
        if (views := self._spec.confirm["test_time"]) != "none":
            figures = replace(figures, test_time=views, test_time_top1=values[f"test_top1_{views}"])
        self._record(index, figures)
        return False

    def lost(self, index: int, what: str, *, is_begun: bool = True) -> None:
        """The worker died: the confirmation is queued again, and after MAX_CRASHES, once it had begun, recorded as crashed."""
        self.on_worker.discard(index)
        self._num_crashes[index] = self._num_crashes.get(index, 0) + is_begun
        if self._num_crashes[index] < MAX_CRASHES:
            self._todo.append(index)
        else:
            self._record(index, Confirmation(self._seed(index), math.nan, math.nan, math.nan, f"crashed: {what}"))

    def _attribute(self, index: int) -> str:
        return f"{self._prefix}{index:03d}"

    def _seed(self, index: int) -> int:
        return keyed_seed(int(self._spec.sampler["seed"]), "confirmation", index)

    def _record(self, index: int, confirmation: Confirmation) -> None:
        self._storage.set_attribute(self._attribute(index), asdict(confirmation))
        self.on_worker.discard(index)


def confirmation_prefix(fingerprint: str) -> str:
    """The start of the study's attributes and the checkpoint folders of one winner's confirmations, told apart by its fingerprint."""
    return f"confirmation.{fingerprint}."
