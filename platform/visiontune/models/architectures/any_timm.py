"""Any network of timm by its name, as timm builds it for pictures of this size; names of parameters are timm's."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from visiontune.errors import UserError, first_line, near_names
from visiontune.models.anatomy import Anatomy
from visiontune.models.architectures.find_anatomy import find_anatomy
from visiontune.spec.declarations.declare import NOTHING
from visiontune.spec.declarations.image_size import ImageSize, sides


def timm_network(
    *,
    num_classes: int,
    in_channels: int,
    image_size: ImageSize,
    model: str,
    stochastic_depth: float = 0.0,
    kwargs: Mapping[str, Any] = NOTHING,
) -> nn.Module:
    """`kwargs` are of timm's class. Raises UserError for a name or an argument that timm has not, and for two classifiers."""
    _refuse_unknown(model)
    given = {**kwargs, **({"drop_path_rate": stochastic_depth} if stochastic_depth else {})}
    sizes = {"num_classes": num_classes, "in_chans": in_channels}
    network = _created(model, image_size, {**given, **sizes})
    found = _anatomy(model, image_size, json.dumps({**given, **sizes}))
    network.anatomy = replace(found, fit=fitted)  # type: ignore[assignment]
    return network


def fitted(network: nn.Module, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights of another size as timm's own loader fits them: position embeddings resampled, old names changed."""
    fit = getattr(sys.modules[type(network).__module__], "checkpoint_filter_fn", None)
    return dict(fit(dict(tensors), network)) if fit else tensors


def _refuse_unknown(model: str) -> None:
    import timm

    base, _, tag = model.partition(".")
    known = timm.list_models(exclude_filters="", include_tags=False)
    if base not in known or (tag and model not in timm.list_pretrained()):
        names = [name for name in timm.list_pretrained() if name.startswith(f"{base}.")] if base in known else known
        raise UserError(f"timm has no model {model!r}{near_names(model, names)}")


def _created(model: str, image_size: ImageSize, kwargs: dict[str, Any]) -> nn.Module:
    """timm's, told the size of pictures where it wants to know it."""
    import timm

    try:
        try:
            network: nn.Module = timm.create_model(model, img_size=image_size, **kwargs)
        except TypeError as error:
            if "img_size" not in str(error):
                raise
            network = timm.create_model(model, **kwargs)
    except TypeError as error:
        said = first_line(error).replace("'drop_path_rate'", "'drop_path_rate' (stochastic_depth)")
        raise UserError(f"timm's {model} can't be built so: {said}") from error
    return network


@lru_cache(maxsize=256)
def _anatomy(model: str, image_size: ImageSize, kwargs: str) -> Anatomy:
    """Found on a twin without memory."""
    with torch.device("meta"):
        network = _created(model, image_size, json.loads(kwargs))
        head: Any = network.get_classifier()  # type: ignore[operator]
        found = [name for name, module in network.named_modules() if module is head]
        if not found or not isinstance(head, nn.Linear | nn.Conv2d):
            raise UserError(f"timm's {model} has no single linear classifier, which is what a new task needs; take another network")
        ends = [str(one["module"]) for one in getattr(network, "feature_info", ()) if one.get("module")]
        x_NCHW = torch.empty(1, json.loads(kwargs)["in_chans"], *sides(image_size))
        return find_anatomy(network, x_NCHW, found[0], ends)
