"""What `import visiontune` offers: all that the command line does, with the same files, the same rules and the same errors.

A `space` is a search-space file or its content as a mapping. It is overridden by words as on the command line
(`overrides=["budget.num_trials=8"]`) or by keyword arguments, in which two underscores stand for a dot (`budget__num_trials=8`).
Input that can't be used raises `UserError`, whose text is every problem with its place, its rule and the nearest valid choice.
`studies_dir` is by default VISIONTUNE_STUDIES, else ./studies. Nothing heavy is imported before it is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visiontune.errors import UserError
from visiontune.filesystem.study_folder import StudiesFolder, StudyFolder

if TYPE_CHECKING:
    from visiontune.models.profile import Profile
    from visiontune.results.dataset import Dataset
    from visiontune.results.preview import Preview
    from visiontune.results.study import Study
    from visiontune.results.study_check import StudyCheck
    from visiontune.spec.study_spec import StudySpec
    from visiontune.spec.trial_recipe import TrialRecipe
    from visiontune.training.loop import Epoch
    from visiontune.training.train_recipe import Result

File = Path | str | Mapping[str, Any]
Folder = Path | str | None


class Interrupted(KeyboardInterrupt):
    """A search was told to stop: what is done is kept, and the same call goes on. `study` is how it stands."""

    def __init__(self, study: Study) -> None:
        super().__init__(f"search {study.name} was interrupted; the same call goes on")
        self.study = study


def search(
    space: File,
    overrides: Sequence[str] = (),
    *,
    name: str | None = None,
    studies_dir: Folder = None,
    address: str | None = None,
    progress: bool | str = True,
    may_exit: bool = False,
    **more: Any,
) -> Study:
    """Search a space until its study is finished; the same call again goes on where it stopped.

    `name` is another name for the study; `address` a Ray cluster to join, else Ray starts here. `progress` shows how the search stands,
    on a terminal and in a notebook as a table, elsewhere or with "plain" as lines. `may_exit`: after an interruption that Ray does not
    answer, this process may be ended. Raises UserError, tuning.launch.SearchFailed, tuning.ray_cluster.NoCluster, and Interrupted (a
    KeyboardInterrupt) after Ctrl-C or SIGTERM; in other threads than the main one signals are left alone.
    """
    spec = _spec_of(space, [*overrides, *([f"study={name}"] if name else [])], more)
    studies = StudiesFolder.of(studies_dir)
    folder = studies.study(spec.study)
    from visiontune.results.search_screen import Screen
    from visiontune.results.study import Study
    from visiontune.tracking.tracker import send_leftovers, tracker
    from visiontune.tuning.launch import run_search
    from visiontune.tuning.ray_cluster import check_address

    check_address(address)  # before anything is written
    with Screen.of(progress) as screen:
        outcome = run_search(spec, studies, tracker=lambda: tracker(folder), screen=screen.update, address=address, may_exit=may_exit)
    if outcome.status == "finished" and outcome.num_new_trials == 0:
        send_leftovers(folder)
    study = Study(folder, outcome.study, outcome.status, outcome.num_new_trials, str(spec.storage["url"]))
    if outcome.status == "interrupted":
        raise Interrupted(study)
    return study


def check(
    space: File, overrides: Sequence[str] = (), *, run: bool = False, studies_dir: Folder = None, progress: bool = True, **more: Any
) -> StudyCheck:
    """Validate a space, build every model, say what the search will cost; with `run` try data, networks and learning rates out.

    `progress` prints each check as it ends. Raises UserError with every problem.
    """
    spec = _spec_of(space, overrides, more)
    from visiontune.results.study_check import check_study

    return check_study(spec, StudiesFolder.of(studies_dir), is_run=run, is_quiet=not progress)


def sample(space: File, n: int = 3, overrides: Sequence[str] = (), *, seed: int = 0, **more: Any) -> list[TrialRecipe]:
    """`n` recipes drawn out of a space, the same for the same seed; each has a `fingerprint` and `to_dict()`."""
    from visiontune.spec.domains import RandomParams
    from visiontune.spec.fingerprint import keyed_seed
    from visiontune.spec.parse import make_recipe

    spec = _spec_of(space, overrides, more)
    draws = (spec.space.resolve(RandomParams(keyed_seed(seed, "sample", number))) for number in range(n))
    return [make_recipe(spec, sections, number) for number, sections in enumerate(draws)]


def load_recipe(recipe: File, overrides: Sequence[str] = (), **more: Any) -> TrialRecipe:
    """One trial's file or mapping, every default filled in. Raises UserError."""
    from visiontune.spec.parse import load_recipe as read

    return read(recipe, _words(overrides, more))


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
    whose keys are overridden (image_size=224, allow_bad=0.1). `name` is for `load_data`. The same pictures are found again.
    """
    from visiontune.results.ingest_progress import IngestScreen
    from visiontune.results.make_dataset import make_dataset, section_of

    section = section_of(source, _words(overrides, more))
    with IngestScreen.of(progress) as screen:
        return make_dataset(section, name, StudiesFolder.of(studies_dir).data_cache, screen.tell)


def load_data(name: str, *, studies_dir: Folder = None) -> Dataset:
    """What an ingest made, by its name, its digest or the beginning of one. Raises UserError."""
    from visiontune.results.make_dataset import find_dataset

    return find_dataset(name, StudiesFolder.of(studies_dir).data_cache)


def train(
    recipe: File | TrialRecipe, overrides: Sequence[str] = (), *, device: str = "auto", studies_dir: Folder = None, **more: Any
) -> Iterator[Epoch]:
    """Train one recipe without Ray and MLflow; an item for each epoch, with its metrics and the live model.

    `device` is auto, cpu or cuda. Raises UserError for data or a device that can't be used, training.loop.Diverged for a loss that ran
    away.
    """
    from visiontune.training.train_recipe import train_recipe

    return train_recipe(_recipe_of(recipe, overrides, more), StudiesFolder.of(studies_dir).data_cache, device=device)


def fit(
    recipe: File | TrialRecipe,
    overrides: Sequence[str] = (),
    *,
    device: str = "auto",
    out: Folder = None,
    on_epoch: Callable[[Epoch], object] = lambda epoch: None,
    studies_dir: Folder = None,
    **more: Any,
) -> Result:
    """Train one recipe to its end and meet the test split once. `out` takes the weights, as safetensors. Raises what `train` does."""
    from visiontune.training.train_recipe import fit_recipe

    to, cache = None if out is None else Path(out), StudiesFolder.of(studies_dir).data_cache
    return fit_recipe(_recipe_of(recipe, overrides, more), cache, device=device, out=to, on_epoch=on_epoch)


def load_study(study: Path | str, *, studies_dir: Folder = None, storage: str = "journal") -> Study:
    """A study by its name or its folder, running or finished. `storage` is the URL of one with `storage.url`. Raises UserError."""
    is_path = studies_dir is None and Path(study).name != str(study)
    folder = StudyFolder(Path(study)) if is_path else StudiesFolder.of(studies_dir).find(str(study))
    from visiontune.results.study import Study
    from visiontune.tuning.read_study import read_study

    return Study(folder, read_study(folder, storage), storage_url=storage)


def preview(
    file: File,
    overrides: Sequence[str] = (),
    *,
    num: int = 4,
    out: Folder = None,
    study: str | None = None,
    studies_dir: Folder = None,
    **more: Any,
) -> Preview:
    """Draw what the policy of a space or recipe does to `num` pictures, and find labels that it may change.

    With `study` that study's winner says which classes the ops confuse; without it the space's own, if there is one. The sheet is
    written to `out`, by default into the study's folder or beside the recipe. Raises UserError.
    """
    from visiontune.results.preview import preview as draw

    to = None if out is None else Path(out)
    return draw(file, _words(overrides, more), studies=StudiesFolder.of(studies_dir), num=num, out=to, study=study)


def export_policy(recipe: File, to: Path | str, overrides: Sequence[str] = (), **more: Any) -> None:
    """Write a recipe's augmentation for albumentations (.yaml, .json) or torchvision v2 (.py). Raises UserError for what none can say."""
    from visiontune.results.preview import export

    export(recipe, _words(overrides, more), Path(to))


