"""Schedule-free SGD and AdamW (Defazio et al. 2024, "The road less scheduled"): a mean of the weights in place of a falling rate.

z makes the steps, x is the mean of all z so far, weighted by squares of rates, and is what is evaluated; gradients are taken at
y = (1 - beta) z + beta x, which a network has in training. Ours, as the authors' package would be one more dependency for two updates.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from visiontune.training.optim.optimizer import Parameters
from visiontune.training.optim.param_groups import groups_by


class ScheduleFree(Optimizer):
    """SGD, or with `beta2` AdamW. Weighing by the largest rate so far lets a warm-up count little, as in the authors' code."""

    def __init__(self, groups: list[dict[str, Any]], **options: Any) -> None:
        super().__init__(groups, options)

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One step of z, x and y."""
        for group in self.param_groups:
            y = [one for one in group["params"] if one.grad is not None]
            if y:
                self._step(y, [one.grad for one in y], group)

    def _step(self, y: list[Tensor], gradients: list[Tensor], group: dict[str, Any]) -> None:
        for one in y:
            if not self.state[one]:
                self.state[one].update(self._begun(one, group))
        x, z = ([self.state[one][key] for one in y] for key in ("x", "z"))
        update = gradients if group["beta2"] is None else self._normalised(y, gradients, group)
        if group["weight_decay"]:
            update = list(torch._foreach_add(update, y, alpha=group["weight_decay"]))
        torch._foreach_add_(z, update, alpha=-group["lr"])
        share = self._share(self.state[y[0]], group["lr"])
        torch._foreach_add_(x, torch._foreach_mul(torch._foreach_sub(z, x), share))
        torch._foreach_copy_(y, torch._foreach_lerp(z, x, group["beta"]))

    def _begun(self, one: Tensor, group: dict[str, Any]) -> dict[str, Tensor]:
        slots = {"x": one.detach().clone(), "z": one.detach().clone()}
        if group["beta2"] is not None:
            slots |= {"exp_avg_sq": torch.zeros_like(one), "correction": one.new_ones(())}
        return {**slots, "largest_lr": one.new_zeros(()), "weight_sum": one.new_zeros(())}

    def _normalised(self, y: list[Tensor], gradients: list[Tensor], group: dict[str, Any]) -> list[Tensor]:
        """Adam's second moment with its bias corrected; the first is in x."""
        beta2, squares = group["beta2"], [self.state[one]["exp_avg_sq"] for one in y]
        torch._foreach_mul_(squares, beta2)
        torch._foreach_addcmul_(squares, gradients, gradients, value=1 - beta2)
        correction = self.state[y[0]]["correction"].mul_(beta2)
        sizes = torch._foreach_sqrt(torch._foreach_div(squares, 1 - correction))
        torch._foreach_add_(sizes, group["eps"])
        return list(torch._foreach_div(gradients, sizes))

    def _share(self, state: dict[str, Tensor], lr: float) -> Tensor:
        """How much of x is the newest z; kept with a group's first parameter, on its device, so that nothing waits for a GPU."""
        state["largest_lr"].clamp_(min=lr)
        weight = state["largest_lr"].square()
        state["weight_sum"].add_(weight)
        return weight / state["weight_sum"].clamp_min(torch.finfo(weight.dtype).tiny)

    @torch.no_grad()
    def exchange(self) -> None:
        """Swap y in the network with x, and back."""
        y = [one for group in self.param_groups for one in group["params"] if self.state.get(one)]
        x, held = [self.state[one]["x"] for one in y], [one.clone() for one in y]
        torch._foreach_copy_(y, x)
        torch._foreach_copy_(x, held)


def schedule_free_sgd(parameters: Parameters, *, momentum: float = 0.9, weight_decay: float = 0.0) -> Optimizer:
    """`momentum` is beta."""
    return _build(parameters, weight_decay, beta=momentum, beta2=None, eps=0.0)


def schedule_free_adamw(
    parameters: Parameters, *, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8, weight_decay: float = 0.01
) -> Optimizer:
    """beta1 is beta."""
    return _build(parameters, weight_decay, beta=beta1, beta2=beta2, eps=eps)


def _build(parameters: Parameters, weight_decay: float, **options: Any) -> Optimizer:
    groups = groups_by(parameters, lambda one: {"lr_factor": one.lr_factor, "weight_decay": weight_decay * one.is_decayed})
    return ScheduleFree([{**group, "lr": 0.0} for group in groups], **options)
