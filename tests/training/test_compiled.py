"""torch.compile in a worker that trains trial after trial. The backend that compiles nothing counts the graphs as inductor would."""

from __future__ import annotations

from collections.abc import Callable
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
def test_growing_pictures_that_come_twice_train_compiled_as_they_do_not() -> None:
    """Four graphs: two sizes of pictures in parts of four, and evaluation in whole batches and the last one."""
    growing = {"resize": "progressive", "resize_from": 0.5, "resize_multiple": 4, "repeated_augmentation": 2, "micro_batch": 5}
    drawn = {"policy": "trivialaugment", "mixing": "mixup"}

    def losses(**switch: bool) -> list[float]:
        recipe = make_recipe(model_section("cnn", width=4, depth=1), num_epochs=2, augmentation=drawn, **growing, **switch)
        return [epoch.metrics["val_loss"] for epoch in train(recipe, make_store())]

    compiled = losses(use_compile=True)
    assert counters["stats"]["unique_graphs"] == 4
    assert compiled == pytest.approx(losses(), rel=1e-5)


def test_what_a_replay_writes_over_is_copied_and_each_begins_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network whose results always lie at one place stands for a CUDA graph's."""
    pool, asked, begun = torch.zeros(2, 3), list[str | None](), list[int]()

    def replaying(network: nn.Module, *, mode: str | None, **_: object) -> Callable[[Tensor], Tensor]:
        asked.append(mode)
        return lambda x: pool.copy_(network(x).detach())

    monkeypatch.setattr(torch, "compile", replaying)
    monkeypatch.setattr(torch.compiler, "cudagraph_mark_step_begin", lambda: begun.append(1))
    network = nn.Linear(4, 3)
    for mode in ("reduce-overhead", "default"):
        compiled = Compiled(network, mode)
        first, second = compiled(torch.ones(2, 4)), compiled(torch.zeros(2, 4))
        assert torch.equal(second, network(torch.zeros(2, 4)))
        assert torch.equal(first, network(torch.ones(2, 4))) == (mode != "default")
    assert asked == ["reduce-overhead", None] and len(begun) == 2


def test_where_memory_ran_out_nothing_is_replayed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Micro-batches add gradients up, which a replay writes over; and a machine without a GPU has no graphs."""
    recipe = make_recipe(model_section("lenet5"), num_epochs=1, use_compile=True, compile_mode="reduce-overhead")
    with pytest.raises(UserError, match="compile_mode reduce-overhead is for CUDA graphs, and there is no GPU; nearest is default"):
        next(train(recipe, make_store()))
    assert next(train(recipe, make_store(), micro_batch=8)).num_at_once == 8


@pytest.mark.heavy
def test_a_trial_trains_and_evaluates_what_is_compiled() -> None:
    """54 pictures in batches of 18, and 18 to validate."""
    recipe = make_recipe(model_section("lenet5"), num_epochs=2, batch_size=18, use_compile=True)
    list(train(recipe, make_store()))
    assert counters["stats"]["unique_graphs"] == 2
