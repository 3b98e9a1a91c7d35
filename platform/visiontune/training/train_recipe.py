"""One recipe from pictures to a test figure, without a study: what `visiontune train RECIPE.yaml` does."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from visiontune.data.prepare import describe, source_of, with_defaults
from visiontune.data.prepared_store import prepared
from visiontune.data.store.short_report import short_report
from visiontune.data.store.store import Store
from visiontune.errors import UserError, nearest
from visiontune.filesystem.atomic_write import try_out
from visiontune.filesystem.path_kind import kind_of
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.spec.plugins import uses_plugins
from visiontune.spec.tables.several_labels import has_many
from visiontune.training.evaluate import measure, open_split
from visiontune.training.kept_training import forget_training, train_kept
from visiontune.training.label_figures import best_thresholds, label_table, logits_and_members
from visiontune.training.loop import Epoch
from visiontune.training.recipe_rules import refuse_unfit
from visiontune.training.spawned_ranks import train_here
from visiontune.training.test_time import VIEWS, over_views, problem_of_test_time
from visiontune.training.weights_file import save_weights
from visiontune.training.weights_metadata import WeightsMetadata

if TYPE_CHECKING:
    from visiontune.training.class_figures import ClassTable
    from visiontune.training.input.batches import Pictures

_log = logging.getLogger(__name__)

DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True)
class Result:
    """The end of a run: val_loss, val_top1 and every test figure of the last epoch, the table of classes, and the file of its weights.

    Of pictures with several classes val_map in place of val_top1.
    """

    metrics: dict[str, float]
    classes: ClassTable
    weights: Path | None


@uses_plugins
def train_recipe(recipe: TrialRecipe, cache: Path, *, device: str = "auto", workers: int = 1) -> Iterator[Epoch]:
    """Prepare the data under `cache` and train.

    Raises UserError for data or a device that can't be used and for a recipe that `check` would refuse, and what `train_here` raises.
    """
    name = find_device(device)
    source = source_of(with_defaults(recipe.data))
    refuse_unfit(recipe, describe(recipe.data, source))
    store = prepared(recipe.data, cache, source=source)
    for line in short_report(store):
        _log.info(line)
    return train_here(recipe, store, device=name, num_workers=workers)


@uses_plugins
def fit_recipe(
    recipe: TrialRecipe,
    cache: Path,
    *,
    device: str = "auto",
    workers: int = 1,
    out: Path | None = None,
    test_time: str = "none",
    on_epoch: Callable[[Epoch], object] = lambda epoch: None,
    say: Callable[[str], object] = _log.info,
) -> Result:
    """Train to the end, and evaluate the test split once. Raises as `train_recipe`, and UserError for an `out` that can't be written.

    `out` is the file for the weights, as safetensors, for which the same call goes on after a kill (`train_kept`); `on_epoch` is called
    with each new epoch; `test_time` is one of TEST_TIMES, by which the test is reported as well; `say` is told of the pictures before the
    training.
    """
    name = find_device(device)
    refuse_test_time(test_time, recipe)
    if out is not None:
        refuse_out(out)
    source = source_of(with_defaults(recipe.data))
    refuse_unfit(recipe, describe(recipe.data, source))
    store = prepared(recipe.data, cache, source=source)
    for line in short_report(store):
        say(f"data: {line}")
    run = partial(train_here, recipe, store, device=name, num_workers=workers)
    epoch: Epoch | None = None
    with closing(run() if out is None else train_kept(run, recipe, store, out, say)) as epochs:
        for epoch in epochs:
            on_epoch(epoch)
    if epoch is None:
        raise UserError("training.num_epochs must be at least 1")
    if out is not None:
        write_weights(epoch, recipe, store, out)
        forget_training(out)
    test, classes = examine(epoch, store)
    views = examine_views(epoch, store, test_time)
    val = {key: epoch.metrics[key] for key in ("val_loss", "val_top1", "val_map") if key in epoch.metrics}
    return Result(val | test | views, classes, out)


def refuse_test_time(test_time: str, recipe: TrialRecipe) -> None:
    """Raise UserError for a recipe that can't be tested so."""
    if (problem := problem_of_test_time(test_time, recipe.preprocessing, has_many=has_many(recipe.data))) is not None:
        raise UserError(problem)


