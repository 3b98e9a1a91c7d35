"""torch.compile in a worker that trains trial after trial. The backend that compiles nothing counts the graphs as inductor would."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from tiny import make_recipe, make_store, model_section
from torch import Tensor, nn
from torch._dynamo.utils import counters

from visiontune.errors import UserError
from visiontune.training import compiled as compiled_module
from visiontune.training.compiled import Compiled
from visiontune.training.loop import train


@pytest.fixture(autouse=True)
def no_inductor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    counters.clear()


def test_a_worker_compiles_its_twelfth_network_as_its_first() -> None:
    """Torch's limit is 8 for all of them, as they run the same lines."""
    for number in range(1, 13):
        network = nn.Sequential(nn.Linear(4, number))
        assert torch.equal(Compiled(network)(torch.ones(2, 4)), network(torch.ones(2, 4)))
        assert counters["stats"]["unique_graphs"] == number


def test_two_sizes_of_batches_in_training_and_in_evaluation_are_four_graphs_and_what_is_not_compiled_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(compiled_module, "MOST_GRAPHS", 4)
    network = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    compiled = Compiled(network)
    for _ in range(2):
        for size in (8, 7):
            compiled.train()(torch.randn(size, 4))
            with torch.inference_mode():
                compiled.eval()(torch.randn(size, 4))
            assert not network.training
    assert counters["stats"]["unique_graphs"] == 4
    with pytest.raises(UserError, match=r"keeps 4 graphs .* shape \(6, 4\).* use_compile: false"):
        compiled(torch.randn(6, 4))

    class Breaks(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            torch._dynamo.graph_break()
            return x

    with pytest.raises(UserError, match=r"whole.*use_compile: false"):
        Compiled(Breaks())(torch.randn(2, 4))


@pytest.mark.heavy
def test_a_trial_trains_and_evaluates_what_is_compiled() -> None:
    """54 pictures in batches of 18, and 18 to validate."""
    recipe = make_recipe(model_section("lenet5"), num_epochs=2, batch_size=18, use_compile=True)
    list(train(recipe, make_store()))
    assert counters["stats"]["unique_graphs"] == 2
