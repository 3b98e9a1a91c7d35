"""What comes back to the last bit: a training in another process, one that goes on from a checkpoint, the host's copy of a state."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from cuda_programs import run
from tiny import make_recipe, make_store, model_section
from torch.utils._pytree import tree_leaves

from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.training.checkpoint import load_newest, save
from visiontune.training.checkpoint_writer import CheckpointWriter, copied
from visiontune.training.loop import Epoch, train
from visiontune.training.setup import set_up

MOVED = {"policy": "fixed", "PadAndCrop": {"probability": 1.0, "magnitude": 0.5}, "Equalize": {"probability": 0.5}, "mixing": "mixup"}
RECIPES = {
    "sgd": make_recipe(model_section("resnet18", stem="small", width_factor=0.25), augmentation=MOVED, use_deterministic=True),
    "muon, averaged": make_recipe(
        model_section("cnn", width=8, depth=2, dropout=0.2),
        "muon",
        regularization={"ema_decay": 0.9},
        use_deterministic=True,
        precision="bf16",
    ),
    "sam": make_recipe(optimizer_args={"sharpness": "sam"}, use_deterministic=True, micro_batch=8),
    "schedule-free": make_recipe(model_section("cnn", width=8, depth=2), "schedule_free_adamw", use_deterministic=True),
}


def figures(epoch: Epoch) -> dict[str, float]:
    return {name: value for name, value in epoch.metrics.items() if name not in ("epoch_s", "data_wait_share")}


def weights_of(epoch: Epoch) -> list[str]:
    """A number for each tensor, in which every bit counts."""
    return [tensor.cpu().double().sum().item().hex() for tensor in epoch.model.state_dict().values()]


def trained(recipe: TrialRecipe, device: str) -> list[Any]:
    """Figures of every epoch, and the last one's weights, as JSON has them."""
    epochs = []
    for epoch in train(recipe, make_store(channels=3), device=device):
        epochs.append(figures(epoch))
        last = weights_of(epoch)
    return [*epochs, *last]


@pytest.mark.parametrize("device", [pytest.param("cpu", marks=pytest.mark.heavy), "cuda"])
def test_a_second_process_gives_the_same_bits(device: str, tmp_path: Path) -> None:
    """In which other trainings came before."""
    names = [*RECIPES] if device == "cuda" else ["sam"]
    ended = run(f"""
        import json, pathlib
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        import test_replay
        found = {{name: test_replay.trained(test_replay.RECIPES[name], {device!r}) for name in {names}}}
        pathlib.Path({str(tmp_path / "found")!r}).write_text(json.dumps(found))
    """)
    assert ended.returncode == 0, ended.stderr
    found = json.loads((tmp_path / "found").read_text())
    assert found == {name: trained(RECIPES[name], device) for name in reversed(names)}


@pytest.mark.parametrize("name", RECIPES)
def test_a_training_goes_on_from_its_checkpoint_as_if_it_had_not_ended(device: str, name: str, tmp_path: Path) -> None:
    recipe, store = RECIPES[name], make_store(channels=3)
    whole = []
    for epoch in train(recipe, store, device=device):
        whole.append(figures(epoch))
        if epoch.epoch == 1:
            with CheckpointWriter(tmp_path, every_s=1e6) as writer:
                writer.keep(1, epoch.state())
    assert [figures(epoch) for epoch in train(recipe, store, device=device, resume=load_newest(tmp_path))] == whole[1:]


def test_the_hosts_copy_is_of_the_moment_and_takes_its_memory_again(device: str, tmp_path: Path) -> None:
    """Training goes on at once, while a thread writes."""
    setup = set_up(make_recipe(model_section("resnet18", width_factor=0.25), "adamw"), make_store(), torch.device(device))

    def state() -> dict[str, Any]:
        return {"model": dict(setup.network.state_dict()), "stepper": setup.stepper.state_dict()}

    def step() -> None:
        setup.tail.train()
        x_NCHW, y_N = next(setup.train_set.batches(setup.order(0, 1), setup.bounds, 1))
        setup.stepper.step(x_NCHW, y_N, 0.1, 0)

    step()
    live = [one.detach().clone() for one in tree_leaves(state()) if isinstance(one, torch.Tensor)]
    copy = copied(state())
    step()
    tensors = [one for one in tree_leaves(copy) if isinstance(one, torch.Tensor)]
    assert all(torch.equal(one, other.cpu()) for one, other in zip(tensors, live, strict=True))
    assert {one.is_pinned() for one in tensors} == {device == "cuda"}
    places = [one.data_ptr() for one in tensors]
    again = [one for one in tree_leaves(copied(state(), copy)) if isinstance(one, torch.Tensor)]
    assert [one.data_ptr() for one in again] == places and not torch.equal(again[0], live[0].cpu())
    save(tmp_path, 1, {"model": copy["model"]})
    assert load_newest(tmp_path) is not None
