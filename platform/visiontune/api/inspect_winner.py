"""What a study's winner sees: `inspect`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from visiontune.api.inputs import Folder, OutFile, folder_of
from visiontune.filesystem.given_paths import given_path
from visiontune.filesystem.study_folder import StudiesFolder

if TYPE_CHECKING:
    from visiontune.results.inspection.study_inspection import Inspection


def inspect(
    study: Path | str,
    *,
    only: Sequence[str] | None = None,
    out: OutFile = None,
    folds: int | None = None,
    device: str = "auto",
    studies_dir: Folder = None,
    progress: bool | str = True,
) -> Inspection:
    """Look at what a study's winner sees, on the validation pictures: its answers, its layers, and how it stands corruptions.

    `only` names views: confusion, mistakes, labels, corruptions, filters, maps, attribution, receptive_field, visualisation. Pictures
    and an index are written to the folder `out`, by default STUDY/inspection. With `folds`, 2 to 20, the winner's recipe is trained so
    often, each time without a part of the pictures, and labels is of the training pictures too; the same call goes on where one was
    stopped. `device` is auto, cpu or cuda; `progress` as in `ingest`. Raises UserError, also for a study without a winner's weights.
    """
    folder = folder_of(study, studies_dir)
    from visiontune.results.inspection.study_inspection import inspect_study
    from visiontune.results.screens.ingest_progress import IngestScreen

    cache = StudiesFolder(folder.path.parent).data_cache
    with IngestScreen.of(progress) as screen:
        to = given_path(out, "out")
        return inspect_study(folder, cache, only=only, out=to, folds=folds, device=device, tell=screen.tell)
