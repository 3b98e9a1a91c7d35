"""Muon: momentum made orthogonal for matrices (Jordan et al. 2024), AdamW for what is not a matrix."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.optim import _muon as torch_muon

from visiontune.training.optim.optimizer import Groups, Optimizer, Slots, adamw, among, zeros


def muon(
    params: list[Tensor],
    decayed: list[Tensor],
    *,
    matrices: Sequence[Tensor] | None = None,
    momentum: float = 0.95,
    nesterov: bool = True,
    num_iterations: int = 5,
    use_adam_scale: bool = True,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    adamw_lr_factor: float = 1.0,
    weight_decay: float = 0.01,
) -> Groups:
    """torch.optim.Muon on `matrices` (None: all of two and more dimensions), AdamW at lr * adamw_lr_factor on the rest.

    A kernel_OIHW is the matrix O x (I H W). use_adam_scale is torch's "match_rms_adamw": updates as large as Adam's, so that one
    rate suits both (Liu et al. 2025); else "original": sqrt(max(1, rows / columns)), whose rates are some 20 times larger.
    """
    mine = among(params, matrices if matrices is not None else [parameter for parameter in params if parameter.ndim >= 2])
    known = {id(parameter) for parameter in mine}
    others = [parameter for parameter in params if id(parameter) not in known]
    slots: Slots = {"momentum": zeros(mine)}

    def update(gradients: list[Tensor], lr: float) -> None:
        torch_muon.muon(
            [_as_matrix(one, one) for one in mine],
            [_as_matrix(one, like) for one, like in zip(gradients, mine, strict=True)],
            [_as_matrix(one, one) for one in slots["momentum"]],
            lr=lr,
            weight_decay=0.0,
            momentum=momentum,
            nesterov=nesterov,
            ns_coefficients=(torch_muon.DEFAULT_A, torch_muon.DEFAULT_B, torch_muon.DEFAULT_C),
            ns_steps=num_iterations,
            eps=torch_muon.EPS,
            adjust_lr_fn="match_rms_adamw" if use_adam_scale else "original",
            has_complex=False,
        )

    by_muon = Optimizer(mine, among(decayed, mine), weight_decay, slots, update)
    by_adamw = adamw(others, among(decayed, others), beta1=beta1, beta2=beta2, eps=eps, weight_decay=weight_decay)
    return Groups(((by_muon, 1.0), (by_adamw, adamw_lr_factor)))


def _as_matrix(tensor: Tensor, like: Tensor) -> Tensor:
    """Rows are the first dimension; a view for `like` itself. Columns come in the order in which `like` lies in memory."""
    return (tensor if like.is_contiguous() else tensor.movedim(1, -1)).flatten(1)
