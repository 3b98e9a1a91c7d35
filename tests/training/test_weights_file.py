"""Exported weights, read back by us and by the safetensors library itself."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from tiny import make_store, model_section
from torch import nn

from visiontune.errors import UserError
from visiontune.models.build import build_model
from visiontune.training.input.fit_preprocessing import fit_preprocessing
from visiontune.training.input.preprocessing import Preprocessing
from visiontune.training.weights_file import load_weights, save_weights, split_weights


def network(name: str = "cnn", seed: int = 0) -> nn.Module:
    section = model_section(name, "prelu", dropout=0.5)
    return build_model(section, num_classes=3, in_channels=3, image_size=16, seed=seed).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


@pytest.mark.parametrize("name", ["lenet5", "cnn"])
def test_round_trip(name: str, tmp_path: Path) -> None:
    trained, path = network(name), tmp_path / "new" / "winner.safetensors"
    trained(torch.randn(8, 3, 16, 16))  # moves the running statistics
    save_weights(trained, path, {"recipe.fingerprint": "abc"})
    fresh = network(name, seed=1)
    load_weights(fresh, path)
    x_NCHW = torch.randn(4, 3, 16, 16)
    assert torch.equal(fresh.eval()(x_NCHW), trained.eval()(x_NCHW))
    with safe_open(path, "pt") as file:
        assert file.metadata() == {"recipe.fingerprint": "abc"}
        assert {key: file.get_tensor(key).shape for key in file.keys()} == {key: t.shape for key, t in trained.state_dict().items()}  # noqa: SIM118
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "winner.safetensors"
    save_weights(network(), path)
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save_weights(network(seed=1), path)
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_what_does_not_fit_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "winner.safetensors"
    with pytest.raises(UserError, match="No such file"):
        load_weights(network(), path)
    save_weights(network("lenet5"), path)
    with pytest.raises(UserError, match=r"don't fit this network: Missing key\(s\) in state_dict: \"stage.* \(and 2 more\)$") as raised:
        load_weights(network("cnn"), path)
    assert "\n" not in str(raised.value)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(UserError, match="don't fit this network"):
        load_weights(network("lenet5"), path)


def test_a_file_carries_the_preprocessing_and_a_network_leaves_it_alone(tmp_path: Path) -> None:
    store, path = make_store(num=60, size=16, channels=3), tmp_path / "winner.safetensors"
    fitted = fit_preprocessing({"name": "zca", "colour": "stored", "whitening_eps": 0.1}, store)
    trained, fresh = network(), network(seed=1)
    save_weights(trained, path, preprocessing=fitted)
    load_weights(fresh, path)
    assert all(torch.equal(tensor, trained.state_dict()[name]) for name, tensor in fresh.state_dict().items())
    state, before = split_weights(load_file(path))
    assert set(state) == set(trained.state_dict()) and Preprocessing.of(before).digest() == fitted.digest()
