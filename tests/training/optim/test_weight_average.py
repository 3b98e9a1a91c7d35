"""The average of weights against torch's own, through a warm-up and a checkpoint."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from visiontune.training.optim.weight_average import WeightAverage


def small_network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 4), nn.PReLU(), nn.BatchNorm1d(4), nn.Linear(4, 2))


def moved(network: nn.Module, step: int) -> None:
    """As if a step had been made: every parameter and buffer is somewhere else."""
    torch.manual_seed(step)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter))
    network(torch.randn(8, 6))


def test_averages_are_torchs_once_warm_up_is_over() -> None:
    network = small_network()
    mine = WeightAverage(network)
    theirs = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(0.05), use_buffers=False)
    theirs.n_averaged += 1  # torch's first update copies; both start from the network as it was
    for step in range(6):  # (1 + t) / (10 + t) is 0.1 or more: above this decay from the first update on
        moved(network, step)
        mine.update(0.05)
        theirs.update_parameters(network)
    mine.exchange()
    for a, b in zip(network.parameters(), theirs.module.parameters(), strict=True):
        assert torch.allclose(a, b, rtol=1e-6, atol=1e-7)


def test_averages_warm_up_and_survive_a_checkpoint() -> None:
    network = nn.Linear(1, 1, bias=False).double()
    average, expected = WeightAverage(network), network.weight.item()
    for step in range(200):
        network.weight.data.fill_(step**0.5)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step**0.5
        if step == 20:
            again = WeightAverage(nn.Linear(1, 1, bias=False).double())
            again.load_state_dict(average.state_dict())
            assert again.state_dict()["num_updates"] == 20
        average.update(0.9)
        if step == 20:
            again._values[0].data.fill_(step**0.5)
            again.update(0.9)
            assert torch.equal(again.state_dict()["averages"][0], average.state_dict()["averages"][0])
    average.exchange()
    assert network.weight.item() == pytest.approx(expected, rel=1e-12)
    average.exchange()
    assert network.weight.item() == 199**0.5


def test_exchanging_twice_puts_everything_back() -> None:
    network = small_network()
    average = WeightAverage(network)
    moved(network, 0)
    average.update(0.5)
    before, averages = [value.clone() for value in network.state_dict().values()], [a.clone() for a in average.state_dict()["averages"]]
    average.exchange()
    assert torch.equal(network[0].weight, averages[0]) and not torch.equal(network[0].weight, before[0])
    average.exchange()
    assert all(torch.equal(a, b) for a, b in zip(before, network.state_dict().values(), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(averages, average.state_dict()["averages"], strict=True))


def test_averages_of_another_network_are_refused() -> None:
    with pytest.raises(ValueError, match="argument"):
        WeightAverage(nn.Linear(2, 2)).load_state_dict(WeightAverage(nn.Linear(2, 2, bias=False)).state_dict())
