"""One trial on two GPUs, by nccl: one GPU's figures, synchronised batch normalisation and mixed pictures included."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny import make_recipe, model_section

from visiontune.data.prepare import prepare
from visiontune.data.store.store import Store
from visiontune.training.spawned_ranks import train_here


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="two GPUs are needed, one for each worker")
@pytest.mark.parametrize(
    "training", [{}, {"use_gradient_checkpointing": True}, {"precision": "bf16"}], ids=lambda one: next(iter(one), "fp32")
)
def test_two_gpus_train_as_one(training: dict[str, object], tmp_path: Path) -> None:
    mixed = {"policy": "fixed", "HorizontalFlip": {"probability": 0.5}, "mixing": "mixup"}
    recipe = make_recipe(
        model_section("cnn", width=8, depth=2), data={"source": "digits"}, augmentation=mixed, batch_size=32, num_epochs=2, **training
    )
    store = Store.open(prepare(recipe.data, tmp_path))
    one, two = (list(train_here(recipe, store, device="cuda", num_workers=num)) for num in (1, 2))
    for name in ("train_loss", "val_loss"):
        found, expected = ([epoch.metrics[name] for epoch in epochs] for epochs in (two, one))
        assert found == pytest.approx(expected, rel=0.05 if training.get("precision") else 2e-3)
