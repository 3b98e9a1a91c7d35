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

from visiontune.errors import UserError
from visiontune.training.optim.penalties import gradients_of

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
        if self.weight_decay and self.decayed:
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


@dataclass(frozen=True)
class Groups:
    """Several optimizers as one: each has a factor of the common rate."""

    parts: tuple[tuple[Optimizer | Groups, float], ...]

    @property
    def params(self) -> list[Tensor]:
        """Of all parts, one after the other."""
        return [parameter for optimizer, _ in self.parts for parameter in optimizer.params]

    def step(self, lr: float) -> None:
        """One step of each."""
        for optimizer, factor in self.parts:
            optimizer.step(lr * factor)

    def state_dict(self) -> dict[str, list[Tensor]]:
        """Slots of all parts, named by part."""
        return {f"{k}.{name}": slot for k, (optimizer, _) in enumerate(self.parts) for name, slot in optimizer.state_dict().items()}

    def load_state_dict(self, state: Mapping[str, Sequence[Tensor]]) -> None:
        """Fill the slots. Raises ValueError where the state is of other groups."""
        if set(state) != set(self.state_dict()):
            raise ValueError(f"optimizer state must hold {sorted(self.state_dict())}, got {sorted(state)}")
        for k, (optimizer, _) in enumerate(self.parts):
            optimizer.load_state_dict({name.partition(".")[2]: slot for name, slot in state.items() if name.startswith(f"{k}.")})


def sgd(
    params: list[Tensor], decayed: list[Tensor], *, momentum: float = 0.9, nesterov: bool = False, weight_decay: float = 0.0
) -> Optimizer:
    """torch.optim.SGD without dampening; decay apart, as in SGDW. Raises UserError for nesterov without momentum."""
    if nesterov and momentum == 0:
        raise UserError("optimizer: nesterov needs momentum > 0, but got momentum=0.0")
    slots: Slots = {"momentum": zeros(params)} if momentum else {}
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
    return _adam(params, decayed, beta1, beta2, eps)


def amsgrad(params: list[Tensor], decayed: list[Tensor], *, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> Optimizer:
    """torch.optim.Adam with amsgrad."""
    return _adam(params, decayed, beta1, beta2, eps, use_largest=True)


def adamw(
    params: list[Tensor], decayed: list[Tensor], *, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8, weight_decay: float = 0.01
) -> Optimizer:
    """torch.optim.AdamW."""
    return _adam(params, decayed, beta1, beta2, eps, weight_decay)


def _adam(
    params: list[Tensor],
    decayed: list[Tensor],
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float = 0.0,
    use_largest: bool = False,
) -> Optimizer:
    slots: Slots = {"mean": zeros(params), "mean_square": zeros(params), "steps": [torch.zeros((), device=p.device) for p in params]}
    if use_largest:
        slots["largest_mean_square"] = zeros(params)

    def update(gradients: list[Tensor], lr: float) -> None:
        torch_adam.adam(
            params,
            gradients,
            slots["mean"],
            slots["mean_square"],
            slots.get("largest_mean_square", []),
            slots["steps"],
            fused=True,
            amsgrad=use_largest,
            beta1=beta1,
            beta2=beta2,
            lr=lr,
            weight_decay=0.0,
            eps=eps,
            maximize=False,
        )

    return Optimizer(params, decayed, weight_decay, slots, update)


def among(some: Sequence[Tensor], params: Sequence[Tensor]) -> list[Tensor]:
    """Those of `some` that are in `params`."""
    known = {id(parameter) for parameter in params}
    return [parameter for parameter in some if id(parameter) in known]


def zeros(params: list[Tensor]) -> list[Tensor]:
    """A slot: one tensor for each parameter, laid out as it is."""
    return [torch.zeros_like(parameter, memory_format=torch.preserve_format) for parameter in params]


def scalars(params: list[Tensor], value: float = 0.0) -> list[Tensor]:
    """A slot of one number for each parameter, on the CPU, where what isn't fused reads it."""
    return [torch.full((), value) for _ in params]
