"""A training for a file of weights that is broken off: the same call goes on, to the same weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny import make_recipe

from visiontune.errors import UserError
from visiontune.filesystem.checkpoint_files import Attempt
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.training import kept_training
from visiontune.training.loop import Epoch
from visiontune.training.train_recipe import fit_recipe

DIGITS = {"source": "digits", "val_fraction": 0.1, "test_fraction": 0.1, "seed": 0, "image_size": None, "max_pictures": 200}


def recipe(**training: int) -> TrialRecipe:
    return make_recipe(None, "sgd", "cosine", data=DIGITS, num_epochs=5, batch_size=32, **training)


def ends_after(last: int) -> Callable[[Epoch], None]:
    def told(epoch: Epoch) -> None:
        if epoch.epoch == last:
            raise KeyboardInterrupt

    return told


@pytest.mark.parametrize(("every_s", "known"), [(60.0, 3), (0.0, 3)])
def test_it_goes_on_after_the_last_checkpoint(every_s: float, known: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupted, with nothing on the disk before; and with each epoch there, as a kill finds them."""
    monkeypatch.setattr(kept_training, "EVERY_S", every_s)
    cache, out, whole = tmp_path / "cache", tmp_path / "net.safetensors", tmp_path / "whole.safetensors"
    fit_recipe(recipe(), cache, device="cpu", out=whole)
    with pytest.raises(KeyboardInterrupt):
        fit_recipe(recipe(), cache, device="cpu", out=out, on_epoch=ends_after(known))
    assert not out.exists()
    epochs: list[int] = []
    said: list[str] = []
    fit_recipe(recipe(), cache, device="cpu", out=out, on_epoch=lambda epoch: epochs.append(epoch.epoch), say=said.append)
    assert epochs == [4, 5] and said[-1] == f"training: goes on after epoch {known}, from {out}.checkpoints"
    found, wanted = load_file(out), load_file(whole)
    assert found.keys() == wanted.keys() and all(torch.equal(found[name], wanted[name]) for name in wanted)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "net.safetensors", "whole.safetensors"]


def test_another_recipe_or_other_pictures_begin_anew(tmp_path: Path) -> None:
    out, epochs = tmp_path / "net.safetensors", list[int]()
    with pytest.raises(KeyboardInterrupt):
        fit_recipe(recipe(), tmp_path / "cache", device="cpu", out=out, on_epoch=ends_after(3))
    fit_recipe(recipe(seed=1), tmp_path / "cache", device="cpu", out=out, on_epoch=lambda epoch: epochs.append(epoch.epoch))
    assert epochs == [1, 2, 3, 4, 5]


def test_two_for_one_file_and_a_disk_that_takes_nothing_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_training, "EVERY_S", 0.0)
    out = tmp_path / "net.safetensors"

    def overtaken(epoch: Epoch) -> None:
        (folder,) = (tmp_path / "net.safetensors.checkpoints").iterdir()
        Attempt.claim(folder)

    with pytest.raises(UserError, match=r"another process trains for .*net\.safetensors by now; give this one another file"):
        fit_recipe(recipe(), tmp_path / "cache", device="cpu", out=out, on_epoch=overtaken)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("visiontune.training.checkpoint_writer.save", full)
    with pytest.raises(UserError, match=r"a checkpoint can't be written to .*net\.safetensors\.checkpoints: No space left on device"):
        fit_recipe(recipe(seed=1), tmp_path / "cache", device="cpu", out=out)
