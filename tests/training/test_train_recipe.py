"""One recipe from the digits to a test figure, and the devices that can be asked for."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from opened_splits import ON_CPU
from safetensors.torch import load_file
from tiny import make_recipe, model_section
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook

from visiontune.data.prepare import prepare
from visiontune.data.store.store import Store
from visiontune.errors import UserError
from visiontune.models.build import build_model
from visiontune.training import less_memory, train_recipe
from visiontune.training.checkpoint_writer import copied
from visiontune.training.evaluate import evaluate
from visiontune.training.input.preprocessing import Preprocessing
from visiontune.training.loop import Epoch
from visiontune.training.train_recipe import find_device, fit_recipe
from visiontune.training.weights_file import load_weights, split_weights

DIGITS = {"source": "digits", "val_fraction": 0.1, "test_fraction": 0.1, "seed": 0, "image_size": None, "max_pictures": None}


def test_digits_from_pictures_to_weights(tmp_path: Path) -> None:
    recipe = make_recipe(None, "sgd", "cosine", data=DIGITS, optimizer_args={"lr": 0.05}, num_epochs=4, batch_size=32)
    epochs: list[Epoch] = []
    result = fit_recipe(
        recipe, tmp_path / "cache", device="cpu", out=tmp_path / "weights.safetensors", test_time="flip", on_epoch=epochs.append
    )
    assert [epoch.epoch for epoch in epochs] == [1, 2, 3, 4]
    assert result.metrics["test_top1"] > 0.9  # LeNet-5 on 8 px digits; a linear model comes to about .95
    assert result.metrics["test_top1_flip"] < result.metrics["test_top1"]  # a mirrored 2 is none
    assert result.metrics["val_loss"] == epochs[-1].metrics["val_loss"]

    network = build_model(model_section(), num_classes=10, in_channels=1, image_size=8)
    load_weights(network, tmp_path / "weights.safetensors")
    before = Preprocessing.of(split_weights(load_file(tmp_path / "weights.safetensors"))[1])
    store = Store.open(prepare(DIGITS, tmp_path / "cache"))
    again = evaluate(network, store, "test", preprocessing=before, arithmetic=ON_CPU, batch_size=32)
    assert {f"test_{name}": value for name, value in again.items()}.items() < result.metrics.items()

    table = result.classes
    assert table.classes == store.class_names and table.support == tuple(np.bincount(store.labels_N[store.test_idx]))
    assert result.metrics["test_top1"] == pytest.approx(np.trace(table.confusion) / len(store.test_idx))
    assert result.metrics["test_macro_recall"] == pytest.approx(np.mean(table.recall), rel=1e-5)


@contextmanager
def room_for(num: int, num_steps: int = 0) -> Iterator[None]:
    """Memory in which a convolution has no more than so many pictures, once it has had `num_steps` passes of others."""
    passes = count()

    def allocate(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if isinstance(module, nn.Conv2d) and module.training and len(inputs[0]) > num and next(passes) >= num_steps:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 23.64 GiB")

    handle = register_module_forward_pre_hook(allocate)
    try:
        yield
    finally:
        handle.remove()


@pytest.mark.parametrize(("num_steps", "since"), [(0, "begins again"), (110, "goes on after epoch 1")])  # 44 steps of two convolutions
def test_out_of_memory_halves_the_micro_batch_once_and_says_so(
    num_steps: int, since: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """LeNet-5 has no batch normalisation: the curve is that of an undisturbed training."""
    recipe, seen = make_recipe(data=DIGITS, optimizer_args={"lr": 0.05}, num_epochs=3, batch_size=32), list[Epoch]()
    undisturbed = [epoch.metrics["train_loss"] for epoch in train_recipe.train_recipe(recipe, tmp_path, device="cpu")]
    with room_for(16, num_steps):
        fit_recipe(recipe, tmp_path, device="cpu", on_epoch=seen.append)
    assert [epoch.epoch for epoch in seen] == [1, 2, 3] and {epoch.num_at_once for epoch in seen[1:]} == {16}
    assert [epoch.metrics["train_loss"] for epoch in seen] == pytest.approx(undisturbed, rel=0.02)
    [told] = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert told.startswith(f"32 pictures at a time do not fit in memory: training {since} with training.micro_batch: 16 (CUDA out of")


def test_a_copy_that_runs_out_of_memory_is_of_two_epochs_and_is_not_gone_on_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one, written over the first, breaks off after its weights: the training begins again, and no epoch is told twice."""
    recipe = make_recipe(data=DIGITS, optimizer_args={"lr": 0.05}, num_epochs=3, batch_size=32)
    undisturbed = [epoch.metrics["train_loss"] for epoch in train_recipe.train_recipe(recipe, tmp_path, device="cpu")]
    copies = count(1)

    def copied_in_part(state: Any, old: Any = None) -> Any:
        if next(copies) == 2:
            copied({"model": state["model"]}, old)
            raise MemoryError("can't allocate memory")
        return copied(state, old)

    monkeypatch.setattr(less_memory, "copied", copied_in_part)
    found = [(epoch.epoch, epoch.metrics["train_loss"]) for epoch in train_recipe.train_recipe(recipe, tmp_path, device="cpu")]
    assert [number for number, _ in found] == [1, 2, 3]
    assert [loss for _, loss in found] == pytest.approx(undisturbed, rel=0.02)


