"""Regimes of transfer learning: what is loaded, what is frozen, and on which features the fresh head stands.

Frozen means: no gradient, running statistics as they were, nothing dropped. Which stages are frozen is a number, as it is
always the first ones; `split_network` then cuts there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from visiontune.errors import UserError
from visiontune.models.anatomy import anatomy_of, depth_of, mark
from visiontune.models.build import build_model
from visiontune.models.pretrained import Stamp, load_pretrained, problem_of_weights, stamp_of
from visiontune.models.published_weights import weights_of
from visiontune.spec.declarations.declare import chosen, plugins_in_use
from visiontune.spec.declarations.image_size import ImageSize, sides
from visiontune.spec.tables.inits import INITS
from visiontune.spec.tables.regimes import REGIMES


@dataclass(frozen=True)
class Target:
    """What a pretrained network is for; `load` puts the weights of a name under its head, or raises UserError."""

    model_name: str
    num_classes: int
    in_channels: int
    image_size: ImageSize
    load: Callable[[nn.Module, str], None]


def adapt(
    network: nn.Module,
    transfer: Mapping[str, Any],
    model_name: str,
    *,
    num_classes: int,
    in_channels: int,
    image_size: ImageSize,
    use_weights: bool = True,
) -> nn.Module:
    """The network of a resolved `transfer` section: pretrained, under the fresh head that it came with, frozen as the regime says.

    It may be another network around the old one; its anatomy is marked. Without `use_weights` it is the same network with its
    own weights, to be filled from a file of trained ones. Raises UserError.
    """
    load = partial(load_pretrained, model_name=model_name, use_head=False) if use_weights else _nothing
    return _regime(network, transfer, Target(model_name, num_classes, in_channels, image_size, load))


def problem_of_transfer(
    transfer: Mapping[str, Any], model: Mapping[str, Any], *, num_classes: int, in_channels: int, image_size: ImageSize
) -> str | None:
    """Why this regime can't be had with this model section; None if it can. Weights by name are downloaded here, once."""
    # Initialisation and dropout decide nothing here: leaving them out makes most corners of a space one look-up.
    plain = {**model, "init": INITS.default, "dropout": 0.0}
    try:
        transfer = {**transfer, "weights": weights_of(transfer, model)}
    except UserError as error:
        return str(error)
    stamp = stamp_of(transfer["weights"] or "")
    return _problem(json.dumps(transfer), json.dumps(plain), num_classes, in_channels, image_size, stamp, plugins_in_use())


def frozen_of(network: nn.Module) -> int:
    """How many of the first stages are frozen; 0 for a network that was never adapted."""
    return getattr(network, "num_frozen", 0)


def train_mode(network: nn.Module) -> None:
    """Training mode for what is trained; frozen stages, and what stands frozen between them and the head, stay in evaluation mode."""
    network.train()
    for module in _frozen_modules(network):
        module.eval()
    for module in network.modules():
        parameters = list(module.parameters())
        if parameters and not any(parameter.requires_grad for parameter in parameters):
            module.eval()


def linear(network: nn.Module, target: Target, *, weights: str) -> nn.Module:
    """All but the head is frozen."""
    target.load(network, weights)
    return freeze_body(network)


def freeze_body(network: nn.Module) -> nn.Module:
    """All but the head is frozen from here on."""
    _freeze(network, len(anatomy_of(network).stages))
    network.requires_grad_(False).get_submodule(anatomy_of(network).head).requires_grad_(True)
    return network


def fine_tune(network: nn.Module, target: Target, *, weights: str) -> nn.Module:
    """Everything is trained on."""
    target.load(network, weights)
    return network


def multi_depth(network: nn.Module, target: Target, *, weights: str, num_depths: int) -> nn.Module:
    """A linear classifier on the averaged outputs of the last `num_depths` stages, each normalised; they are frozen.

    The classifier starts at 0, which is as good as anywhere: its loss is convex.
    """
    _within(num_depths, network, target, "num_depths")
    if not anatomy_of(network).is_chain:
        raise UserError(f"multi_depth needs stages that hand on pictures, which {target.model_name} has not; nearest is linear")
    target.load(network, weights)
    depths = Depths(network, num_depths)
    parameter = next(network.parameters())
    with torch.no_grad():
        sample_NCHW = torch.zeros(1, target.in_channels, *sides(target.image_size), device=parameter.device)
        features_NF = depths.eval()(sample_NCHW)
    head = nn.Linear(features_NF.shape[1], target.num_classes, device=parameter.device)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    for hook in network.get_submodule(anatomy_of(network).head)._forward_pre_hooks.values():  # the dropout before the old one
        head.register_forward_pre_hook(hook)
    whole = nn.Sequential()
    whole.add_module("body", depths)
    whole.add_module("head", head)
    return _freeze(mark(whole, stages=(("body",),), head="head"), 1)


