"""A step, its batch and the pass for fresh statistics let no GPU wait, whatever the recipe says, and are what they are on a CPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from tiny import make_recipe, make_store, model_section
from torch.nn.modules.batchnorm import _BatchNorm

from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.spec.tables.optimizers import OPTIMIZERS
from visiontune.training.fresh_statistics import refresh_statistics, trained_norms
from visiontune.training.loop import train
from visiontune.training.setup import Setup, set_up

CNN = model_section("cnn", width=4, depth=1)
ADJUSTED = {"l1": 1e-5, "l2": 1e-4, "clip_norm": 1.0, "gradient_noise": 0.01, "ema_decay": 0.9}
MOVED = {"policy": "fixed", "PadAndCrop": {"probability": 1.0, "magnitude": 0.5}, "HorizontalFlip": {"probability": 0.5}}
RECIPES: dict[str, TrialRecipe] = {
    **{name: make_recipe(CNN, name, regularization={"clip_norm": 1.0}) for name in OPTIMIZERS.entries},
    **{mixing: make_recipe(CNN, augmentation={**MOVED, "mixing": mixing}) for mixing in ("mixup", "cutmix", "random_erasing")},
    **{name: make_recipe(CNN, optimizer_args={"sharpness": name}, micro_batch=8) for name in ("sam", "asam")},
    "lookahead": make_recipe(CNN, "adamw", optimizer_args={"slow_weights": "lookahead", "lookahead_steps": 2}),
    "penalties, noise, moving average": make_recipe(CNN, "adamw", regularization=ADJUSTED, precision="bf16"),
    "stochastic weight averaging": make_recipe(CNN, regularization={"swa_share": 0.5}),
    "decoupled decay, fp16": make_recipe(CNN, optimizer_args={"weight_decay": 0.01}, precision="fp16"),
    "class weights, smoothing": make_recipe(
        CNN, sections={"balance": {"class_weights": "effective_number"}, "loss": {"label_smoothing": 0.1}}, use_gradient_checkpointing=True
    ),
}


@contextmanager
def no_wait() -> Iterator[None]:
    """What makes the host wait for a GPU is an error inside; torch sees copies from pageable memory, item() and the like."""
    before = torch.cuda.get_sync_debug_mode() if torch.cuda.is_available() else 0
    if torch.cuda.is_available():
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        if torch.cuda.is_available():
            torch.cuda.set_sync_debug_mode(before)


def steps(setup: Setup, epoch: int) -> list[torch.Tensor]:
    setup.tail.train()
    batches = setup.train_set.batches(setup.order(0, epoch), setup.bounds, epoch)
    return [setup.stepper.step(x_NCHW, y_N, 0.01, number) for number, (x_NCHW, y_N) in enumerate(batches)]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU here")
def test_a_wait_is_seen() -> None:
    with no_wait(), pytest.raises(RuntimeError, match="synchronizing"):
        torch.ones(1, device="cuda").item()


@pytest.mark.parametrize("name", RECIPES)
def test_no_step_waits(device: str, name: str) -> None:
    """The second epoch, as the first one loads kernels and makes the optimizer's state."""
    setup = set_up(RECIPES[name], make_store(), torch.device(device))
    steps(setup, 1)
    with no_wait():
        losses = steps(setup, 2)
        setup.stepper.end_epoch(2)
        setup.stepper.exchange()
        refresh_statistics(setup.tail, setup.train_set.batches(setup.order(0, 0), setup.statistics_bounds, 2))
    assert torch.stack(losses).isfinite().all()


def test_statistics_are_the_cpus(device: str) -> None:
    """Of the same weights over the same pictures, taken twice, as every epoch takes them."""
    recipe, found = make_recipe(CNN), {}
    for where in ("cpu", device):
        setup = set_up(recipe, make_store(), torch.device(where))
        for _ in range(2):
            with setup.arithmetic.evaluating():  # torch's own default is TF32 in convolutions
                refresh_statistics(setup.tail, setup.train_set.batches(setup.order(0, 0), setup.statistics_bounds, 1))
        found[where] = [buffer.cpu().float() for norm in trained_norms(setup.tail) for buffer in norm.buffers()]
    assert len(found["cpu"]) == 3 * sum(isinstance(module, _BatchNorm) for module in setup.tail.modules()) > 0
    assert all(torch.allclose(one, other, rtol=1e-4, atol=1e-5) for one, other in zip(found["cpu"], found[device], strict=True))


@pytest.mark.parametrize("name", RECIPES)
def test_a_gpu_trains_as_a_cpu_does(name: str) -> None:
    """In fp32, and where nothing is drawn there. Updates that go by signs, or that are rounded to bf16 as Muon's, magnify last digits."""
    recipe = RECIPES[name]
    if recipe.training["precision"] != "fp32" or recipe.regularization["gradient_noise"]:
        pytest.skip("other digits are meant")
    there, here = (list(train(recipe, make_store(), device=device)) for device in ("cuda", "cpu"))
    for one, other in zip(there, here, strict=True):
        assert one.metrics["train_loss"] == pytest.approx(other.metrics["train_loss"], rel=0.05)


def test_rates_lie_on_the_gpu_where_kernels_read_them(device: str) -> None:
    """So that a CUDA graph would see them change."""
    setup = set_up(make_recipe(CNN, "adamw"), make_store(), torch.device(device))
    steps(setup, 1)
    state = setup.stepper.state_dict()["optimizer"]
    rates = [group["lr"] for group in state["param_groups"]]
    assert all(isinstance(lr, torch.Tensor) == (device == "cuda") for lr in rates)
    assert {one["step"].device.type for one in state["state"].values()} == {device}
