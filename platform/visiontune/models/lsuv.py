"""Layer-sequential unit variance (Mishkin & Matas 2016, "All you need is a good init"): weights scaled on a batch of pictures."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

_TOLERANCE = 0.1  # of a variance of 1
_MAX_ROUNDS = 10

_DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)


@torch.no_grad()
def scale_to_unit_variance(network: nn.Module, x_NCHW: Tensor) -> int:
    """Scale each weight of a convolution or linear layer so that its outputs on the batch have variance 1; gives how many were scaled.

    One pass in training mode: a layer is scaled as soon as it is reached, so that those after it see what it gives from then
    on. Dropout is off, and running statistics stay as they were. A layer whose outputs have variance 0 is left alone.
    """
    from torchvision.ops import StochasticDepth  # see models/dropout.py

    scaled: list[nn.Module] = []

    def scale(layer: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
        for _ in range(_MAX_ROUNDS):
            variance = output.double().var(unbiased=False).item()
            if abs(variance - 1) < _TOLERANCE or not 0 < variance < float("inf"):
                break
            layer.weight /= variance**0.5
            output = type(layer).forward(layer, *args)  # the layer's own, without its hooks
            scaled.append(layer)
        return output

    modes = {module: module.training for module in network.modules()}
    statistics = [(buffer, buffer.clone()) for m in network.modules() if isinstance(m, _NormBase) for buffer in m.buffers(recurse=False)]
    hooks = [m.register_forward_hook(scale) for m in network.modules() if isinstance(m, _ConvNd | nn.Linear)]
    for module in network.modules():
        module.training = not isinstance(module, (*_DROPOUTS, StochasticDepth))
    network(x_NCHW)
    for hook in hooks:
        hook.remove()
    for buffer, before in statistics:
        buffer.copy_(before)
    for module, mode in modes.items():
        module.training = mode
    return len({*scaled})
