"""Optimizers: torch.optim's classes with parameter groups, and the flags that suit the parameters' device.

A group learns at `lr_factor` of the common rate, which set_lr gives before each step. Decay is decoupled and only of what is
decayed: w shrinks by lr * weight_decay (Loshchilov & Hutter 2019); `regularization.l2` is the coupled kind for every optimizer.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, NAdam, Optimizer, RAdam, RMSprop

from visiontune.errors import UserError
from visiontune.training.optim.param_groups import LearnedParameter, groups_by

_FUSED: Mapping[str, tuple[type[Optimizer], ...]] = {
    "cpu": (SGD, Adagrad, Adam, AdamW),
    "cuda": (SGD, Adam, AdamW),  # torch 2.11, the oldest that we take, has none for Adagrad
}

Parameters = Sequence[LearnedParameter]


def sgd(parameters: Parameters, *, momentum: float = 0.9, nesterov: bool = False, weight_decay: float = 0.0) -> Optimizer:
    """torch.optim.SGD without dampening; decay as in SGDW. Raises UserError for nesterov without momentum."""
    if nesterov and momentum == 0:
        raise UserError("optimizer: nesterov needs momentum > 0, but got momentum=0.0")
    optimizer = _build(SGD, parameters, weight_decay, decay_key="decoupled_decay", momentum=momentum, nesterov=nesterov)
    if weight_decay:
        optimizer.register_step_pre_hook(_decay)
    if momentum:  # torch makes it in the first step, out of what lies in memory where GradScaler skips that one
        for one in parameters:
            optimizer.state[one.tensor]["momentum_buffer"] = torch.zeros_like(one.tensor)
    return optimizer


def adagrad(parameters: Parameters, *, initial_square_sum: float = 0.0, eps: float = 1e-10) -> Optimizer:
    """torch.optim.Adagrad without lr_decay, which is for the lr schedule."""
    return _build(Adagrad, parameters, initial_accumulator_value=initial_square_sum, eps=eps)


def adadelta(parameters: Parameters, *, rho: float = 0.9, eps: float = 1e-6) -> Optimizer:
    """torch.optim.Adadelta; the paper's own rate is 1."""
    return _build(Adadelta, parameters, rho=rho, eps=eps)


def rmsprop(
    parameters: Parameters, *, alpha: float = 0.99, momentum: float = 0.0, is_centered: bool = False, eps: float = 1e-8
) -> Optimizer:
    """torch.optim.RMSprop; centred: divided by the standard deviation of the gradient, not by its root mean square."""
    return _build(RMSprop, parameters, alpha=alpha, momentum=momentum, centered=is_centered, eps=eps)


def adam(parameters: Parameters, *, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> Optimizer:
    """torch.optim.Adam."""
    return _build(Adam, parameters, betas=(beta1, beta2), eps=eps)


def amsgrad(parameters: Parameters, *, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> Optimizer:
    """torch.optim.Adam with amsgrad."""
    return _build(Adam, parameters, betas=(beta1, beta2), eps=eps, amsgrad=True)


def adamax(parameters: Parameters, *, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> Optimizer:
    """torch.optim.Adamax: Adam with a decaying maximum of the gradients in place of their root mean square."""
    return _build(Adamax, parameters, betas=(beta1, beta2), eps=eps)


def nadam(
    parameters: Parameters,
    *,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    momentum_decay: float = 0.004,
    weight_decay: float = 0.0,
) -> Optimizer:
    """torch.optim.NAdam."""
    betas = (beta1, beta2)
    return _build(NAdam, parameters, weight_decay, decoupled_weight_decay=True, betas=betas, eps=eps, momentum_decay=momentum_decay)


def radam(parameters: Parameters, *, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8, weight_decay: float = 0.0) -> Optimizer:
    """torch.optim.RAdam."""
    return _build(RAdam, parameters, weight_decay, decoupled_weight_decay=True, betas=(beta1, beta2), eps=eps)


def adamw(parameters: Parameters, *, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8, weight_decay: float = 0.01) -> Optimizer:
    """torch.optim.AdamW."""
    return _build(AdamW, parameters, weight_decay, betas=(beta1, beta2), eps=eps)


def lion(parameters: Parameters, *, beta1: float = 0.9, beta2: float = 0.99, weight_decay: float = 0.1) -> Optimizer:
    """timm.optim.Lion; timm is imported only here, as it takes as long as torch itself."""
    from timm.optim import Lion

    return _build(Lion, parameters, weight_decay, betas=(beta1, beta2))


def flags_on(device_type: str, kind: Callable[..., Optimizer]) -> dict[str, bool]:
    """fused where the class has a kernel for the device, else foreach; on a GPU also capturable, where the class knows it."""
    flags = {"fused": True} if kind in _FUSED.get(device_type, ()) else {"foreach": True}
    if device_type == "cuda" and "capturable" in inspect.signature(kind).parameters:
        flags["capturable"] = True
    return flags


def new_lr(device: torch.device, flags: Mapping[str, bool]) -> float | Tensor:
    """What holds a group's rate: a tensor of its own where the kernels read it on the GPU, so that a CUDA graph sees it change."""
    is_read_there = device.type == "cuda" and (flags.get("fused") or flags.get("capturable"))
    return torch.zeros((), device=device) if is_read_there else 0.0


def set_lr(optimizer: Optimizer, lr: float) -> None:
    """The rate of the next step, for each group times its factor."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(lr * group["lr_factor"])
        else:
            group["lr"] = lr * group["lr_factor"]


def load_state(optimizer: Optimizer, saved: Mapping[str, Any]) -> None:
    """Go on from a state_dict(), which is copied. Raises ValueError where it is of other groups.

    Only moments and step counts are taken: its rates and flags may be those of another device.
    """
    groups = [{**own, "params": theirs["params"]} for own, theirs in zip(optimizer.param_groups, saved["param_groups"], strict=True)]
    optimizer.load_state_dict({"state": copy.deepcopy(saved["state"]), "param_groups": groups})


def _build(
    kind: Callable[..., Optimizer], parameters: Parameters, weight_decay: float = 0.0, *, decay_key: str = "weight_decay", **args: Any
) -> Optimizer:
    device = parameters[0].tensor.device
    flags = flags_on(device.type, kind)
    groups = groups_by(parameters, lambda one: {"lr_factor": one.lr_factor, decay_key: weight_decay * one.is_decayed})
    return kind([{**group, "lr": new_lr(device, flags)} for group in groups], **flags, **args)


@torch.no_grad()
def _decay(optimizer: Optimizer, *_: Any) -> None:
    """Decoupled decay before a step of SGD, whose own is the coupled kind. None where a fused step is about to skip an overflow."""
    has_overflowed = getattr(optimizer, "found_inf", 0.0)  # GradScaler's, a tensor of 0 or 1
    for group in optimizer.param_groups:
        if group["decoupled_decay"]:
            torch._foreach_mul_(group["params"], 1 - group["lr"] * group["decoupled_decay"] * (1 - has_overflowed))
