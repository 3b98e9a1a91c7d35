"""Pictures and what is done to them: `ingest`, `init_space`, `load_data`, `list_data`, `prune_data`, `preview`, `export_policy`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visiontune.api.inputs import File, Folder, OutFile, either_of, folder_of, words
from visiontune.errors import UserError
from visiontune.filesystem.given_paths import given_path, path_from
from visiontune.filesystem.study_folder import StudiesFolder
from visiontune.spec.declarations.call_ranges import DAYS, FEW, refuse_outside

if TYPE_CHECKING:
    from visiontune.results.checks.preview import Preview
    from visiontune.results.drafts.init_space import NewSpace
    from visiontune.results.pictures.dataset import Dataset
    from visiontune.results.pictures.stored_data import DataList
    from visiontune.spec.declarations.trial_recipe import TrialRecipe


def ingest(
    source: Path | str | Mapping[str, Any],
    overrides: Sequence[str] = (),
    *,
    name: str | None = None,
    studies_dir: Folder = None,
    progress: bool | str = True,
    **more: Any,
) -> Dataset:
    """Read pictures as they lie, set aside what can't be used and say why, and keep the rest for fast reading.

    `source` is what `visiontune ingest` takes (a folder, a table, COCO's JSON, digits, torchvision:NAME), or a study's section `data`,
    whose keys are overridden (image_size=224, allow_bad=0.1; "source=KIND" says as what a path is read). `name` is for `load_data`. The
    same pictures are found again.
    Raises UserError for pictures or a folder that can't be used, Died where a process that decodes was killed.
    """
    from visiontune.results.pictures.make_dataset import make_dataset, section_of
    from visiontune.results.screens.ingest_progress import IngestScreen

    section = section_of(source, words(overrides, more))
    with IngestScreen.of(progress) as screen:
        return make_dataset(section, name, StudiesFolder.of(studies_dir).data_cache, screen.tell)


def init_space(
    source: Path | str | Mapping[str, Any],
    overrides: Sequence[str] = (),
    *,
    out: OutFile = None,
    name: str | None = None,
    pretrained: bool | None = None,
    mirrored: bool | None = None,
    hours: float | None = None,
    force: bool = False,
    ask: Callable[[str, str], str] | None = None,
    command: str | None = None,
    **more: Any,
) -> NewSpace:
    """Look at pictures and write a search space that suits them: size, number, balance of classes, colour, weights at hand.

    `source` and overrides (image_size=96) are those of `ingest`; nothing is ingested. `out` is by default STUDY.yaml here, and the study is
    called `name` or after the source. `pretrained`: start from ImageNet's weights; `mirrored`: a mirrored picture keeps its class;
    `hours` (0.001 to 100,000) for the whole search. What is None is asked by `ask` (question, default), else decided by the
    pictures. `command` is what the file says of where it comes from. Raises UserError, also where the file is there and `force` is false,
    or where the pictures do not fit what is asked for.
    """
    from visiontune.results.drafts.init_space import init_space as make

    given = {"use_pretrained": pretrained, "is_mirrored": mirrored, "hours": hours}
    to = given_path(out, "out")
    said = command or f"visiontune.init_space({str(source)!r})"
    return make(source, words(overrides, more), out=to, name=name, given=given, ask=ask, force=force, command=said)


def load_data(name: str, *, studies_dir: Folder = None) -> Dataset:
    """What an ingest made, by its name, its digest or the beginning of one. Raises UserError."""
    from visiontune.results.pictures.make_dataset import find_dataset

    if not isinstance(name, str):
        raise UserError(f"a dataset is named by a string, but got {name!r}")
    return find_dataset(name, StudiesFolder.of(studies_dir).data_cache)


def list_data(*, studies_dir: Folder = None, storage: str = "journal") -> DataList:
    """All that ingests made: how large, when last used, which names and studies mean it. `print(list)` is a table.

    `storage` is the database of studies that are not in their folder's journal.
    """
    from visiontune.results.pictures.stored_data import list_data as listed

    return listed(StudiesFolder.of(studies_dir), storage)


def prune_data(days: int = 30, *, studies_dir: Folder = None, storage: str = "journal") -> DataList:
    """Remove what no name and no study means and no command found for so many days (0 to 36,500). It can be made again.

    `storage` as in `list_data`. Raises UserError where a study can't be read: it may have been begun on any of them.
    """
    refuse_outside(DAYS, days=days)
    from visiontune.results.pictures.stored_data import prune_data as prune

    return prune(StudiesFolder.of(studies_dir), days, storage)


def preview(
    file: File | TrialRecipe,
    overrides: Sequence[str] = (),
    *,
    num: int = 4,
    out: OutFile = None,
    study: str | None = None,
    studies_dir: Folder = None,
    **more: Any,
) -> Preview:
    """Write a sheet of what the policy of a space or recipe does to `num` pictures (1 to 64), and find labels that it may change.

    With `study` that study's winner says which classes the ops confuse; without it the space's own, if there is one. The sheet is
    written to `out`, by default into the study's folder, beside a recipe's file, or else here. Raises UserError.
    """
    refuse_outside(FEW, num=num)
    from visiontune.results.checks.preview import preview as make_preview

    to = given_path(out, "out")
    if study is not None:
        folder_of(study, studies_dir)
    return make_preview(*either_of(file, overrides, more), studies=StudiesFolder.of(studies_dir), num=num, out=to, study=study)


def export_policy(recipe: File | TrialRecipe, to: Path | str, overrides: Sequence[str] = (), **more: Any) -> None:
    """Write a recipe's policy for albumentations (.yaml, .json) or torchvision v2 (.py). Raises UserError for what they can't express."""
    from visiontune.results.checks.preview import export

    export(*either_of(recipe, overrides, more), path_from(to, "to"))
