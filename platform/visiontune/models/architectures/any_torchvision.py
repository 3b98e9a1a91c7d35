"""Any classifier of torchvision by its name; names of parameters are torchvision's.

It has no dropout but that of the recipe, and as much stochastic depth as `stochastic_depth` says.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from visiontune.errors import UserError, first_line, near_names
from visiontune.models.anatomy import Anatomy
from visiontune.models.architectures.adapting import fit_stem
from visiontune.models.architectures.find_anatomy import find_anatomy
from visiontune.models.dropout import depth_probabilities
from visiontune.spec.declarations.declare import NOTHING
from visiontune.spec.declarations.image_size import ImageSize, pixels, sides

# Their second scores would come in training only; as entries of their own (googlenet, inception_v3) they have them.
_AUXILIARY = ("googlenet", "inception_v3")


def torchvision_network(
    *,
    num_classes: int,
    in_channels: int,
    image_size: ImageSize,
    model: str,
    stochastic_depth: float = 0.0,
    kwargs: Mapping[str, Any] = NOTHING,
) -> nn.Module:
    """`kwargs` are of torchvision's builder. Raises UserError for a name or an argument that torchvision has not."""
    network = _created(model, num_classes, in_channels, image_size, kwargs)
    found = _anatomy(model, num_classes, in_channels, image_size, json.dumps(dict(kwargs)))
    network.anatomy = replace(found, fit=fitted)  # type: ignore[assignment]
    blocks = [module for module in network.modules() if isinstance(module, StochasticDepth)]
    if stochastic_depth and not blocks:
        raise UserError(f"torchvision's {model} has no stochastic depth; leave stochastic_depth out")
    for block, chance in zip(blocks, depth_probabilities(stochastic_depth, len(blocks)), strict=True):
        block.p = chance
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return network


def fitted(network: nn.Module, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Position embeddings of a vision transformer resampled by torchvision's own function; other weights know no picture size."""
    from torchvision.models.vision_transformer import VisionTransformer, interpolate_embeddings

    if not isinstance(network, VisionTransformer) or "encoder.pos_embedding" not in tensors:
        return tensors
    return dict(interpolate_embeddings(network.image_size, network.patch_size, OrderedDict(tensors)))


def _created(model: str, num_classes: int, in_channels: int, image_size: ImageSize, kwargs: Mapping[str, Any]) -> nn.Module:
    from torchvision import models

    known = models.list_models(module=models)
    if model not in known:
        raise UserError(f"torchvision has no classifier {model!r}{near_names(model, known)}")
    if model.startswith("vit_") and not isinstance(image_size, int):
        raise UserError(f"torchvision's {model} takes square pictures only, and these have {pixels(image_size)} px; timm's take others")
    given = {**({"aux_logits": False} if model in _AUXILIARY else {}), **({"image_size": image_size} if model.startswith("vit_") else {})}
    make = partial(models.get_model, model, weights=None, num_classes=num_classes, **{**given, **kwargs})
    try:
        network: nn.Module = make()
    except NotImplementedError:  # RegNet calculates its widths with tensors, which have no values on the meta device
        with torch.device("cpu"):
            network = make().to("meta")
    except TypeError as error:
        raise UserError(f"torchvision's {model} can't be built so: {first_line(error)}") from error
    first = next(name for name, module in network.named_modules() if isinstance(module, nn.Conv2d))
    fit_stem(network, first, in_channels)
    return network


@lru_cache(maxsize=256)
def _anatomy(model: str, num_classes: int, in_channels: int, image_size: ImageSize, kwargs: str) -> Anatomy:
    """Found on a twin without memory. The head is the last layer that gives as many values as there are classes."""
    with torch.device("meta"):
        network = _created(model, num_classes, in_channels, image_size, json.loads(kwargs))
        sizes = ((name, getattr(module, "out_features", getattr(module, "out_channels", 0))) for name, module in network.named_modules())
        head = [name for name, size in sizes if size == num_classes][-1]
        return find_anatomy(network, torch.empty(1, in_channels, *sides(image_size)), head)
