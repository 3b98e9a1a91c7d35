"""Muon: momentum made orthogonal for matrices (Jordan et al. 2024), AdamW for what is not a matrix, as one optimizer."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.optim import AdamW, Optimizer
from torch.optim import _muon as torch_muon

from visiontune.training.optim.optimizer import Parameters, flags_on, new_lr
from visiontune.training.optim.param_groups import LearnedParameter, groups_by


class MuonAndAdamW(AdamW):
    """torch.optim.AdamW, but groups with `is_matrix` are updated as torch.optim.Muon does; that class itself refuses kernels."""

    def __init__(self, groups: list[dict[str, Any]], **args: Any) -> None:
        super().__init__(groups, **args)
        self._step_supports_amp_scaling = False  # Muon does not look at found_inf, so GradScaler itself has to skip the step

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One step of both; gradients of matrices are None after it."""
        for group in self.param_groups:
            if group["is_matrix"]:
                self._step_matrices(group)
                for parameter in group["params"]:
                    parameter.grad = None  # which AdamW then skips
        return super().step(closure)

    def _step_matrices(self, group: dict[str, Any]) -> None:
        params = [parameter for parameter in group["params"] if parameter.grad is not None]
        for parameter in params:
            if not self.state[parameter]:  # AdamW looks for a step when it loads
                self.state[parameter].update(step=torch.zeros(()), momentum_buffer=torch.zeros_like(parameter))
        torch_muon.muon(
            [_as_matrix(one, one) for one in params],
            [_as_matrix(one.grad, one) for one in params],
            [_as_matrix(self.state[one]["momentum_buffer"], one) for one in params],
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            momentum=group["momentum"],
            nesterov=group["nesterov"],
            ns_coefficients=(torch_muon.DEFAULT_A, torch_muon.DEFAULT_B, torch_muon.DEFAULT_C),
            ns_steps=group["ns_steps"],
            eps=torch_muon.EPS,
            adjust_lr_fn=group["adjust_lr_fn"],
            has_complex=False,
        )


def muon(
    parameters: Parameters,
    *,
    momentum: float = 0.95,
    nesterov: bool = True,
    num_iterations: int = 5,
    use_adam_scale: bool = True,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    adamw_lr_factor: float = 1.0,
    weight_decay: float = 0.01,
) -> Optimizer:
    """torch.optim.Muon on matrices, AdamW at lr * adamw_lr_factor on the rest.

    A kernel_OIHW is the matrix O x (I H W). use_adam_scale is torch's "match_rms_adamw": updates as large as Adam's, so that one
    rate suits both (Liu et al. 2025); else "original": sqrt(max(1, rows / columns)), whose rates are some 20 times larger.
    """
    device = parameters[0].tensor.device
    flags = flags_on(device.type, AdamW)
    of_matrices: dict[str, Any] = {
        "lr": 0.0,
        "capturable": False,  # Muon reads its rate on the CPU
        "momentum": momentum,
        "nesterov": nesterov,
        "ns_steps": num_iterations,
        "adjust_lr_fn": "match_rms_adamw" if use_adam_scale else "original",
    }

    def options(one: LearnedParameter) -> dict[str, Any]:
        decay = weight_decay * one.is_decayed
        factor = one.lr_factor if one.is_matrix else one.lr_factor * adamw_lr_factor
        return {"is_matrix": one.is_matrix, "lr_factor": factor, "weight_decay": decay}

    groups = groups_by(parameters, options)
    for group in groups:
        group |= of_matrices if group["is_matrix"] else {"lr": new_lr(device, flags)}
    return MuonAndAdamW(groups, **flags, betas=(beta1, beta2), eps=eps)


def _as_matrix(tensor: Tensor, like: Tensor) -> Tensor:
    """Rows are the first dimension; a view for `like` itself. Columns come in the order in which `like` lies in memory."""
    return (tensor if like.is_contiguous() else tensor.movedim(1, -1)).flatten(1)
