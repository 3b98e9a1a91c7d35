"""torch.compile for one trial: whole graphs of fixed shapes, or an error that says why not.

Torch counts the graphs of a function, not of a network, and every network is an nn.Sequential: the fourth or so that a worker trained met
torch._dynamo.config.recompile_limit and went on uncompiled. So what earlier trials compiled is dropped here; kernels stay in inductor's
cache on the disk. A trial needs four graphs: training on micro-batches of two sizes, evaluation on whole batches and on the last one.

Modes but the default one replay CUDA graphs, whose results lie where the next replay writes its own (torch's page "CUDAGraph Trees"). So a
replay begins by saying that what came before is no longer wanted, and what it gives is copied; gradients are taken up by the very next
update, and are none before the next backward pass. Weights, averages and rates stay at their places.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from visiontune.errors import UserError, first_line

MOST_GRAPHS = 8
"""Of one network: torch's own limit, which timm's optimizers raise to a million for the whole process."""


def problem_of_mode(training: Mapping[str, Any], *, has_gpu: bool = True) -> str | None:
    """Why the section can't be compiled in its mode, as one sentence; None where it can. `has_gpu` where that is not known yet."""
    mode, at_once = training["compile_mode"], training["micro_batch"]
    if mode == "default":
        return None
    if not training["use_compile"]:
        return f"compile_mode {mode} says how use_compile compiles, but use_compile is false; nearest is default"
    if 0 < at_once < training["batch_size"]:
        rule = "replays of a CUDA graph write over the gradients of the one before, which micro-batches add up"
        return f"{rule}, but compile_mode is {mode} and micro_batch {at_once}; nearest is default"
    return None if has_gpu else f"compile_mode {mode} is for CUDA graphs, and there is no GPU; nearest is default"


class Compiled(nn.Module):
    """`network` itself, whose forward pass is compiled for each shape and mode that it meets; `mode` is one of COMPILE_MODES."""

    def __init__(self, network: nn.Module, mode: str = "default") -> None:
        super().__init__()
        self._has_graphs = mode != "default"
        torch._dynamo.reset()
        torch._dynamo.config.recompile_limit = MOST_GRAPHS
        # With fullgraph a part that can't be compiled is an error, and so is the limit; otherwise both run on as they are.
        self._network = torch.compile(network, dynamic=False, fullgraph=True, mode=mode if self._has_graphs else None)

    def forward(self, x_NCHW: Tensor) -> Any:
        """What the network gives. Raises UserError where torch can't compile it whole, or would have to once too often."""
        if self._has_graphs:
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        try:
            outputs = self._network(x_NCHW)
            return _copied(outputs) if self._has_graphs else outputs
        except torch._dynamo.exc.FailOnRecompileLimitHit as error:
            rule = f"torch.compile keeps {MOST_GRAPHS} graphs of a network"
            raise UserError(f"{rule}, and pictures of shape {tuple(x_NCHW.shape)} need one more; use_compile: false trains it") from error
        except torch._dynamo.exc.Unsupported as error:
            raise UserError(f"torch.compile can't take this network whole: {first_line(error)}; use_compile: false trains it") from error


def _copied(outputs: Any) -> Any:
    return tuple(map(torch.clone, outputs)) if isinstance(outputs, tuple) else outputs.clone()
