"""Parameter groups: which parameter learns how fast, which are decayed, which are matrices for Muon; rates scaled to the batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from visiontune.models.anatomy import anatomy_of, depth_of
from visiontune.training.optim.penalties import decayed_parameters

REFERENCE_BATCH = 256
"""Pictures in a batch for which a rate that is scaled is meant (Goyal et al. 2017)."""


@dataclass(frozen=True)
class LearnedParameter:
    """What an optimizer knows of a parameter: it learns at lr_factor of the common rate; a matrix is a weight of a hidden layer."""

    tensor: Tensor
    lr_factor: float = 1.0
    is_decayed: bool = False
    is_matrix: bool = False


def scaled_lr(lr: float, batch_size: int, rule: str) -> float:
    """The rate for that batch: as it is (none), linear (Goyal et al. 2017) or sqrt (Krizhevsky 2014), 1 at 256 pictures."""
    ratio = batch_size / REFERENCE_BATCH
    return lr * {"none": 1.0, "sqrt": math.sqrt(ratio), "linear": ratio}[rule]


def learned_parameters(
    model: nn.Module, decayed: Sequence[Tensor], *, head_lr_factor: float = 1.0, layer_decay: float = 1.0
) -> list[LearnedParameter]:
    """Every parameter that learns, in the order of parameters().

    A parameter at depth d of D, the head's, learns at layer_decay^(D - d) of the rate (Clark et al. 2020, ELECTRA; Bao et al.
    2022, BEiT), the head at head_lr_factor.
    """
    depth, head = depth_of(model), len(anatomy_of(model).stages)
    of_decayed, of_matrices = {id(one) for one in decayed}, {id(one) for one in matrices_of(model, depth)}
    return [
        LearnedParameter(
            parameter,
            lr_factor=head_lr_factor if depth[name] == head else layer_decay ** (head - depth[name]),
            is_decayed=id(parameter) in of_decayed,
            is_matrix=id(parameter) in of_matrices,
        )
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    ]


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


def groups_by(params: Sequence[LearnedParameter], options: Callable[[LearnedParameter], dict[str, Any]]) -> list[dict[str, Any]]:
    """torch's parameter groups: those with equal options() share one. The fewer groups, the fewer kernels a step starts."""
    groups: dict[tuple[Any, ...], dict[str, Any]] = {}
    for one in params:
        chosen = options(one)
        groups.setdefault(tuple(chosen.items()), {"params": [], **chosen})["params"].append(one.tensor)
    return list(groups.values())
