"""The best trained network that a study's folder has, and the pictures that it was trained on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from visiontune.data.prepare import prepare
from visiontune.data.store.store import DataInfo, Store
from visiontune.errors import UserError
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.inference.classifier import Classifier, load_checkpoint, load_weights_file
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.spec.parse import load_recipe
from visiontune.spec.plugins import load_kept, uses_plugins
from visiontune.training.weights_metadata import WeightsMetadata, read_metadata
from visiontune.tuning.ranking.ranking import ranked
from visiontune.tuning.study.read_study import read_study


def ask(folder: StudyFolder, cache: Path, info: DataInfo) -> tuple[Classifier, Store] | str:
    """The winner's network and store, else those of the best trial with a checkpoint; or why there are none for pictures like `info`."""
    try:
        found = _winner(folder, cache) or _best_trial(folder, cache)
    except UserError as error:
        return str(error)
    if found is None:
        return f"none is trained in {folder.path}; `study=NAME` asks another study's winner"
    return _mismatch(found[1].info, info, folder) or found


def winner_classifier(folder: StudyFolder, cache: Path) -> Classifier:
    """The winner's network. Raises UserError where the study has no weights, and for weights that can't be used."""
    if not (folder.winner_weights.is_file() and folder.winner.is_file()):
        raise UserError(f"the study in {folder.path} has no trained winner yet; `visiontune search FILE` makes one once it is confirmed")
    metadata = read_metadata(folder.winner_weights)
    if metadata is None:  # a version that wrote none
        recipe = load_recipe(folder.winner)
        metadata = WeightsMetadata.of(recipe, _store(recipe, cache))
    return load_weights_file(folder.winner_weights, "the winner", metadata)


def _winner(folder: StudyFolder, cache: Path) -> tuple[Classifier, Store] | None:
    if not (folder.winner_weights.is_file() and folder.winner.is_file()):
        return None
    recipe = load_recipe(folder.winner)
    return winner_classifier(folder, cache), _store(recipe, cache)


def _best_trial(folder: StudyFolder, cache: Path) -> tuple[Classifier, Store] | None:
    for checkpoints, recipe in _with_checkpoints(folder):
        load_kept(recipe.plugins, folder.plugins)
        store = _store(recipe, cache)
        if (trained := load_checkpoint(recipe, checkpoints, store)) is not None:
            return trained, store
    return None


@uses_plugins
def _store(recipe: TrialRecipe, cache: Path) -> Store:
    return Store.open(prepare(recipe.data, cache))


def _with_checkpoints(folder: StudyFolder) -> Iterator[tuple[Path, TrialRecipe]]:
    """(checkpoint folder, recipe) of the study's trials that have one and did not fail, best first."""
    if not any(folder.checkpoints.glob("[0-9]*")):
        return
    study = read_study(folder)
    for trial in ranked(study.trials, study.objective):
        checkpoints = folder.checkpoint(trial.number)
        if checkpoints.is_dir() and trial.state != "failed":
            yield checkpoints, TrialRecipe(**trial.recipe)


def _mismatch(trained: DataInfo, shown: DataInfo, folder: StudyFolder) -> str | None:
    if trained.class_names != shown.class_names:
        theirs, ours = (", ".join(info.class_names[:4]) for info in (trained, shown))
        return f"the study in {folder.path} knows other classes ({theirs}, ...) than these pictures ({ours}, ...); name one on the same"
    if trained.channels != shown.channels:
        return f"the study in {folder.path} has pictures with {trained.channels} channels, and these have {shown.channels}"
    return None
