"""Which classes an op confuses: what a trained network predicts for val pictures before and after it.

A pair (true, taken) counts pictures of class `true` that were right before and are taken for class `taken` after, less those that
were taken for it before and are right after, so that what an op changes by chance cancels out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from visiontune.augmentation.sheet_pictures import apply_op
from visiontune.errors import UserError
from visiontune.models.build import build_model
from visiontune.models.published_weights import weights_of
from visiontune.models.transfer import adapt
from visiontune.spec.plugins import uses_plugins
from visiontune.spec.trial_recipe import TrialRecipe
from visiontune.training.checkpoint import load_newest
from visiontune.training.input.fit_preprocessing import fit_preprocessing
from visiontune.training.input.preprocessing import Preprocessing
from visiontune.training.weights_file import load_weights, read_tensors, split_weights

if TYPE_CHECKING:
    from visiontune.data.store.store import Store

IntArray = NDArray[np.int64]

MOST_PICTURES = 2_000
LEAST_SHARE = 0.1
"""Of a class's pictures: a pair that fewer make is not reported."""
_CHUNK = 256
_NUM_ERRORS = 2.0


@dataclass(frozen=True)
class Trained:
    """A network in evaluation mode with its preprocessing; `name` says which one it is."""

    network: nn.Module
    preprocessing: Preprocessing
    name: str


@dataclass(frozen=True)
class Pair:
    """`more` pictures of class `true` are taken for `taken` than before, out of `num`."""

    true: str
    taken: str
    more: int
    num: int

    @property
    def share(self) -> float:
        """The share of the class's pictures, 0 to 1."""
        return self.more / self.num


@dataclass(frozen=True)
class Effect:
    """What one op does to a network's predictions; `pairs` are those that stand out, the largest share first."""

    op: str
    magnitude: float | None
    num_pictures: int
    top1_before: float
    top1_after: float
    pairs: tuple[Pair, ...]


def effects(trained: Trained, store: Store, ops: Mapping[str, float | None]) -> Iterator[Effect]:
    """The effect of each op at the magnitude given, on at most 2,000 val pictures, evenly spaced."""
    index_N = store.val_idx[:: max(1, -(-len(store.val_idx) // MOST_PICTURES))]
    images_NHWC, labels_N = np.asarray(store.images_NHWC[index_N]), store.labels_N[index_N]
    before_N = predict(trained, images_NHWC)
    for name, magnitude in ops.items():
        after_N = predict(trained, apply_op(name, magnitude, images_NHWC, index_N))
        before, after = (float((guess_N == labels_N).mean()) for guess_N in (before_N, after_N))
        yield Effect(name, magnitude, len(index_N), before, after, pairs_of(labels_N, before_N, after_N, store.class_names))


def pairs_of(labels_N: IntArray, before_N: IntArray, after_N: IntArray, names: tuple[str, ...]) -> tuple[Pair, ...]:
    """Pairs that at least a tenth of the class's pictures make, and more than two standard errors of the count; largest share first."""
    num_classes = len(names)
    gained_KK, lost_KK = np.zeros((2, num_classes, num_classes), np.int64)
    was_right_N, is_right_N = before_N == labels_N, after_N == labels_N
    np.add.at(gained_KK, (labels_N[was_right_N], after_N[was_right_N]), 1)
    np.add.at(lost_KK, (labels_N[is_right_N], before_N[is_right_N]), 1)
    num_K, more_KK = np.bincount(labels_N, minlength=num_classes), gained_KK - lost_KK
    found = [
        Pair(names[true], names[taken], int(more_KK[true, taken]), int(num_K[true]))
        for true, taken in np.argwhere(more_KK > 0).tolist()
        if true != taken and more_KK[true, taken] > _NUM_ERRORS * math.sqrt(gained_KK[true, taken] + lost_KK[true, taken])
    ]
    return tuple(sorted((pair for pair in found if pair.share >= LEAST_SHARE), key=lambda pair: -pair.share))


@torch.inference_mode()
def predict(trained: Trained, images_NHWC: NDArray[np.uint8]) -> IntArray:
    """(N,) the predicted class of each picture."""
    found = [np.zeros(0, np.int64)]
    for low in range(0, len(images_NHWC), _CHUNK):
        x_NHWC = trained.preprocessing(torch.from_numpy(np.ascontiguousarray(images_NHWC[low : low + _CHUNK])))
        found.append(trained.network(x_NHWC.permute(0, 3, 1, 2)).argmax(1).numpy())
    return np.concatenate(found)


@uses_plugins
def load_winner(recipe: TrialRecipe, weights: Path, store: Store) -> Trained:
    """The network of a winner's weights file. Raises UserError for a file that can't be read or is of another network."""
    tensors = read_tensors(weights)
    if tensors is None:
        raise UserError(f"the weights {weights} can't be read; the same search makes them again")
    preprocessing = Preprocessing.of(split_weights(tensors)[1])
    network = _network(recipe, store, preprocessing)
    load_weights(network, weights)
    return Trained(network.eval(), preprocessing, "the winner")


@uses_plugins
def load_trial(recipe: TrialRecipe, checkpoints: Path, store: Store) -> Trained | None:
    """A trial's network as its newest checkpoint has it; None where there is none."""
    state: Mapping[str, Any] | None = load_newest(checkpoints)
    if state is None:
        return None
    preprocessing = fit_preprocessing(recipe.preprocessing, store, weights_of(recipe.transfer, recipe.model))
    network = _network(recipe, store, preprocessing)
    network.load_state_dict(state["model"])
    return Trained(network.eval(), preprocessing, f"trial {int(checkpoints.name)} after {state['epoch']} epochs")


def _network(recipe: TrialRecipe, store: Store, preprocessing: Preprocessing) -> nn.Module:
    sizes: dict[str, Any] = {
        "num_classes": len(store.class_names),
        "in_channels": preprocessing.out_channels,
        "image_size": store.info.image_size,
    }
    return adapt(build_model(recipe.model, **sizes), recipe.transfer, recipe.model["name"], **sizes, use_weights=False)