def write_weights(epoch: Epoch, recipe: TrialRecipe, store: Store, out: Path) -> None:
    """The network as a file that says all that it takes to use it. Raises UserError where the disk has become full meanwhile."""
    try:
        save_weights(
            epoch.model, out, WeightsMetadata.of(recipe, store, thresholds=thresholds_of(epoch, store)).to_strings(), epoch.preprocessing
        )
    except OSError as error:
        raise _unwritten(out, error) from error


def refuse_out(out: Path) -> None:
    """Raise UserError for a file that can't be written, before the training and not after it."""
    if out.suffix != ".safetensors":
        raise UserError(
            f"weights are written as safetensors, but the file is {out.name!r}; nearest is {out.with_suffix('.safetensors').name!r}"
        )
    if kind_of(out) == "folder":
        raise UserError(f"the weights are a file, but {out} is a folder")
    try:
        try_out(out)
    except OSError as error:
        raise _unwritten(out, error) from error


def _unwritten(out: Path, error: OSError) -> UserError:
    return UserError(f"the weights need a folder that can be written, but {out}: {error.strerror or error}")


def examine(epoch: Epoch, store: Store) -> tuple[dict[str, float], ClassTable]:
    """Every test figure, its name beginning with "test_", and the table of classes."""
    pictures = open_split(store, "test", epoch.preprocessing, str(epoch.arithmetic.device))
    if (at := thresholds_of(epoch, store)) is not None:
        return _examine_many(epoch, pictures, torch.tensor(at, dtype=torch.float64))
    from visiontune.training.torch_metrics import test_table

    with epoch.arithmetic.evaluating():
        figures = measure(epoch.model, pictures, epoch.num_at_once, use_full_metrics=True)
        table = test_table(epoch.model, pictures, store.class_names, epoch.num_at_once)
    return {f"test_{name}": value for name, value in figures.items()}, table


def _examine_many(epoch: Epoch, pictures: Pictures, at_K: Tensor) -> tuple[dict[str, float], ClassTable]:
    with epoch.arithmetic.evaluating():
        figures = measure(epoch.model, pictures, epoch.num_at_once, use_full_metrics=True, thresholds_K=at_K)
        logits_NK, is_NK = logits_and_members(epoch.model, pictures, epoch.num_at_once)
    table = label_table(logits_NK.double().sigmoid(), is_NK > 0, at_K.to(logits_NK.device), pictures.store.class_names)
    return {f"test_{name}": value for name, value in figures.items()}, table


def thresholds_of(epoch: Epoch, store: Store) -> tuple[float, ...] | None:
    """Of each class, chosen on the validation pictures; None where each picture has one class. Leaves the network in evaluation mode."""
    if store.label_sets is None:
        return None
    pictures = open_split(store, "val", epoch.preprocessing, str(epoch.arithmetic.device))
    epoch.model.eval()
    with epoch.arithmetic.evaluating():
        logits_NK, is_NK = logits_and_members(epoch.model, pictures, epoch.num_at_once)
    return tuple(best_thresholds(logits_NK.double().sigmoid(), is_NK > 0).tolist())


def examine_views(epoch: Epoch, store: Store, test_time: str) -> dict[str, float]:
    """The test's accuracy with test-time augmentation, as test_top1_flip; nothing for none. The network is in evaluation mode."""
    if test_time == "none":
        return {}
    pictures = open_split(store, "test", epoch.preprocessing, str(epoch.arithmetic.device))
    with epoch.arithmetic.evaluating():
        found = measure(over_views(epoch.model, VIEWS[test_time]), pictures, epoch.num_at_once)
    return {f"test_top1_{test_time}": found["top1"]}


def find_device(device: str) -> str:
    """ "auto" settled: cuda where there is a GPU. Raises UserError for a device that is not there."""
    if device not in DEVICES:
        raise UserError(f"device must be one of these, but got {device!r}; {nearest(device, DEVICES)}")
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("device cuda needs a GPU that torch can use, and there is none; use auto or cpu")
    return device