def fine_tune_last(network: nn.Module, target: Target, *, weights: str, num_stages: int) -> nn.Module:
    """The last `num_stages` stages and all after them are trained."""
    _within(num_stages, network, target, "num_stages")
    target.load(network, weights)
    return _freeze(network, len(anatomy_of(network).stages) - num_stages)


def freeze_first(network: nn.Module, target: Target, *, weights: str, num_frozen: int) -> nn.Module:
    """The first `num_frozen` stages are frozen."""
    _within(num_frozen, network, target, "num_frozen")
    target.load(network, weights)
    return _freeze(network, num_frozen)


class Depths(nn.Module):
    """The stages of a network; x_NCHW -> features_NF of the last `num_depths`, side by side.

    Each is averaged over positions and brought to mean 0 and variance 1 over its channels (Ba et al. 2016, without weights):
    outputs of different depths differ in scale, and the largest would drown the others.
    """

    def __init__(self, network: nn.Module, num_depths: int) -> None:
        super().__init__()
        groups = anatomy_of(network).stages
        self.stages = nn.ModuleList(nn.Sequential(*[network.get_submodule(name) for name in group]) for group in groups)
        self.num_depths = num_depths

    def forward(self, x: Tensor) -> Tensor:
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        pooled = [f.mean((2, 3)) if f.ndim == 4 else f for f in features[-self.num_depths :]]
        return torch.cat([F.layer_norm(f, f.shape[1:]) for f in pooled], 1)


@lru_cache(maxsize=1024)
def _problem(
    transfer: str, model: str, num_classes: int, in_channels: int, image_size: ImageSize, *_: Stamp | tuple[str, ...]
) -> str | None:
    section = json.loads(model)
    sizes: dict[str, Any] = {"num_classes": num_classes, "in_channels": in_channels, "image_size": image_size}
    name = section.get("model") or section["name"]
    target = Target(name, **sizes, load=partial(_check, model_name=name))
    with torch.device("meta"):
        try:
            _regime(build_model(section, **sizes), json.loads(transfer), target)
        except UserError as error:
            return str(error)
        except (RuntimeError, ValueError):  # a network that can't be built for such pictures: shape_check.py says why
            return None
    return None


def _check(network: nn.Module, weights: str, model_name: str) -> None:
    problem = problem_of_weights(network, weights, model_name=model_name)
    if problem is not None:
        raise UserError(problem)


def _nothing(network: nn.Module, weights: str) -> None:
    """The weights come later."""


def _regime(network: nn.Module, transfer: Mapping[str, Any], target: Target) -> nn.Module:
    entry, args = chosen(REGIMES, transfer, "regime")
    if not entry.builder:
        return network
    if anatomy_of(network).aux:
        rule = "auxiliary classifiers hang on stages that a regime freezes"
        raise UserError(f"{rule}: {target.model_name} can be transferred with aux_weight 0 only")
    adapted: nn.Module = entry.load()(network, target, **args)
    if any(isinstance(inner, nn.PReLU) for module in _frozen_modules(adapted) for inner in module.modules()):
        raise UserError(f"PReLU slopes in a frozen backbone are never learned: {transfer['regime']} needs another activation")
    return adapted


def _within(number: int, network: nn.Module, target: Target, name: str) -> None:
    most = len(anatomy_of(network).stages)
    if number > most:
        raise UserError(f"{name} must be at most {most}, as {target.model_name} has {most} stages, but got {number}; nearest is {most}")


def _freeze(network: nn.Module, num_frozen: int) -> nn.Module:
    network.num_frozen = num_frozen  # type: ignore[assignment]
    depth = depth_of(network)
    for name, parameter in network.named_parameters():
        if depth[name] < num_frozen:
            parameter.requires_grad_(False)
    return network


def _frozen_modules(network: nn.Module) -> Iterator[nn.Module]:
    groups = anatomy_of(network).stages[: frozen_of(network)]
    return (network.get_submodule(name) for group in groups for name in group)
