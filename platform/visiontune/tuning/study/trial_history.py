"""What a study noted of one trial beside its values: when it ran, where each leg was trained, which workers it lost, what epochs took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from visiontune.filesystem.study_folder import StudyFolder
from visiontune.tuning.study.open_storage import open_existing

LEGS, LOSSES = "legs", "losses"


@dataclass(frozen=True)
class Place:
    """A worker that trained a trial: its node, torch's threads, its GPU ("" for none); `epoch` was the first that it reported.

    `note` says what was wrong with the checkpoint that it went on from.
    """

    epoch: int
    node: str
    num_threads: int
    gpu: str
    note: str = ""


@dataclass(frozen=True)
class Loss:
    """A worker died or broke under a trial of which the study had so many epochs; `node` is the machine's name, "" where unknown."""

    epoch: int
    what: str
    node: str = ""


@dataclass(frozen=True)
class TrialHistory:
    """`started` is when it was proposed, `ended` None while it is not. Studies of earlier versions noted no places and no losses.

    `epoch_s` is seconds by epoch; a kill may have swallowed some.
    """

    started: datetime | None
    ended: datetime | None
    num_gpus: float = 0.0
    epoch_s: Mapping[int, float] = field(default_factory=dict)
    places: Sequence[Place] = ()
    losses: Sequence[Loss] = ()


def read_history(folder: StudyFolder, number: int, url: str = "journal") -> TrialHistory:
    """That of a trial that the study has. Raises UserError where there is no study."""
    trial = open_existing(folder, url).trial(number)
    spent = trial.user_attrs.get("spent", {})
    return TrialHistory(
        started=trial.datetime_start,
        ended=trial.datetime_complete,
        num_gpus=float(spent.get("num_gpus", 0.0)),
        epoch_s={int(epoch): float(seconds) for epoch, seconds in spent.get("epoch_s", {}).items()},
        places=tuple(Place(**one) for one in trial.user_attrs.get(LEGS, ())),
        losses=tuple(Loss(**one) for one in trial.user_attrs.get(LOSSES, ())),
    )
