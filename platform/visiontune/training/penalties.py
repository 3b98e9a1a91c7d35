"""L1 and L2, and the one place that decides what is penalised or decayed."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def decayed_parameters(model: nn.Module) -> list[Tensor]:
    """Weights of two and more dimensions: convolutions and linear layers. Never biases, normalisation or PReLU slopes."""
    return [parameter for parameter in model.parameters() if parameter.ndim >= 2 and parameter.requires_grad]


@torch.no_grad()
def add_penalties(weights: list[Tensor], l1: float, l2: float) -> None:
    """Add to the gradients those of l1 * sum |w| + l2 / 2 * sum w^2, after backward.

    The same as adding the terms to the loss (sign(0) is 0), without the cost of sums and of a graph for them.
    """
    if l1 == l2 == 0:
        return
    gradients = gradients_of(weights)
    if l2:
        torch._foreach_add_(gradients, weights, alpha=l2)
    if l1:
        torch._foreach_add_(gradients, torch._foreach_sign(weights), alpha=l1)


def gradients_of(params: list[Tensor]) -> list[Tensor]:
    """In the same order. Raises ValueError where one is missing: a lone gap would shift all that come after it."""
    gradients = [parameter.grad for parameter in params if parameter.grad is not None]
    if len(gradients) < len(params):
        raise ValueError(f"every parameter must get a gradient, but {len(params) - len(gradients)} of {len(params)} did not")
    return gradients
