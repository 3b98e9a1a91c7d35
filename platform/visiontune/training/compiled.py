"""torch.compile for one trial: whole graphs of fixed shapes, or an error that says why not.

Torch counts the graphs of a function, not of a network, and every network is an nn.Sequential: the fourth or so that a worker trained met
torch._dynamo.config.recompile_limit and went on uncompiled. So what earlier trials compiled is dropped here; kernels stay in inductor's
cache on the disk. A trial needs four graphs: training on micro-batches of two sizes, evaluation on whole batches and on the last one.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from visiontune.errors import UserError, first_line

MOST_GRAPHS = 8
"""Of one network: torch's own limit, which timm's optimizers raise to a million for the whole process."""


class Compiled(nn.Module):
    """`network` itself, whose forward pass is compiled for each shape and mode that it meets."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        torch._dynamo.reset()
        torch._dynamo.config.recompile_limit = MOST_GRAPHS
        # With fullgraph a part that can't be compiled is an error, and so is the limit; otherwise both run on as they are.
        self._network = torch.compile(network, dynamic=False, fullgraph=True)

    def forward(self, x_NCHW: Tensor) -> Any:
        """What the network gives. Raises UserError where torch can't compile it whole, or would have to once too often."""
        try:
            return self._network(x_NCHW)
        except torch._dynamo.exc.FailOnRecompileLimitHit as error:
            rule = f"torch.compile keeps {MOST_GRAPHS} graphs of a network"
            raise UserError(f"{rule}, and pictures of shape {tuple(x_NCHW.shape)} need one more; use_compile: false trains it") from error
        except torch._dynamo.exc.Unsupported as error:
            raise UserError(f"torch.compile can't take this network whole: {first_line(error)}; use_compile: false trains it") from error
