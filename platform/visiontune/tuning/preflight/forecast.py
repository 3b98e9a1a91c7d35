"""What a search will take, said before it starts and kept with the study, so that its end can be held against it.

Bytes of records were measured on searches of digits (24 and 2,700 trials of 25 params, 2.4 epochs each), journal with its copy.
"""

from __future__ import annotations

import json
import statistics
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from visiontune.errors import UserError
from visiontune.filesystem.atomic_write import write_whole
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.spec.space.epoch_forecast import cost, num_retrainings
from visiontune.spec.space.study_spec import StudySpec
from visiontune.spec.tables.preprocessings import channels_after
from visiontune.tuning.study.study_storage import Storage

if TYPE_CHECKING:
    from visiontune.data.store.store import DataInfo

FORECAST = "forecast"
"""The study's attribute."""
_TRIAL_BYTES, _EPOCH_BYTES = 13_000, 600
_MLFLOW_TRIAL_BYTES, _MLFLOW_EPOCH_BYTES = 20_000, 2_000
_STATE_PER_WEIGHT = 3
"""Of a checkpoint: the weights and an optimizer's two states, as Adam has; SGD has one, averages add one."""
_MODEL_PER_WEIGHT = 7
"""MLflow keeps the winner as weights, as a program for a CPU and in its registry's form."""


@dataclass(frozen=True)
class Forecast:
    """`epochs` of trials and retrainings, None where the file bounds neither; bytes at the most that a search may have at once.

    `hours` and `gpu_hours` only where `visiontune check --run` measured an epoch of each network.
    """

    epochs: int | None
    checkpoint_bytes: int
    weight_bytes: int
    record_bytes: int
    mlflow_bytes: int
    hours: float | None = None
    gpu_hours: float | None = None

    @property
    def study_bytes(self) -> int:
        """Of the study's folder."""
        return self.checkpoint_bytes + self.weight_bytes + self.record_bytes


def forecast(spec: StudySpec, info: DataInfo) -> Forecast:
    """By the mean of the space's smallest and largest networks. Trials without a number count as many as their epochs allow."""
    epochs, again = num_epochs(spec), num_retrainings(spec)
    num_trials = cost(spec).num_trials or (epochs or 0) // spec.rungs[0]
    each = int(statistics.fmean(weight_bytes(spec, info) or [0.0]))
    waiting = num_trials * _STATE_PER_WEIGHT * each * spec.num_repeats if len(spec.leg_ends) > 1 else 0
    held = waiting if spec.is_population else 0  # beside those of the trials, which have gone on
    return Forecast(
        epochs,
        min(waiting, int(spec.storage["max_checkpoint_mb"]) * 1_000_000) + held,
        (again + 1) * each,
        num_trials * _TRIAL_BYTES + (epochs or 0) * _EPOCH_BYTES,
        num_trials * _MLFLOW_TRIAL_BYTES + (epochs or 0) * _MLFLOW_EPOCH_BYTES + _MODEL_PER_WEIGHT * each,
    )


def num_epochs(spec: StudySpec) -> int | None:
    """That are expected of trials and retrainings."""
    expected = cost(spec).expected_epochs
    return None if expected is None else expected + num_retrainings(spec) * spec.budget.max_epochs


def weight_bytes(spec: StudySpec, info: DataInfo) -> list[float]:
    """Of the smallest and the largest corner of each network, without making any weights."""
    import torch

    from visiontune.models.build import build_model

    found: dict[str, list[float]] = {}
    channels = channels_after(str(spec.space.corners("preprocessing")[0]["colour"]), info.channels)
    for model in spec.space.corners("model"):
        with suppress(UserError, RuntimeError, ValueError, AssertionError), torch.device("meta"):  # what can't be built is told as such
            network = build_model(model, num_classes=info.num_classes, in_channels=channels, image_size=info.image_size)
            found.setdefault(str(model["name"]), []).append(sum(one.nbytes for one in network.state_dict().values()))
    return [float(end) for sizes in found.values() for end in (min(sizes), max(sizes))]


def keep_measured(folder: StudyFolder, hours: float, gpu_hours: float) -> None:
    """What `visiontune check --run` found, for a search that is to come."""
    folder.path.mkdir(parents=True, exist_ok=True)
    write_whole(folder.forecast, json.dumps({"hours": hours, "gpu_hours": gpu_hours}))


def keep_forecast(storage: Storage, folder: StudyFolder, spec: StudySpec, info: DataInfo) -> None:
    """Once for a study, and again where it goes on with a budget of other epochs."""
    known = storage.attributes().get(FORECAST)
    if known is not None and known["epochs"] == num_epochs(spec):
        return
    found = forecast(spec, info)
    with suppress(OSError, ValueError, TypeError):
        found = replace(found, **json.loads(folder.forecast.read_text()))
    storage.set_attribute(FORECAST, asdict(found))
