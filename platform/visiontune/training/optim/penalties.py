"""What happens to gradients and weights beside the loss: L1, L2, clipping, noise, averages; and what is decayed at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd


def decayed_parameters(model: nn.Module, *, use_decay_for_all: bool = False) -> list[Tensor]:
    """Weights of convolutions and linear layers, in the order of parameters(); all that learn where asked.

    Never biases, normalisation, PReLU slopes or the scales of layers. The one place that decides what is penalised or decayed.
    """
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if use_decay_for_all:
        return list(learned)
    weights = {id(module.weight) for module in model.modules() if isinstance(module, _ConvNd | nn.Linear)}
    return [parameter for parameter in learned if id(parameter) in weights]


@torch.no_grad()
def add_penalties(weights: list[Tensor], l1: float, l2: float) -> None:
    """Add to the gradients those of l1 * sum |w| + l2 / 2 * sum w^2, after backward; both together are the elastic net.

    The same as adding the terms to the loss (sign(0) is 0), without the cost of sums and of a graph for them.
    """
    if l1 == l2 == 0:
        return
    gradients = gradients_of(weights)
    if l2:
        torch._foreach_add_(gradients, weights, alpha=l2)
    if l1:
        torch._foreach_add_(gradients, torch._foreach_sign(weights), alpha=l1)


@torch.no_grad()
def clip_gradients(params: list[Tensor], max_norm: float) -> None:
    """Scale all gradients by one factor so that their common norm is at most max_norm (Pascanu et al. 2013)."""
    gradients = gradients_of(params)
    norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    torch._foreach_mul_(gradients, (max_norm / (norm + 1e-6)).clamp(max=1.0))  # stays on the device: no wait for a GPU


@torch.no_grad()
def add_gradient_noise(params: list[Tensor], eta: float, step: int, generator: torch.Generator) -> None:
    """Gaussian noise of variance eta / (1 + step)^0.55 (Neelakantan et al. 2015); the generator is of the gradients' device."""
    gradients = gradients_of(params)
    sizes = [gradient.numel() for gradient in gradients]
    noise = torch.randn(sum(sizes), generator=generator, device=gradients[0].device, dtype=gradients[0].dtype)
    parts = [part.view_as(one) for part, one in zip(torch.split(noise, sizes), gradients, strict=True)]
    torch._foreach_add_(gradients, parts, alpha=(eta / (1 + step) ** 0.55) ** 0.5)


class Ema:
    """Exponential moving average of what a model learns: parameters that learn and floating-point buffers (Polyak & Juditsky 1992).

    It starts from the model as it is. Frozen parameters never differ from their average, so they have none.
    """

    @torch.no_grad()
    def __init__(self, model: nn.Module) -> None:
        buffers = [buffer for buffer in model.buffers() if buffer.is_floating_point()]
        self._values = [parameter for parameter in model.parameters() if parameter.requires_grad] + buffers
        self._averages = [value.clone() for value in self._values]
        self._num_updates = 0

    @torch.no_grad()
    def update(self, decay: float) -> None:
        """average = d * average + (1 - d) * value with d = min(decay, (1 + t) / (10 + t)) in update t, counted from 0."""
        warm = min(decay, (1 + self._num_updates) / (10 + self._num_updates))
        torch._foreach_lerp_(self._averages, self._values, 1 - warm)
        self._num_updates += 1

    @torch.no_grad()
    def exchange(self) -> None:
        """Model and averages change places, tensor by tensor; a second call undoes it."""
        held = [value.clone() for value in self._values]
        torch._foreach_copy_(self._values, self._averages)
        torch._foreach_copy_(self._averages, held)

    @contextmanager
    def swapped(self) -> Iterator[None]:
        """The model holds the averages inside."""
        self.exchange()
        try:
            yield
        finally:
            self.exchange()

    def state_dict(self) -> dict[str, Any]:
        """The averages themselves, not copies, and how many updates they had."""
        return {"averages": list(self._averages), "num_updates": self._num_updates}

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Fill the averages, on whatever device they are. Raises ValueError where their number is another."""
        for mine, saved in zip(self._averages, state["averages"], strict=True):
            mine.copy_(saved)
        self._num_updates = state["num_updates"]


def gradients_of(params: list[Tensor]) -> list[Tensor]:
    """In the same order. Raises ValueError where one is missing: a lone gap would shift all that come after it."""
    gradients = [parameter.grad for parameter in params if parameter.grad is not None]
    if len(gradients) < len(params):
        raise ValueError(f"every parameter must get a gradient, but {len(params) - len(gradients)} of {len(params)} did not")
    return gradients
