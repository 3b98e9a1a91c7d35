"""The best trained network that a study's folder has, and the pictures that it was trained on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from visiontune.data.prepare import prepare
from visiontune.data.store.store import DataInfo, Store
from visiontune.errors import UserError
from visiontune.results.leaderboard import ranked
from visiontune.spec.parse import load_recipe
from visiontune.spec.recipe import TrialRecipe
from visiontune.training.class_confusions import Trained, load_trial, load_winner
from visiontune.tuning.read_study import read_study

WEIGHTS, RECIPE = "winner.safetensors", "winner.yaml"


def ask(folder: Path, cache: Path, info: DataInfo) -> tuple[Trained, Store] | str:
    """The winner, else the best trial with a checkpoint; or why there is none that knows the classes of such pictures."""
    try:
        found = _winner(folder, cache) or _best_trial(folder, cache)
    except UserError as error:
        return str(error)
    if found is None:
        return f"none is trained in {folder}; `--study NAME` asks another study's winner"
    return _mismatch(found[1].info, info, folder) or found


def _winner(folder: Path, cache: Path) -> tuple[Trained, Store] | None:
    if not ((folder / WEIGHTS).is_file() and (folder / RECIPE).is_file()):
        return None
    recipe = load_recipe(folder / RECIPE)
    store = Store.open(prepare(recipe.data, cache))
    return load_winner(recipe, folder / WEIGHTS, store), store


def _best_trial(folder: Path, cache: Path) -> tuple[Trained, Store] | None:
    for checkpoints, recipe in _with_checkpoints(folder):
        store = Store.open(prepare(recipe.data, cache))
        if (trained := load_trial(recipe, checkpoints, store)) is not None:
            return trained, store
    return None


def _with_checkpoints(folder: Path) -> Iterator[tuple[Path, TrialRecipe]]:
    """Trials of the study, best first."""
    if not any((folder / "checkpoints").glob("[0-9]*")):
        return
    for row in ranked(read_study(folder)):
        checkpoints = folder / "checkpoints" / f"{row.number:05d}"
        if checkpoints.is_dir() and row.state != "failed":
            yield checkpoints, TrialRecipe(**row.recipe)


def _mismatch(trained: DataInfo, shown: DataInfo, folder: Path) -> str | None:
    if trained.class_names != shown.class_names:
        theirs, ours = (", ".join(info.class_names[:4]) for info in (trained, shown))
        return f"the study in {folder} knows other classes ({theirs}, ...) than these pictures ({ours}, ...); name one on the same"
    if trained.channels != shown.channels:
        return f"the study in {folder} has pictures with {trained.channels} channels, and these have {shown.channels}"
    return None
