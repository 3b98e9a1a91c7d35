"""Optimizers whose rates adapt to each weight, other than Adam: torch's own arithmetic in its grouped (foreach) form.

Decoupled decay is an argument where torch's class has it; `regularization.l2` is the coupled kind for every optimizer.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.optim import adadelta as torch_adadelta
from torch.optim import adagrad as torch_adagrad
from torch.optim import adamax as torch_adamax
from torch.optim import nadam as torch_nadam
from torch.optim import radam as torch_radam
from torch.optim import rmsprop as torch_rmsprop

from visiontune.training.optim.optimizer import Optimizer, Slots, scalars, zeros


def adagrad(params: list[Tensor], decayed: list[Tensor], *, initial_square_sum: float = 0.0, eps: float = 1e-10) -> Optimizer:
    """torch.optim.Adagrad; its lr_decay is the lr schedule's part."""
    slots: Slots = {"square_sum": [torch.full_like(p, initial_square_sum) for p in params], "steps": scalars(params)}

    def update(gradients: list[Tensor], lr: float) -> None:
        torch_adagrad.adagrad(
            params,
            gradients,
            slots["square_sum"],
            slots["steps"],
            foreach=True,
            lr=lr,
            weight_decay=0.0,
            lr_decay=0.0,
            eps=eps,
            maximize=False,
        )

    return Optimizer(params, decayed, 0.0, slots, update)


def adadelta(params: list[Tensor], decayed: list[Tensor], *, rho: float = 0.9, eps: float = 1e-6) -> Optimizer:
    """torch.optim.Adadelta; the paper's own rate is 1."""
    slots: Slots = {"mean_square": zeros(params), "mean_square_change": zeros(params), "steps": scalars(params)}

    def update(gradients: list[Tensor], lr: float) -> None:
        torch_adadelta.adadelta(
            params,
            gradients,
            slots["mean_square"],
            slots["mean_square_change"],
            slots["steps"],
            foreach=True,
            lr=lr,
            rho=rho,
            eps=eps,
            weight_decay=0.0,
            maximize=False,
        )

    return Optimizer(params, decayed, 0.0, slots, update)


def rmsprop(
    params: list[Tensor],
    decayed: list[Tensor],
    *,
    alpha: float = 0.99,
    momentum: float = 0.0,
    is_centered: bool = False,
    eps: float = 1e-8,
) -> Optimizer:
    """torch.optim.RMSprop; centred: divided by the standard deviation of the gradient, not by its root mean square."""
    slots: Slots = {"mean_square": zeros(params), "steps": scalars(params)}
    slots |= {"mean": zeros(params)} if is_centered else {}
    slots |= {"momentum": zeros(params)} if momentum else {}

    def update(gradients: list[Tensor], lr: float) -> None:
        torch_rmsprop.rmsprop(
            params,
            gradients,
            slots["mean_square"],
            slots.get("mean", []),
            slots.get("momentum", []),
            slots["steps"],
            foreach=True,
            lr=lr,
            alpha=alpha,
            eps=eps,
            weight_decay=0.0,
            momentum=momentum,
            centered=is_centered,
        )

    return Optimizer(params, decayed, 0.0, slots, update)


def adamax(params: list[Tensor], decayed: list[Tensor], *, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> Optimizer:
    """torch.optim.Adamax: Adam with the largest gradient, as it fades, in place of the root mean square."""
    slots: Slots = {"mean": zeros(params), "largest": zeros(params), "steps": scalars(params)}

    def update(gradients: list[Tensor], lr: float) -> None:
        torch_adamax.adamax(
            params,
            gradients,
            slots["mean"],
            slots["largest"],
            slots["steps"],
            foreach=True,
            eps=eps,
            beta1=beta1,
            beta2=beta2,
            lr=lr,
            weight_decay=0.0,
        )

    return Optimizer(params, decayed, 0.0, slots, update)


def nadam(
    params: list[Tensor],
    decayed: list[Tensor],
    *,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    momentum_decay: float = 0.004,
    weight_decay: float = 0.0,
) -> Optimizer:
    """torch.optim.NAdam with decoupled_weight_decay."""
    slots: Slots = {"mean": zeros(params), "mean_square": zeros(params), "mu_product": scalars(params, 1.0), "steps": scalars(params)}

    def update(gradients: list[Tensor], lr: float) -> None:
        torch_nadam.nadam(
            params,
            gradients,
            slots["mean"],
            slots["mean_square"],
            slots["mu_product"],
            slots["steps"],
            foreach=True,
            beta1=beta1,
            beta2=beta2,
            lr=lr,
            weight_decay=0.0,
            momentum_decay=momentum_decay,
            eps=eps,
        )

    return Optimizer(params, decayed, weight_decay, slots, update)


def radam(
    params: list[Tensor],
    decayed: list[Tensor],
    *,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> Optimizer:
    """torch.optim.RAdam with decoupled_weight_decay."""
    slots: Slots = {"mean": zeros(params), "mean_square": zeros(params), "steps": scalars(params)}

    def update(gradients: list[Tensor], lr: float) -> None:
        torch_radam.radam(
            params,
            gradients,
            slots["mean"],
            slots["mean_square"],
            slots["steps"],
            foreach=True,
            beta1=beta1,
            beta2=beta2,
            lr=lr,
            weight_decay=0.0,
            eps=eps,
        )

    return Optimizer(params, decayed, weight_decay, slots, update)
