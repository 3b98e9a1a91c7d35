"""L1 and L2 against autograd on the written-out terms, and L2 against torch's coupled weight decay."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from visiontune.training.penalties import add_penalties, decayed_parameters, gradients_of


def network_with_gradients(seed: int = 0) -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Linear(6, 4), nn.PReLU(), nn.BatchNorm1d(4), nn.Linear(4, 2))
    with torch.no_grad():
        network[0].weight[0] = 0  # where |w| has no derivative
    loss = nn.functional.cross_entropy(network(torch.randn(8, 6)), torch.arange(8) % 2)
    return network, loss


@pytest.mark.parametrize(("l1", "l2"), [(0.3, 0.0), (0.0, 0.2), (0.1, 0.4), (0.0, 0.0)])
def test_gradients_are_those_of_the_terms_in_the_loss(l1: float, l2: float) -> None:
    mine, loss = network_with_gradients()
    loss.backward()
    add_penalties(decayed_parameters(mine), l1, l2)

    theirs, loss = network_with_gradients()
    weights = [theirs[0].weight, theirs[3].weight]
    (loss + l1 * sum(w.abs().sum() for w in weights) + l2 / 2 * sum(w.square().sum() for w in weights)).backward()
    for a, b in zip(mine.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(a.grad, b.grad, rtol=1e-6, atol=1e-8)


def test_l2_is_torchs_coupled_weight_decay_for_sgd() -> None:
    mine, loss = network_with_gradients()
    loss.backward()
    add_penalties(decayed_parameters(mine), 0.0, 0.7)
    torch.optim.SGD(mine.parameters(), lr=0.1).step()

    theirs, loss = network_with_gradients()
    loss.backward()
    weights = [theirs[0].weight, theirs[3].weight]
    rest = [p for p in theirs.parameters() if all(p is not w for w in weights)]
    torch.optim.SGD([{"params": weights, "weight_decay": 0.7}, {"params": rest}], lr=0.1).step()
    for a, b in zip(mine.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(a, b, rtol=1e-6, atol=1e-8)


def test_a_missing_gradient_is_an_error() -> None:
    network, loss = network_with_gradients()
    loss.backward()
    network[3].bias.grad = None
    with pytest.raises(ValueError, match="1 of 7 did not"):
        gradients_of(list(network.parameters()))
