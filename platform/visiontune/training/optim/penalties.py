"""What happens to gradients beside the loss: L1, L2, clipping, noise; and which weights are penalised or decayed at all."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from visiontune.errors import UserError


def decayed_parameters(model: nn.Module, *, use_decay_for_all: bool = False) -> list[Tensor]:
    """Weights of convolutions and linear layers, in the order of parameters(); with `use_decay_for_all` all parameters that learn.

    Without it never biases, normalisations, PReLU slopes or layer scales. Only this function decides what is penalised or decayed.
    """
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if use_decay_for_all:
        return list(learned)
    weights = {id(module.weight) for module in model.modules() if isinstance(module, _ConvNd | nn.Linear)}
    weights |= {id(module.in_proj_weight) for module in model.modules() if isinstance(module, nn.MultiheadAttention)}
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
    noises = [noise_D.view_as(one) for noise_D, one in zip(torch.split(noise, sizes), gradients, strict=True)]
    torch._foreach_add_(gradients, noises, alpha=(eta / (1 + step) ** 0.55) ** 0.5)


def gradients_of(params: list[Tensor], rule: str = "every parameter that learns must get a gradient") -> list[Tensor]:
    """The gradients in the same order. Raises UserError with the rule where one is missing: lists would no longer be parallel."""
    gradients = [parameter.grad for parameter in params if parameter.grad is not None]
    without = [" x ".join(map(str, one.shape)) for one in params if one.grad is None]
    if without:
        rule = f"{rule}, but {len(without)} of {len(params)} did not, such as one of {without[0]}"
        raise UserError(f"{rule}: the network has layers that it does not call; `visiontune check --plugin` names those of a plugin")
    return gradients
