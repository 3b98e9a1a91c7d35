"""Optimizers: torch's own arithmetic (torch.optim's functional forms, fused) behind one `step(lr)`.

torch.optim's classes are not used: making one imports torch's compiler, 1.7 s for each new worker, and on a CPU they don't
choose the fused kernels (AdamW on LeNet-5: 110 us a step instead of 560). Gradients are read from `parameter.grad`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import adam as torch_adam
from torch.optim import sgd as torch_sgd

from visiontune.spec.errors import UserError
from visiontune.training.penalties import gradients_of

Slots = dict[str, list[Tensor]]


@dataclass(frozen=True)
class Optimizer:
    """`update(gradients, lr)` changes `params` in place; `slots` are its memory, one tensor for each parameter."""

    params: list[Tensor]
    decayed: list[Tensor]
    weight_decay: float
    slots: Slots
    update: Callable[[list[Tensor], float], None]

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """One step, then no gradients. Decay is decoupled: w shrinks by lr * weight_decay (Loshchilov & Hutter 2019)."""
        if self.weight_decay:
            torch._foreach_mul_(self.decayed, 1 - lr * self.weight_decay)
        self.update(gradients_of(self.params), lr)
        for parameter in self.params:
            parameter.grad = None

    def state_dict(self) -> dict[str, list[Tensor]]:
        """The slots themselves, not copies."""
        return dict(self.slots)

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Sequence[Tensor]]) -> None:
        """Fill the slots, on whatever device they are. Raises ValueError where the state is not of this optimizer."""
        if set(state) != set(self.slots):
            raise ValueError(f"optimizer state must hold {sorted(self.slots)}, got {sorted(state)}")
        for name, slot in self.slots.items():
            for mine, saved in zip(slot, state[name], strict=True):
                mine.copy_(saved)


def sgd(
    params: list[Tensor], decayed: list[Tensor], *, momentum: float = 0.9, nesterov: bool = False, weight_decay: float = 0.0
) -> Optimizer:
    """torch.optim.SGD without dampening; decay apart, as in SGDW. Raises UserError for nesterov without momentum."""
    if nesterov and momentum == 0:
        raise UserError("optimizer: nesterov needs momentum > 0, but got momentum=0.0")
    slots: Slots = {"momentum": _zeros(params)} if momentum else {}
    buffers: list[Any] = list(slots.get("momentum", [None] * len(params)))

    def update(gradients: list[Tensor], lr: float) -> None:
        torch_sgd.sgd(
            params,
            gradients,
            buffers,
            fused=True,
            weight_decay=0.0,
            momentum=momentum,
            lr=lr,
            dampening=0.0,
            nesterov=nesterov,
            maximize=False,
        )

    return Optimizer(params, decayed, weight_decay, slots, update)


def adam(params: list[Tensor], decayed: list[Tensor], *, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> Optimizer:
    """torch.optim.Adam."""
    return adamw(params, decayed, beta1=beta1, beta2=beta2, eps=eps, weight_decay=0.0)


def adamw(
    params: list[Tensor], decayed: list[Tensor], *, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8, weight_decay: float = 0.01
) -> Optimizer:
    """torch.optim.AdamW."""
    slots: Slots = {"mean": _zeros(params), "mean_square": _zeros(params), "steps": [torch.zeros((), device=p.device) for p in params]}

    def update(gradients: list[Tensor], lr: float) -> None:
        torch_adam.adam(
            params,
            gradients,
            slots["mean"],
            slots["mean_square"],
            [],
            slots["steps"],
            fused=True,
            amsgrad=False,
            beta1=beta1,
            beta2=beta2,
            lr=lr,
            weight_decay=0.0,
            eps=eps,
            maximize=False,
        )

    return Optimizer(params, decayed, weight_decay, slots, update)


def _zeros(params: list[Tensor]) -> list[Tensor]:
    return [torch.zeros_like(parameter, memory_format=torch.preserve_format) for parameter in params]