@pytest.mark.parametrize(("training", "num"), [({"batch_size": 32}, 16), ({"batch_size": 8, "micro_batch": 2}, 2)])
def test_out_of_memory_again_is_told_with_what_there_was(training: dict[str, int], num: int, tmp_path: Path) -> None:
    with room_for(1), pytest.raises(UserError, match=rf"^not even {num} pictures at a time .*allocate 2\.00 GiB.* 23\.64 GiB\); nearest"):
        fit_recipe(make_recipe(data=DIGITS, **training), tmp_path, device="cpu")


@pytest.mark.parametrize("early_stop_epochs", [0, 1])
def test_weights_that_are_written_are_those_that_were_measured(early_stop_epochs: int, tmp_path: Path) -> None:
    """With averages the network holds others between two epochs; training ends at its full length or before."""
    out, regularization = tmp_path / "weights.safetensors", {"ema_decay": 0.9, "early_stop_epochs": early_stop_epochs}
    lr = {"lr": 0.05} if early_stop_epochs == 0 else {"lr": 0.8, "momentum": 0.95}
    recipe = make_recipe(data=DIGITS, optimizer_args=lr, regularization=regularization, num_epochs=6, batch_size=32)
    num: list[int] = []
    result = fit_recipe(recipe, tmp_path / "cache", device="cpu", out=out, on_epoch=lambda epoch: num.append(epoch.epoch))
    assert (len(num) < 6) == (early_stop_epochs > 0)
    network = build_model(model_section(), num_classes=10, in_channels=1, image_size=8)
    load_weights(network, out)
    before = Preprocessing.of(split_weights(load_file(out))[1])
    store = Store.open(prepare(DIGITS, tmp_path / "cache"))
    for split, name in (("val", "val_loss"), ("test", "test_loss")):
        again = evaluate(network, store, split, preprocessing=before, arithmetic=ON_CPU, batch_size=32, use_full_metrics=False)
        assert again["loss"] == result.metrics[name]


def test_devices() -> None:
    assert find_device("cpu") == "cpu"
    assert find_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(UserError, match="nearest is 'cuda'"):
        find_device("cudda")


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what happens without a GPU")
def test_a_gpu_that_is_not_there() -> None:
    with pytest.raises(UserError, match="needs a GPU"):
        find_device("cuda")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("w.pt", "nearest is 'w.safetensors'"),
        ("file/w.safetensors", "a folder that can be written, but .*file/w.safetensors: File exists"),
        ("w" * 300 + ".safetensors", "File name too long"),
        ("/proc/w.safetensors", "a folder that can be written, but /proc/w.safetensors: No such file"),
        ("folder.safetensors", "are a file, but .*/folder.safetensors is a folder"),
    ],
)
def test_weights_that_can_not_be_written_are_told_before_the_training(name: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder.safetensors").mkdir()
    with pytest.raises(UserError, match=told):
        fit_recipe(make_recipe(data=DIGITS), tmp_path / "cache", device="cpu", out=tmp_path / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.safetensors"]


def test_a_disk_that_fills_up_while_it_is_trained_is_told_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(train_recipe, "save_weights", full)
    with pytest.raises(UserError, match=r"w\.safetensors: No space left on device"):
        fit_recipe(make_recipe(data=DIGITS, num_epochs=1), tmp_path / "cache", device="cpu", out=tmp_path / "w.safetensors")
