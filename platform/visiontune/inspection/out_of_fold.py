"""Answers on the training pictures by networks that were not trained on them: a recipe trained again without each part of the pictures.

Northcutt et al. 2021, "Confident Learning: Estimating Uncertainty in Dataset Labels", section 3: out-of-sample predicted probabilities by
cross-validation. A part's probabilities are a file as soon as they are known: after a call that was stopped the next one trains the rest.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from visiontune.data.folds import fold_of
from visiontune.data.ingest.progress import Progress
from visiontune.data.store.store import Store
from visiontune.errors import Diverged, UserError
from visiontune.filesystem.atomic_write import write_whole
from visiontune.inference.classifier import Classifier
from visiontune.inspection.answers import Answers, answers
from visiontune.training.loop import train

Probabilities = NDArray[np.float32]


def out_of_fold(
    classifier: Classifier, store: Store, num_folds: int, kept: Path, tell: Callable[[Progress], None] = lambda progress: None
) -> Answers:
    """On all training and validation pictures, each by that one of `num_folds` networks which was trained on the other parts alone.

    They are trained by the classifier's recipe on its device; each part's probabilities are kept in the folder `kept`. Raises UserError
    where a class has fewer pictures than parts and where a training diverges, and OSError.
    """
    recipe = classifier.recipe
    folds = [fold_of(store, num_folds, number, int(recipe.data["seed"])) for number in range(num_folds)]
    known = [_probabilities(classifier, fold, kept, f"training {number} of {num_folds}", tell) for number, fold in enumerate(folds, 1)]
    rows_N = np.concatenate([fold.val_idx for fold in folds])
    order_N = np.argsort(rows_N)
    return Answers(rows_N[order_N], store.labels_N[rows_N[order_N]], np.concatenate(known)[order_N], classifier.class_names)


def _probabilities(classifier: Classifier, fold: Store, kept: Path, stage: str, tell: Callable[[Progress], None]) -> Probabilities:
    """(N, K) of the fold's validation pictures; read where a call before this one has kept them."""
    file = kept / f"{classifier.recipe.fingerprint}-{fold.digest}.npy"
    shape = (len(fold.val_idx), len(classifier.class_names))
    if (known := _read(file, shape)) is not None:
        return known
    found = answers(_trained(classifier, fold, stage, tell), fold, fold.val_idx).probability_NK
    buffer = io.BytesIO()
    np.save(buffer, found, allow_pickle=False)
    write_whole(file, buffer.getvalue())
    return found


def _trained(classifier: Classifier, fold: Store, stage: str, tell: Callable[[Progress], None]) -> Classifier:
    num_epochs, last = int(classifier.recipe.training["num_epochs"]), None
    tell(Progress(stage, 0, num_epochs, 0, 0))
    try:
        for last in train(classifier.recipe, fold, device=classifier.device.type):
            tell(Progress(stage, last.epoch, num_epochs, 0, 0))
    except Diverged as error:
        rule = "labels are asked of networks that are trained without them"
        raise UserError(f"{rule}, but in {stage} {error}; another number of folds makes other parts") from error
    assert last is not None, "a recipe has epochs"
    return replace(classifier, network=last.model.eval(), preprocessing=last.preprocessing)


def _read(file: Path, shape: tuple[int, int]) -> Probabilities | None:
    """None where there is no such file, or one that is damaged."""
    try:
        found = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return found if found.shape == shape and found.dtype == np.float32 else None
