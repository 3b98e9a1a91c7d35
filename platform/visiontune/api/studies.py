"""A study that is there: load it, follow its events, enqueue recipes, rehearse other settings, open MLflow's UI over all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visiontune.api.inputs import File, Folder, folder_of, start_recipe_of
from visiontune.filesystem.study_folder import StudiesFolder
from visiontune.spec.declarations.call_ranges import FACTOR, FEW, MANY, PORT, refuse_given, refuse_outside
from visiontune.spec.plugins import in_use

if TYPE_CHECKING:
    from visiontune.results.rehearsal import Rehearsal
    from visiontune.results.study import Study
    from visiontune.spec.declarations.trial_recipe import TrialRecipe
    from visiontune.tuning.proposals.start_recipes import StartPoint
    from visiontune.tuning.study.event_log import Event


def load_study(study: Path | str, *, studies_dir: Folder = None, storage: str = "journal") -> Study:
    """A study by its name or its folder, running or finished. `storage` is the URL of one with `storage.url`. Raises UserError."""
    folder = folder_of(study, studies_dir)
    from visiontune.results.study import open_study

    return open_study(folder, storage)


def events(study: Path | str, *, follow: bool = False, studies_dir: Folder = None) -> Iterator[Event]:
    """What happened in a study, in order: starts, promotions, waits, ends, losses, machines, each with its reason.

    With `follow` also what comes, as long as a driver is at work. Studies of earlier versions have none. Raises UserError.
    """
    folder = folder_of(study, studies_dir)
    from visiontune.tuning.study.event_log import follow_events, read_events
    from visiontune.tuning.study.who_drives import holder_of

    return follow_events(folder.events, lambda: holder_of(folder) is None) if follow else read_events(folder.events)


def enqueue(
    study: Path | str,
    recipe: File | TrialRecipe | None = None,
    overrides: Sequence[str] = (),
    *,
    studies_dir: Folder = None,
    storage: str = "journal",
    **more: Any,
) -> StartPoint:
    """Have a recipe tried next in a study, whether its search goes on now or later; without a recipe, what the overrides say of one.

    What it does not say has the tables' defaults; what does not fit the study's space is the nearest that does, as `said` tells.
    `storage` is the URL of a study with `storage.url`. Raises UserError, also for a recipe of which the space has nothing.
    """
    folder = folder_of(study, studies_dir)
    from visiontune.tuning.proposals.start_recipes import enqueue_in
    from visiontune.tuning.study.read_study import load_files_of

    with in_use(load_files_of(folder, storage)):
        return enqueue_in(folder, storage, start_recipe_of(recipe, overrides, more))


def rehearse(
    study: Path | str,
    *,
    sampler: str | None = None,
    reduction_factor: int | None = None,
    min_epochs: int | None = None,
    max_concurrent_trials: int = 4,
    seeds: int = 8,
    studies_dir: Folder = None,
    storage: str = "journal",
) -> Rehearsal:
    """What a study would have found with other settings: searches on its own trials' curves, without training.

    Its own settings, those that are given here, and random search, each with so many seeds and trials at once. Every trial's curve is used
    once in a search, by the proposal nearest to it; one that was cut at a rung goes on with its last value. Raises UserError, also where
    fewer than 8 trials were trained in full.
    """
    refuse_given(MANY, seeds=seeds, min_epochs=min_epochs)
    refuse_given(FACTOR, reduction_factor=reduction_factor)
    refuse_outside(FEW, max_concurrent_trials=max_concurrent_trials)
    found = load_study(study, studies_dir=studies_dir, storage=storage)
    from visiontune.results.rehearsal import rehearse_study
    from visiontune.tuning.study.read_study import load_files_of

    numbers = {"reduction_factor": reduction_factor, "min_epochs": min_epochs}
    asked = {"sampler": sampler, **{key: None if value is None else int(value) for key, value in numbers.items()}}
    with in_use(load_files_of(found.folder, storage)):
        return rehearse_study(found.record, asked, num_workers=int(max_concurrent_trials), num_seeds=int(seeds))


def open_ui(*, port: int = 5000, studies_dir: Folder = None) -> None:
    """Serve MLflow's UI over the studies on loopback, until Ctrl-C. Raises UserError."""
    refuse_outside(PORT, port=port)
    from visiontune.tracking.mlflow_ui import open_ui as serve

    serve(StudiesFolder.of(studies_dir), port)
