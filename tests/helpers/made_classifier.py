"""A classifier of made pictures: an untrained network, in which batch normalisation has seen them."""

from __future__ import annotations

from typing import Any

import torch
from tiny import make_recipe, make_store, model_section
from zoo_originals import settle

from visiontune.data.store.store import Store
from visiontune.inference.classifier import Classifier
from visiontune.models.build import build_model
from visiontune.spec.declarations.image_size import ImageSize
from visiontune.training.input.fit_preprocessing import fit_preprocessing
from visiontune.training.weights_metadata import WeightsMetadata


def made_classifier(size: ImageSize = 32, channels: int = 3, **model: Any) -> tuple[Classifier, Store]:
    """`model` is of the recipe's section; three classes."""
    store = make_store(num=150, size=size, channels=channels)
    recipe = make_recipe(model_section(**model))
    preprocessing = fit_preprocessing(recipe.preprocessing, store)
    network = build_model(recipe.model, num_classes=3, in_channels=channels, image_size=size, seed=0)
    with torch.no_grad():
        settle(network, preprocessing(torch.from_numpy(store.images_NHWC[:32].copy())).permute(0, 3, 1, 2))
    return Classifier(network.eval(), preprocessing, WeightsMetadata.of(recipe, store), "made"), store
