"""Gradient checkpointing: activations of a stage are computed again in the backward pass instead of kept (Chen et al. 2016)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from visiontune.models.anatomy import anatomy_of


def checkpoint_stages(network: nn.Module) -> None:
    """Keep only the outputs of stages that are trained, in place; about a third more arithmetic. Names and results stay as they are."""
    for module in (network.get_submodule(name) for group in anatomy_of(network).stages for name in group):
        if any(parameter.requires_grad for parameter in module.parameters()):
            module.forward = partial(checkpoint, module.forward, use_reentrant=False, context_fn=partial(_contexts, module))


def _contexts(module: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    return nullcontext(), _with_statistics_kept(module)


@contextmanager
def _with_statistics_kept(module: nn.Module) -> Iterator[None]:
    """The second pass must not count a batch twice in batch normalisation's running statistics."""
    norms = [norm for norm in module.modules() if isinstance(norm, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
