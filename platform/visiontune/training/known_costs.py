"""What a recipe's network costs before anything is trained: parameters, multiply-adds, bytes of its weights. No weights are made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache

import torch

from visiontune.models.build import build_model
from visiontune.models.profile_tracer import Tracer
from visiontune.spec.declarations.declare import plugins_in_use
from visiontune.spec.declarations.image_size import ImageSize, sides
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.spec.plugins import uses_plugins
from visiontune.spec.tables.inits import INITS
from visiontune.spec.tables.preprocessings import channels_after
from visiontune.training.input.picture_sizes import evaluation_size

_UNCOUNTED = {"init": INITS.default, "use_lsuv": False, "use_zero_gamma": False, "dropout": 0.0}
"""Keys of a model section that make no parameter and no multiply-add: most recipes of a space are then one look-up."""


@uses_plugins
def known_costs(recipe: TrialRecipe, *, image_size: ImageSize, channels: int, num_classes: int) -> dict[str, float]:
    """By the names of `KNOWN_COSTS`, for stored pictures of that size; multiply-adds at the size that is evaluated.

    Raises RuntimeError or ValueError where the network can't be built for such pictures.
    """
    in_channels = channels_after(recipe.preprocessing.get("colour", "stored"), channels)
    sizes = (image_size, evaluation_size(recipe.preprocessing, image_size), in_channels, num_classes)
    return dict(_counted(json.dumps({**recipe.model, **_UNCOUNTED}), sizes, plugins_in_use()))


@lru_cache(maxsize=1024)
def _counted(model: str, sizes: tuple[ImageSize, ImageSize, int, int], plugins: tuple[str, ...]) -> Mapping[str, float]:
    image_size, evaluated_size, in_channels, num_classes = sizes
    with torch.device("meta"), torch.no_grad():
        network = build_model(json.loads(model), num_classes=num_classes, in_channels=in_channels, image_size=image_size).train()
        x_NCHW = torch.empty(2, in_channels, *sides(evaluated_size))  # batch normalisation needs two
        tracer = Tracer(network, x_NCHW)
        with tracer, tracer.watching():
            network(x_NCHW)
    weights = [*network.parameters(), *network.buffers()]
    return {
        "num_parameters": sum(parameter.numel() for parameter in network.parameters()),
        "multiply_adds": sum(tracer.multiply_adds.values()) // len(x_NCHW),
        "weight_bytes": sum(tensor.numel() * tensor.element_size() for tensor in weights),
    }
