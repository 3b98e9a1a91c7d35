"""Latency of a network that takes a known time."""

from __future__ import annotations

import time
from dataclasses import replace

import torch
from tiny import make_recipe, make_store
from torch import Tensor, nn

from visiontune.inference.classifier import untrained
from visiontune.inference.latency import MIN_CALLS, NUM_WARM_UP, latencies, latency, peak_memory_bytes


class Sleeps(nn.Module):
    """5 ms for any batch, half a second for the first of all."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def forward(self, x_NCHW: Tensor) -> Tensor:
        time.sleep(0.005 if self.sizes else 0.5)
        self.sizes.append(len(x_NCHW))
        return torch.zeros(len(x_NCHW), 3)


def test_latency_is_what_a_call_takes_once_it_is_warm() -> None:
    network = Sleeps()
    classifier = replace(untrained(make_recipe(num_epochs=1), make_store()), network=network)
    found = latency(classifier, 64)
    assert 5 <= found.median_ms <= found.p95_ms < 500 and found.num_calls >= MIN_CALLS
    assert network.sizes == [64] * (NUM_WARM_UP + found.num_calls)
    assert peak_memory_bytes(classifier, 1) is None
    network.sizes = [0]
    assert latencies(classifier, ["latency_p95_ms"]).keys() == {"latency_ms", "latency_p95_ms"} and {*network.sizes} == {0, 1}
