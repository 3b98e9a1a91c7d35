"""Penalties against autograd on the written-out terms, L2 and clipping against torch's own, noise against its formula."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from visiontune.errors import UserError
from visiontune.training.optim.penalties import add_gradient_noise, add_penalties, clip_gradients, decayed_parameters, gradients_of


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


def test_elastic_net_is_both() -> None:
    networks = [network_with_gradients() for _ in range(3)]
    for (network, loss), (l1, l2) in zip(networks, [(0.3, 0.0), (0.0, 0.2), (0.3, 0.2)], strict=True):
        loss.backward()
        plain = [p.grad.clone() for p in decayed_parameters(network)]
        add_penalties(decayed_parameters(network), l1, l2)
        network.added = [p.grad - was for p, was in zip(decayed_parameters(network), plain, strict=True)]
    for lasso, ridge, both in zip(*(network.added for network, _ in networks), strict=True):
        assert torch.allclose(lasso + ridge, both, atol=1e-7)


class Scaled(nn.Module):
    """What big networks have beside layers: a scale of its own with more than one dimension (ConvNeXt's)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.slope = nn.Conv2d(3, 4, 1, groups=1), nn.GroupNorm(1, 4), nn.PReLU(4)
        self.layer_scale = nn.Parameter(torch.ones(4, 1, 1))
        self.frozen = nn.Linear(4, 2).requires_grad_(False)


def test_decayed_are_weights_of_layers_or_all_that_learn() -> None:
    network = Scaled()
    assert [id(p) for p in decayed_parameters(network)] == [id(network.conv.weight)]
    learned = [p for name, p in network.named_parameters() if "frozen" not in name]
    assert [id(p) for p in decayed_parameters(network, use_decay_for_all=True)] == [id(p) for p in learned]


@pytest.mark.parametrize("max_norm", [1e-3, 0.5, 100.0])
def test_clipping_is_torchs(max_norm: float) -> None:
    (mine, loss), (theirs, their_loss) = network_with_gradients(), network_with_gradients()
    loss.backward()
    their_loss.backward()
    clip_gradients(list(mine.parameters()), max_norm)
    norm = torch.nn.utils.clip_grad_norm_(theirs.parameters(), max_norm)
    assert 0.5 < norm < 100  # so two of the three limits bind
    for a, b in zip(mine.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(a.grad, b.grad, rtol=1e-6, atol=0)


@pytest.mark.parametrize(("step", "variance"), [(0, 0.3), (99, 0.3 / 100**0.55)])
def test_noise_has_the_papers_variance_and_is_keyed(step: int, variance: float) -> None:
    def noise(seed: int) -> list[torch.Tensor]:
        params = [nn.Parameter(torch.zeros(200, 300)), nn.Parameter(torch.zeros(1000, 8, 3, 3).to(memory_format=torch.channels_last))]
        for parameter in params:
            parameter.grad = torch.full_like(parameter, 2.0)
        add_gradient_noise(params, 0.3, step, torch.Generator().manual_seed(seed))
        return [parameter.grad - 2 for parameter in params]

    drawn = noise(1)
    for one in drawn:
        assert one.mean().abs() < 4 * (variance / one.numel()) ** 0.5
        assert one.var().item() == pytest.approx(variance, rel=0.03)
    assert all(torch.equal(a, b) for a, b in zip(drawn, noise(1), strict=True))
    assert not torch.equal(drawn[0], noise(2)[0])


def test_a_layer_that_is_never_called_is_told_and_no_fault_of_ours() -> None:
    network, loss = network_with_gradients()
    loss.backward()
    network[3].bias.grad = None
    with pytest.raises(UserError, match="1 of 7 did not, such as one of 2: the network has layers that it does not call"):
        gradients_of(list(network.parameters()))
