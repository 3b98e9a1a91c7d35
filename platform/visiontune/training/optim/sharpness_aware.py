"""Sharpness-aware minimisation: a step's gradients are taken where the loss is highest nearby, by a second pass over the batch.

The move is made from the gradients of the loss alone; penalties, noise and clipping act on those of the second pass, at the weights
themselves. Micro-batches add up before the move, so that it is that of the whole batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from visiontune.training.optim.penalties import gradients_of

Gradients = Callable[[], Tensor]
"""Adds a batch's gradients to the parameters' and gives its mean cross-entropy."""
Sharpness = Callable[[Gradients], Tensor]
"""Leaves the gradients of a step in the parameters, and gives the mean cross-entropy before it."""


def problem_of_sharpness(optimizer: Mapping[str, Any], training: Mapping[str, Any]) -> str | None:
    """Why the two can't go together; None if they can."""
    if optimizer["sharpness"] == "none" or training["precision"] != "fp16":
        return None
    return f"sharpness {optimizer['sharpness']} needs gradients without a loss scale, but precision is fp16; nearest is bf16"


def one_pass(gradients: Gradients) -> Tensor:
    """Those of the weights as they are."""
    return gradients()


def none(network: nn.Module) -> Sharpness:
    """One pass."""
    return one_pass


def sam(network: nn.Module, *, sam_rho: float = 0.05) -> Sharpness:
    """w + rho * g / ||g|| (Foret et al. 2021, equation 2)."""
    params = _learned(network)

    def move() -> list[Tensor]:
        return _scaled(gradients_of(params), gradients_of(params), sam_rho)

    return _two_passes(network, params, move)


def asam(network: nn.Module, *, asam_rho: float = 0.5, asam_eta: float = 0.01) -> Sharpness:
    """w + rho * T^2 g / ||T g|| with T = |w| + eta for kernels and matrices, and 1 for biases and normalisations (Kwon et al. 2021)."""
    params = _learned(network)

    def move() -> list[Tensor]:
        gradients = gradients_of(params)
        sizes = [one.abs() + asam_eta if one.ndim > 1 else torch.ones_like(one) for one in params]
        sized = list(torch._foreach_mul(gradients, sizes))
        return _scaled(list(torch._foreach_mul(sized, sizes)), sized, asam_rho)

    return _two_passes(network, params, move)


def _learned(network: nn.Module) -> list[Tensor]:
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


def _scaled(direction: list[Tensor], measured: list[Tensor], rho: float) -> list[Tensor]:
    norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(measured)))
    return list(torch._foreach_mul(direction, rho / (norm + 1e-12)))  # stays on the device: no wait for a GPU


def _two_passes(network: nn.Module, params: list[Tensor], move: Callable[[], list[Tensor]]) -> Sharpness:
    """Both passes draw the same dropout; batch normalisation counts the batch once, with the weights as they are."""
    devices = [params[0].device] if params[0].device.type == "cuda" else []

    def passes(gradients: Gradients) -> Tensor:
        with torch.random.fork_rng(devices=devices):
            before = gradients()
        with torch.no_grad():
            kept = [one.clone() for one in params]  # to subtract the move again would round
            torch._foreach_add_(params, move())
        for one in params:
            one.grad = None
        with _statistics_kept(network):
            gradients()
        with torch.no_grad():
            torch._foreach_copy_(params, kept)
        return before

    return passes


@contextmanager
def _statistics_kept(network: nn.Module) -> Iterator[None]:
    """Batch normalisation's statistics and its count of batches stay what they were."""
    norms = [norm for norm in network.modules() if isinstance(norm, _BatchNorm)]
    kept = [[buffer.clone() for buffer in norm.buffers()] for norm in norms]
    try:
        yield
    finally:
        for norm, values in zip(norms, kept, strict=True):
            for buffer, value in zip(norm.buffers(), values, strict=True):
                buffer.copy_(value)
