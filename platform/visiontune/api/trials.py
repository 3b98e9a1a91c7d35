"""Studies that were searched: `list_studies`, `compare`, `import_search`; their trials again: `replay`, `train_longer`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visiontune.api.inputs import Folder, OutFile, folder_of, words
from visiontune.errors import UserError
from visiontune.filesystem.given_paths import given_path, path_from
from visiontune.filesystem.path_kind import kind_of, with_home
from visiontune.filesystem.study_folder import StudiesFolder
from visiontune.spec.declarations.call_ranges import FEW, MANY, NUMBERS, refuse_given, refuse_outside

if TYPE_CHECKING:
    from visiontune.results.compare_studies import Comparison
    from visiontune.results.drafts.import_search import Imported
    from visiontune.results.longer_training import LongerTraining
    from visiontune.results.replay import Replay
    from visiontune.results.tables.study_list import StudyList
    from visiontune.training.loop import Epoch


def list_studies(studies_dir: Folder = None) -> StudyList:
    """What lies in the folder of studies, the one that changed last first; print it, or take its rows.

    Raises UserError for a folder that is named and not there.
    """
    from visiontune.results.tables.study_list import list_studies as list_all

    kind = "folder" if studies_dir is None else kind_of(with_home(studies_dir))
    if kind != "folder":
        raise UserError(f"studies lie in a folder, but {studies_dir} is {'not there' if kind is None else f'a {kind}'}")
    return list_all(StudiesFolder.of(studies_dir))


def import_search(
    file: Path | str, overrides: Sequence[str] = (), *, out: OutFile = None, study: str | None = None, force: bool = False, **more: Any
) -> Imported:
    """A sweep of W&B (YAML), a study of Optuna (journal or SQLite file) as a search-space file, a Ray Tune trial's params.json as a recipe.

    Params find their keys by name, such as learning_rate; what the file does not say (data, networks, budget) is in overrides. `study` is
    one of several in a storage. Raises UserError with all that has no counterpart, and for a file that is there, without `force`.
    """
    from visiontune.results.drafts.import_search import import_search as import_by

    return import_by(path_from(file, "file"), words(overrides, more), out=given_path(out, "out"), study=study, force=force)


def compare(studies: Sequence[Path | str], *, studies_dir: Folder = None, storage: str = "journal") -> Comparison:
    """Two studies or more, the others against the first: winners over seeds, whether they differ by more than chance, budgets, files.

    Raises UserError.
    """
    if isinstance(studies, str) or not isinstance(studies, Iterable):
        raise UserError(f"studies to compare are a list of names or folders, but got {studies!r}")
    folders = [folder_of(study, studies_dir) for study in studies]
    from visiontune.results.compare_studies import compare_studies
    from visiontune.results.study import open_study

    return compare_studies([open_study(folder, storage) for folder in folders])


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
    """Train a trial again, by its number in a study, and name the first epoch and metric that differ from its record, to the last bit.

    All its epochs or the first `epochs`; `device` is auto, cpu or cuda, None for the kind that the search used. `on_epoch` is called with
    each epoch, its recorded and its new metrics. Raises UserError, also where the pictures are other ones now.
    """
    refuse_outside(NUMBERS, trial=trial)
    refuse_given(MANY, epochs=epochs)
    folder = folder_of(study, studies_dir)
    from visiontune.results.replay import replay_trial
    from visiontune.results.study import open_study

    num = None if epochs is None else int(epochs)
    return replay_trial(open_study(folder, storage), int(trial), epochs=num, device=device, on_epoch=on_epoch)


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
    """Train a study's winner for more epochs, its schedule stretched, on the first `seeds` seeds of its confirmations: what that gains.

    The weights of the best are kept in `out`, else in the study's folder as longer-EPOCHS.safetensors, and are tested, once. The others
    are as in `fit`. Raises UserError, also where there is no winner or `epochs` is not more than it had.
    """
    refuse_outside(MANY, epochs=epochs, seeds=seeds)
    refuse_outside(FEW, workers=workers)
    folder, to = folder_of(study, studies_dir), given_path(out, "out")
    from visiontune.results.longer_training import train_winner_longer
    from visiontune.results.study import open_study

    how: dict[str, Any] = {"seeds": int(seeds), "device": device, "workers": int(workers), "out": to, "test_time": test_time}
    return train_winner_longer(open_study(folder, storage), int(epochs), **how, on_epoch=on_epoch)
