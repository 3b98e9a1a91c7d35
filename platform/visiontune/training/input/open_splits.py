"""Both splits that a recipe trains with, each at the sizes of its pictures."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from visiontune.augmentation.by_class import Classes
from visiontune.augmentation.policy import build_policy
from visiontune.models.frozen_body import Body
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.training.input.batches import Pictures
from visiontune.training.input.open_pictures import open_pictures
from visiontune.training.input.picture_sizes import evaluation_size, training_sizes
from visiontune.training.input.preprocessing import Preprocessing
from visiontune.training.ranks import Ranks

if TYPE_CHECKING:
    from visiontune.data.store.store import Store


def open_splits(
    recipe: TrialRecipe, store: Store, device: torch.device, preprocessing: Preprocessing, body: Body | None, ranks: Ranks
) -> tuple[Pictures, Pictures, Pictures]:
    """Training's pictures, the same for statistics, and val's."""
    training, image_size = recipe.training, store.image_size
    opened = partial(open_pictures, store, device=device, body=body, body_batch=training["micro_batch"])
    train_set = opened(store.train_idx, preprocessing=preprocessing.in_full(), policy=_policy(recipe, store), seed=training["seed"])
    train_set, val_set = (replace(one, ranks=ranks) for one in (train_set, opened(store.val_idx, preprocessing=preprocessing)))
    eval_size = evaluation_size(recipe.preprocessing, image_size)
    statistics_set = replace(train_set, size_of=None if eval_size == image_size else lambda _: eval_size)
    return replace(train_set, size_of=training_sizes(training, image_size)), statistics_set, val_set


def _policy(recipe: TrialRecipe, store: Store) -> Any:
    sizes: dict[str, Any] = {"image_size": store.image_size, "channels": store.images_NHWC.shape[3]}
    classes = Classes(store.class_names, store.labels_N)
    return build_policy(recipe.augmentation, **sizes, num_epochs=recipe.training["num_epochs"], classes=classes)
