"""Which parameter learns how fast, and by what: rates of head and stages, matrices for Muon, rates scaled to the batch."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from functools import partial

from torch import Tensor, nn

from visiontune.models.anatomy import anatomy_of
from visiontune.training.optim.optimizer import Groups, Optimizer, among
from visiontune.training.optim.penalties import decayed_parameters

REFERENCE_BATCH = 256
"""Pictures in a batch for which a rate that is scaled is meant (Goyal et al. 2017)."""


def scaled_lr(lr: float, batch_size: int, rule: str) -> float:
    """The rate for that batch: as it is (none), linear (Goyal et al. 2017) or sqrt (Krizhevsky 2014), 1 at 256 pictures."""
    ratio = batch_size / REFERENCE_BATCH
    return lr * {"none": 1.0, "sqrt": math.sqrt(ratio), "linear": ratio}[rule]


def grouped(
    make: Callable[..., Optimizer | Groups],
    model: nn.Module,
    decayed: list[Tensor],
    *,
    head_lr_factor: float = 1.0,
    layer_decay: float = 1.0,
    depth: Mapping[str, int],
) -> Optimizer | Groups:
    """Optimizers from make(params, decayed) over all that learns; a single one where all rates are the same.

    A parameter at depth d of D, the head's, learns at layer_decay^(D - d) of the rate (Clark et al. 2020, ELECTRA; Bao et al.
    2022, BEiT), the head at head_lr_factor. A maker that takes `matrices` is given them.
    """
    if "matrices" in inspect.signature(make).parameters:  # Muon; all others treat every tensor alike
        make = partial(make, matrices=matrices_of(model, depth))
    head = len(anatomy_of(model).stages)
    by_factor: dict[float, list[Tensor]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            factor = head_lr_factor if depth[name] == head else layer_decay ** (head - depth[name])
            by_factor.setdefault(factor, []).append(parameter)
    parts = [(make(params, among(decayed, params)), factor) for factor, params in by_factor.items()]
    return parts[0][0] if len(parts) == 1 and parts[0][1] == 1 else Groups(tuple(parts))


def matrices_of(model: nn.Module, depth: Mapping[str, int]) -> list[Tensor]:
    """Weights of hidden layers: not of the classifiers and not the one that sees pictures, as Muon's author advises.

    https://kellerjordan.github.io/posts/muon/: input and output layers do better with AdamW.
    """
    anatomy = anatomy_of(model)
    classifiers = tuple(f"{name}." for name in (anatomy.head, *anatomy.aux))
    layers = {id(weight) for weight in decayed_parameters(model)}
    named = [(name, parameter) for name, parameter in model.named_parameters() if id(parameter) in layers]
    first = next((name for name, _ in named if depth[name] == 0), None)
    return [parameter for name, parameter in named if name != first and not name.startswith(classifiers)]