def profile(
    model: str,
    overrides: Sequence[str] = (),
    *,
    image_size: int,
    num_classes: int,
    in_channels: int = 3,
    batch_size: int = 64,
    **more: Any,
) -> Profile:
    """What a network costs, layer by layer: parameters, multiply-adds, memory, receptive field. Overrides are of its section `model`."""
    from visiontune.spec.parse import load_model

    section = load_model(model, _words(overrides, more))
    from visiontune.models.profile import profile as profile_of

    return profile_of(section, num_classes=num_classes, in_channels=in_channels, image_size=image_size, batch_size=batch_size)


def submit(
    space: Path | str,
    address: str,
    overrides: Sequence[str] = (),
    *,
    studies_dir: str | None = None,
    say: Callable[[str], None] = print,
    **more: Any,
) -> int:
    """Run a search as a job of the Ray cluster at `address`, or follow it there; its exit code. `studies_dir` is on the cluster."""
    from visiontune.tuning.ray_submit import submit as submit_job

    return submit_job(Path(space), address, _words(overrides, more), studies_dir=studies_dir, say=say)


def open_ui(*, port: int = 5000, studies_dir: Folder = None) -> None:
    """Serve MLflow's pages over the studies on loopback, until Ctrl-C. Raises UserError."""
    from visiontune.tracking.mlflow_ui import open_ui as serve

    serve(StudiesFolder.of(studies_dir), port)


def list_entries(table: str | None = None) -> list[str]:
    """Lines with a table's entries, their arguments and defaults; the tables themselves where none is named. Raises UserError."""
    from visiontune.results.entry_lists import table_lines

    return table_lines(table)


def json_schema() -> dict[str, Any]:
    """JSON Schema of a search-space file, for editors."""
    from visiontune.spec.json_schema import json_schema as schema

    return schema()


def _words(overrides: Sequence[str], more: Mapping[str, Any]) -> list[str]:
    from visiontune.spec.parse import override_texts

    return [*overrides, *override_texts(more)]


def _spec_of(space: File, overrides: Sequence[str], more: Mapping[str, Any]) -> StudySpec:
    from visiontune.spec.parse import load_study as read

    return read(space, _words(overrides, more))


def _recipe_of(recipe: File | TrialRecipe, overrides: Sequence[str], more: Mapping[str, Any]) -> TrialRecipe:
    if isinstance(recipe, Path | str | Mapping):
        return load_recipe(recipe, overrides, **more)
    if overrides or more:
        raise UserError("overrides are for a recipe's file or mapping; change a TrialRecipe by load_recipe(recipe.to_dict(), [...])")
    return recipe
