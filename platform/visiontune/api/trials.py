"""Trials of a study that was searched, trained again: `replay` beside the record, `train_longer` for more epochs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visiontune.api.inputs import Folder, OutFile, folder_of

if TYPE_CHECKING:
    from visiontune.results.longer_training import LongerTraining
    from visiontune.results.replay import Replay
    from visiontune.training.loop import Epoch


def replay(
    study: Path | str,
    trial: int,
    *,
    epochs: int | None = None,
    device: str | None = None,
    on_epoch: Callable[[int, Mapping[str, float], Mapping[str, float]], object] = lambda epoch, recorded, replayed: None,
    studies_dir: Folder = None,
    storage: str = "journal",
) -> Replay:
    """Train a trial again, by its number in a study, and compare each epoch with what is recorded; as `Study.replay`."""
    folder = folder_of(study, studies_dir)
    from visiontune.results.study import open_study

    return open_study(folder, storage).replay(trial, epochs=epochs, device=device, on_epoch=on_epoch)


def train_longer(
    study: Path | str,
    epochs: int,
    *,
    seeds: int = 1,
    device: str = "auto",
    workers: int = 1,
    out: OutFile = None,
    test_time: str = "none",
    on_epoch: Callable[[Epoch], object] = lambda epoch: None,
    studies_dir: Folder = None,
    storage: str = "journal",
) -> LongerTraining:
    """Train a study's winner for more epochs and say what that gained; as `Study.train_longer`."""
    folder = folder_of(study, studies_dir)
    from visiontune.results.study import open_study

    how: dict[str, Any] = {"seeds": seeds, "device": device, "workers": workers, "out": out, "test_time": test_time}
    return open_study(folder, storage).train_longer(epochs, **how, on_epoch=on_epoch)
