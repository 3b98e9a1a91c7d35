"""Trial after trial is compiled, checkpointing and micro-batches save memory, and shares of a GPU fit beside each other."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from cuda_programs import neighbour, run
from tiny import make_recipe, make_store, model_section
from torch._dynamo.utils import counters

from visiontune.models.build import build_model
from visiontune.training import compiled, gpu
from visiontune.training.gradient_checkpointing import checkpoint_stages
from visiontune.training.loop import train
from visiontune.training.setup import set_up


def losses(device: str, width: int, **training: object) -> list[float]:
    recipe = make_recipe(model_section("cnn", width=width, depth=1), num_epochs=2, batch_size=18, **training)
    return [epoch.metrics["val_loss"] for epoch in train(recipe, make_store(), device=device)]


@pytest.mark.parametrize("device", [pytest.param("cpu", marks=pytest.mark.heavy), "cuda"])
def test_a_worker_compiles_its_tenth_trial_as_its_first(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every other one with gradient checkpointing. Each has two graphs, so the fifth would meet torch's limit of eight."""
    num_trials, limit = (10, 8) if device == "cuda" else (3, 3)
    if device == "cpu":  # no inductor: seconds for each trial
        monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    counters.clear()
    monkeypatch.setattr(compiled, "MOST_GRAPHS", limit)
    for number in range(num_trials):
        width, switch = 2 + number // 2, {"use_gradient_checkpointing": number % 2 == 1}
        found = losses(device, width, use_compile=True, **switch)
        assert found == pytest.approx(losses(device, width, **switch), rel=2e-3), number
        assert counters["stats"]["unique_graphs"] == 2 * (number + 1)


@pytest.mark.parametrize(
    "changed", [{}, {"precision": "bf16"}, {"optimizer_args": {"sharpness": "sam"}}, {"regularization": {"ema_decay": 0.9, "l2": 1e-3}}]
)
def test_replayed_graphs_train_as_compiled_steps_do(changed: dict[str, Any]) -> None:
    """The same kernels in the same order. Averages are exchanged in place, so that addresses stay."""
    curves, recipe = [], {"num_epochs": 3, "batch_size": 18, "use_compile": True, **changed}
    for mode in ("default", "reduce-overhead"):
        counters.clear()
        trained = train(make_recipe(model_section("cnn", width=8, depth=1), compile_mode=mode, **recipe), make_store(), device="cuda")
        curves.append([epoch.metrics[key] for epoch in trained for key in ("train_loss", "val_loss", "val_top1")])
        assert (counters["inductor"]["cudagraph_recorded_non_static_inputs"] > 0) == (mode != "default")
        assert counters["inductor"]["cudagraph_skips"] == 0
    assert curves[1] == pytest.approx(curves[0], rel=0.02 if changed.get("precision") else 5e-3)


def test_the_memory_of_graphs_goes_back_between_trials() -> None:
    share, before = gpu.GpuShare.take(1.0), torch.cuda.memory_reserved()
    model = model_section("cnn", width=64, depth=2)
    switches = {"use_compile": True, "compile_mode": "reduce-overhead", "batch_size": 1024, "num_epochs": 2}
    list(train(make_recipe(model, **switches), make_store(num=4000, size=32), device="cuda"))
    held = torch.cuda.memory_reserved()
    share.give_back()
    assert torch.cuda.memory_reserved() - before <= gpu.WORKSPACE_BYTES < held - before


@pytest.mark.parametrize("name", ["vgg11_bn", "resnet18"])
def test_gradient_checkpointing_saves_memory(name: str) -> None:
    """A plain and a residual network: the peak of a pass over what was there before it."""

    def peak_bytes(use: bool) -> int:
        network = build_model(model_section(name), num_classes=10, in_channels=3, image_size=64, seed=0).cuda()
        if use:
            checkpoint_stages(network)
        x_NCHW = torch.randn(256, 3, 64, 64, device="cuda")
        for _ in range(2):  # the second finds gradients and workspaces there
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            network(x_NCHW).logsumexp(1).sum().backward()
        return torch.cuda.max_memory_allocated() - before

    assert peak_bytes(True) < 0.75 * peak_bytes(False)


def test_a_step_over_micro_batches_takes_less_memory() -> None:
    def peak_bytes(micro_batch: int) -> int:
        recipe = make_recipe(model_section("resnet18", stem="small"), batch_size=64, micro_batch=micro_batch)
        setup = set_up(recipe, make_store(num=200, size=32, channels=3), torch.device("cuda"))
        batches = setup.train_set.batches(setup.order(0, 1), setup.bounds, 1)
        setup.tail.train()
        x_NCHW, y_N = next(batches)
        for number in range(2):
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            setup.stepper.step(x_NCHW, y_N, 0.01, number)
        return torch.cuda.max_memory_allocated() - before

    assert peak_bytes(8) < 0.5 * peak_bytes(0)


def test_two_processes_fill_their_halves_beside_each_other() -> None:
    """The neighbour has all of its half; what is too large for the other half is too large by itself."""
    hold = "share = gpu.GpuShare.take(0.5); held = take(0.95 * share.limit_bytes)"
    with neighbour(hold):
        ended = run("""
            share = gpu.GpuShare.take(0.5)
            held = take(0.95 * share.limit_bytes)
            error = fails(0.1 * share.limit_bytes)
            assert gpu.is_out_of_memory(error), error
            assert share.was_whole()
            del held
            torch.cuda.empty_cache()
            again = take(0.95 * share.limit_bytes)
        """)
    assert ended.returncode == 0, ended.stderr


def test_the_next_trial_finds_the_pictures_on_the_gpu() -> None:
    """They are not there twice."""
    store, recipe = make_store(num=20_000, size=32, channels=3), make_recipe(batch_size=512)
    set_up(recipe, store, torch.device("cuda"))
    held = torch.cuda.memory_allocated()
    set_up(recipe, store, torch.device("cuda"))
    assert torch.cuda.memory_allocated() - held < store.images_NHWC.nbytes // 10
