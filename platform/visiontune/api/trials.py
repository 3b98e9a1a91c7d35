"""Trials of a study that was searched: `replay` trains one again beside its record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from visiontune.api.inputs import Folder, folder_of

if TYPE_CHECKING:
    from visiontune.results.replay import Replay


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
