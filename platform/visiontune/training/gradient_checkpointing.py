"""Gradient checkpointing: activations of a segment are computed again in the backward pass instead of kept (Chen et al. 2016).

A segment is a stage, or as much of it as stands in one sequence: stages begin where a picture has shrunk, so that little is handed on.
To cut long stages too gains little (pictures of 64 px, two at a time: what is kept and the largest segment take 6.2 MiB of 14.7 in
ResNet-50, and 7.4 with about sqrt(n) segments for n blocks; in ResNet-101 10.8 of 21.4, and 7.6).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from visiontune.models.anatomy import anatomy_of
from visiontune.models.architectures.adapting import Branched

Part = Callable[[Any], Any]


def checkpoint_stages(network: nn.Module) -> None:
    """Keep only what trained segments are given, in place; about a third more arithmetic. Names and results stay as they are."""
    stage_of = {name: number for number, group in enumerate(anatomy_of(network).stages) for name in group}
    for prefix in dict.fromkeys(name.rpartition(".")[0] for name in stage_of):
        parent = network.get_submodule(prefix)
        stages = {name: stage_of.get(f"{prefix}.{name}".lstrip(".")) for name, _ in parent.named_children()}
        if isinstance(parent, nn.Sequential):
            parts = dict(_parts(parent, stages))
            chained = partial(parent.run, parts) if isinstance(parent, Branched) else partial(_chain, [*parts.values()])
            parent.forward = chained  # type: ignore[method-assign]
            continue
        for name in (name for name, stage in stages.items() if stage is not None):  # its forward calls them by their names
            module = parent.get_submodule(name)
            forward = module.forward  # wrapped before, where another phase of training begins
            module.forward = _part([module], forward.forward if isinstance(forward, _Segment) else forward)


def _parts(parent: nn.Sequential, stages: dict[str, int | None]) -> Iterator[tuple[str, Part]]:
    """What the sequence runs in turn, each under the name of its first module: its children, but those of one stage as one."""
    for stage, together in groupby(stages, key=stages.__getitem__):
        names = [*together]
        modules = [parent.get_submodule(name) for name in names]
        if stage is None:
            yield from zip(names, modules, strict=True)
        else:
            yield names[0], _part(modules, partial(_chain, modules))


def _part(modules: list[nn.Module], forward: Part) -> Part:
    is_trained = any(parameter.requires_grad for module in modules for parameter in module.parameters())
    return _Segment(forward, modules) if is_trained else forward


@dataclass(frozen=True)
class _Segment:
    """`forward` runs `modules`; its activations are kept only while it runs backward."""

    forward: Part
    modules: list[nn.Module]

    def __call__(self, x: Any) -> Any:
        if not torch.is_grad_enabled():
            return self.forward(x)
        if torch.compiler.is_compiling():  # which takes no contexts, and writes each buffer once for both passes
            return checkpoint(self.forward, x, use_reentrant=False)
        return checkpoint(self.forward, x, use_reentrant=False, context_fn=self._contexts)

    def _contexts(self) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _with_statistics_kept(self.modules)


def _chain(parts: Sequence[Part], x: Tensor) -> Tensor:
    for part in parts:
        x = part(x)
    return x


@contextmanager
def _with_statistics_kept(modules: list[nn.Module]) -> Iterator[None]:
    """The second pass must not count a batch twice in batch normalisation's running statistics."""
    norms = [norm for part in modules for norm in part.modules() if isinstance(norm, _BatchNorm)]
    held = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, (momentum, counter) in zip(norms, held, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, counter
