"""What a network costs, layer by layer, without building it: one training step is traced on torch's meta device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from visiontune.errors import UserError
from visiontune.models.build import build_model
from visiontune.models.profile_tracer import Tracer
from visiontune.models.shape_check import problem_of, smallest_picture
from visiontune.spec.declarations.image_size import ImageSize, sides


@dataclass(frozen=True)
class Layer:
    """A module and what it does itself. `shape` is that of its output without the batch; multiply-adds are of one picture.

    `activation_bytes` is what it keeps of a batch for the backward pass, `receptive_field` how many pixels in each direction one
    position of its output depends on, by convolutions and poolings; zeros around the picture count.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    multiply_adds: int
    activation_bytes: int
    receptive_field: int


@dataclass(frozen=True)
class Profile:
    """A network at one picture and batch size, in float32. Auxiliary classifiers count: they are trained.

    `weight_bytes` are parameters and buffers; `peak_bytes` is the most that a step holds beside them and the optimizer's
    moments: pictures, activations, gradients, and what a convolution reorders; cuDNN may take more scratch space than that.
    """

    image_size: ImageSize
    in_channels: int
    num_classes: int
    batch_size: int
    layers: tuple[Layer, ...]
    parameters: int
    multiply_adds: int
    activation_bytes: int
    weight_bytes: int
    peak_bytes: int
    smallest_picture: int | None

    def step_bytes(self, num_moments: int = 2) -> int:
        """The most memory in a training step: plain SGD keeps no moments, momentum one for each parameter, Adam two.

        Those update in place (torch's fused kernels); with foreach an optimizer needs up to one more copy of the weights.
        """
        return self.weight_bytes + self.peak_bytes + num_moments * 4 * self.parameters


def profile(model: Mapping[str, Any], *, num_classes: int, in_channels: int, image_size: ImageSize, batch_size: int = 64) -> Profile:
    """Profile of a resolved `model` section, all of which is trained. Raises UserError for a picture or batch too small."""
    sizes: dict[str, Any] = {"num_classes": num_classes, "in_channels": in_channels}
    problem = problem_of(model, **sizes, image_size=image_size, batch_size=batch_size)
    if problem is not None:
        raise UserError(problem)
    with torch.device("meta"):
        network = build_model(model, **sizes, image_size=image_size).train()
        tracer = _traced(network, torch.empty(batch_size, in_channels, *sides(image_size)), num_classes)
    weights = [*network.parameters(), *network.buffers()]
    return Profile(
        image_size=image_size,
        batch_size=batch_size,
        **sizes,
        layers=_layers(tracer, batch_size),
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        multiply_adds=sum(tracer.multiply_adds.values()) // batch_size,
        activation_bytes=sum(tracer.saved_bytes.values()),
        weight_bytes=sum(tensor.numel() * tensor.element_size() for tensor in weights),
        peak_bytes=tracer.peak,
        smallest_picture=smallest_picture(model, **sizes),
    )


def _traced(network: nn.Module, x_NCHW: Tensor, num_classes: int) -> Tracer:
    tracer = Tracer(network, x_NCHW)
    y_N = torch.zeros(len(x_NCHW), dtype=torch.int64)
    with tracer:
        with tracer.watching():
            outputs = network(x_NCHW)
        logits = outputs if isinstance(outputs, tuple) else (outputs,)
        loss = torch.stack([cross_entropy(logits_NK, y_N) for logits_NK in logits]).sum()
        del outputs, logits
        loss.backward()  # type: ignore[no-untyped-call]
    return tracer


def _layers(tracer: Tracer, batch_size: int) -> tuple[Layer, ...]:
    """Every module without children, and modules with children that have parameters or do arithmetic of their own."""
    layers = []
    for call in {call.name: call for call in tracer.calls}.values():
        own = sum(parameter.numel() for parameter in call.module.parameters(recurse=False))
        multiply_adds, saved = tracer.multiply_adds[call.name] // batch_size, tracer.saved_bytes[call.name]
        is_leaf = not [*call.module.children()] and not isinstance(call.module, nn.Identity)
        if is_leaf or own or multiply_adds or saved:
            layers.append(Layer(call.name, type(call.module).__name__, call.shape[1:], own, multiply_adds, saved, call.receptive_field))
    return tuple(layers)
