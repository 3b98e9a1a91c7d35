"""Batch normalisation's statistics taken anew before a network is evaluated: those of training pictures under the weights that it then has
("precise BN", Wu & Johnson 2021).

What training leaves behind is a mean over the weights of some 40 last steps, or over what comes before them in short epochs, and where
weights are averaged, it is of other weights. Training itself normalises by batches, so it goes on as if nothing had been done.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from visiontune.models.transfer import train_mode
from visiontune.training.input.epoch_order import whole_batches

# More change no figure (benchmarks/last_batch.py), and an eighth of an epoch's pictures costs some 5 % of its time.
_FEWEST, _SHARE, _MOST = 256, 1 / 8, 1024


def trained_norms(network: nn.Module) -> list[_BatchNorm]:
    """The batch normalisations that take statistics while the network trains; those of frozen parts keep theirs. Leaves training mode."""
    train_mode(network)
    norms = (module for module in network.modules() if isinstance(module, _BatchNorm))
    return [norm for norm in norms if norm.training and norm.track_running_stats]


def statistics_bounds(network: nn.Module, num: int, batch_size: int) -> list[int]:
    """Which of the first `num` pictures of an order to take, cut into batches; [0], no batch, for a network that has no trained norms."""
    if not trained_norms(network):
        return [0]
    wanted = max(_FEWEST, min(_MOST, int(_SHARE * num)))
    return whole_batches(num, batch_size)[: 1 - (-wanted // batch_size)]


@torch.no_grad()
def refresh_statistics(network: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
    """Give them the means over `batches` of each batch's mean and (unbiased) variance; (x_NCHW, y_N), at least two pictures each.

    All but these modules evaluates, so what they see is what they will see: nothing is dropped, and no random number is drawn. What
    the batches don't reach, as an auxiliary classifier, keeps what it has. Leaves evaluation mode.
    """
    norms = trained_norms(network)
    momenta = [norm.momentum for norm in norms]
    network.eval()
    for norm in norms:
        assert norm.num_batches_tracked is not None
        norm.num_batches_tracked.zero_()
        norm.train()
    try:
        for number, (x_NCHW, _) in enumerate(batches, 1):
            for norm in norms:  # the first replaces what was; torch's own way, no momentum, reads its counter, so waits for a GPU
                norm.momentum = 1 / number
            network(x_NCHW)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        network.eval()
