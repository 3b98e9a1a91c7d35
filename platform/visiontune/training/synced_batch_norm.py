"""Batch normalisation with the statistics of the whole batch, where ranks have a share of it each: those that one process would see.

torch's SyncBatchNorm does so on a GPU; for a CPU torch has none, so it is written out here. Modules stay what they are, with their
names, hooks and tensors: only while the block runs do they compute otherwise, so that what is kept, copied and exported is untouched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.autograd.function import Function
from torch.nn.modules.batchnorm import _BatchNorm

from visiontune.errors import UserError
from visiontune.training.ranks import Ranks


@contextmanager
def synced_batch_norm(network: nn.Module, ranks: Ranks) -> Iterator[None]:
    """Statistics over all ranks for as long as the block runs. Raises UserError for a module whose normalisation is not torch's."""
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm)] if ranks.num > 1 else []
    before = [vars(norm).get("forward") for norm in norms]
    for norm in norms:
        vars(norm)["forward"] = _forward_of(norm)  # of this module only; its class keeps its own
    try:
        yield
    finally:
        for norm, forward in zip(norms, before, strict=True):
            del vars(norm)["forward"]
            if forward is not None:  # gradient checkpointing's
                vars(norm)["forward"] = forward


def _forward_of(norm: _BatchNorm) -> Callable[[Tensor], Tensor]:
    normalise = (
        partial(_on_gpu, norm, _twin(norm)) if norm.running_mean is not None and norm.running_mean.is_cuda else partial(_on_cpu, norm)
    )
    if type(norm).forward is _BatchNorm.forward:
        return normalise
    if {"drop", "act"} <= vars(norm)["_modules"].keys():  # timm's BatchNormAct2d
        drop, act = norm.get_submodule("drop"), norm.get_submodule("act")
        return lambda x_NC: act(drop(normalise(x_NC)))
    raise UserError(f"batch normalisation is synchronised between workers where it is torch's own, but here it is {type(norm).__name__}")


def _twin(norm: _BatchNorm) -> nn.SyncBatchNorm:
    """torch's, on the same tensors."""
    twin = nn.SyncBatchNorm(norm.num_features, norm.eps, norm.momentum, affine=False, track_running_stats=False)
    twin.affine, twin.track_running_stats = norm.affine, norm.track_running_stats
    twin._parameters.update(norm._parameters)
    twin._buffers.update(norm._buffers)
    return twin


def _on_gpu(norm: _BatchNorm, twin: nn.SyncBatchNorm, x_NC: Tensor) -> Tensor:
    twin.training, twin.momentum = norm.training, norm.momentum
    twin.track_running_stats = norm.track_running_stats and norm.num_batches_tracked is not None  # not in checkpointing's second pass
    normalised: Tensor = twin(x_NC)
    return normalised


def _on_cpu(norm: _BatchNorm, x_NC: Tensor) -> Tensor:
    if not norm.training:
        return _BatchNorm.forward(norm, x_NC)
    value_NC, dims, shape = x_NC.float(), [dim for dim in range(x_NC.ndim) if dim != 1], [1, -1, *[1] * (x_NC.ndim - 2)]
    count = _sum(torch.tensor(float(x_NC.numel() // x_NC.shape[1])))
    mean_C = _sum(value_NC.sum(dims)) / count
    centred_NC = value_NC - mean_C.view(shape)
    variance_C = _sum(centred_NC.square().sum(dims)) / count  # of the centred ones: no digits are lost
    if norm.running_mean is not None and norm.running_var is not None and norm.num_batches_tracked is not None:
        norm.num_batches_tracked.add_(1)
        share = 1 / int(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
        norm.running_mean.lerp_(mean_C.detach(), share)
        norm.running_var.lerp_(variance_C.detach() * (count / (count - 1)), share)
    scale_C = (variance_C + norm.eps).rsqrt()
    if norm.affine:
        return (centred_NC * (scale_C * norm.weight).view(shape) + norm.bias.view(shape)).to(x_NC.dtype)
    return (centred_NC * scale_C.view(shape)).to(x_NC.dtype)


class _Sum(Function):
    """Over all ranks; the gradient of a sum that each rank uses is the sum of their gradients."""

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        total = own.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total


def _sum(own: Tensor) -> Tensor:
    total: Tensor = _Sum.apply(own)
    return total
