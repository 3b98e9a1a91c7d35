"""What preprocessing is fitted on, what of it is kept, and what can't be had."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import make_store

from visiontune.data.store.store import Store
from visiontune.errors import UserError
from visiontune.spec.tables.preprocessings import PREPROCESSINGS
from visiontune.training.input import fit_preprocessing as module
from visiontune.training.input.fit_preprocessing import fit_preprocessing, problem_of_preprocessing
from visiontune.training.input.preprocessing import Preprocessing


def fit(store: Store, name: str, colour: str = "stored", eps: float = 0.01) -> Preprocessing:
    return fit_preprocessing({"name": name, "colour": colour, "whitening_eps": eps}, store)


@pytest.mark.parametrize("name", PREPROCESSINGS.entries)
@pytest.mark.parametrize("colour", ["stored", "grey"])
def test_only_the_training_split_is_looked_at(name: str, colour: str, tmp_path: Path) -> None:
    store = make_store(num=120, size=5, channels=3)
    images_NHWC = store.images_NHWC.copy()
    images_NHWC[np.concatenate([store.val_idx, store.test_idx])] = 255
    others = replace(store, images_NHWC=images_NHWC)
    a, b = fit(store, name, colour).state_dict(), fit(others, name, colour).state_dict()
    assert all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize(("name", "colour"), [("zca", "stored"), ("pca_whitening", "rgb"), ("standardize", "grey")])
def test_what_is_fitted_is_kept_beside_the_store(name: str, colour: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = replace(make_store(num=120, size=5, channels=3), path=tmp_path / "abc.arrow")
    store.path.touch()
    first = fit(store, name, colour)
    assert len(list(tmp_path.glob("abc.*.safetensors"))) == 1 and not list(tmp_path.glob("*.tmp"))

    with monkeypatch.context() as patch:
        patch.setattr(module, "_training_pictures", lambda *_: pytest.fail("fitted again"))
        again = fit(store, name, colour)
        fit(store, name, colour, eps=0.5)  # one fit serves every eps
    assert again.digest() == first.digest()

    (kept,) = tmp_path.glob("abc.*.safetensors")
    kept.write_bytes(kept.read_bytes()[:-10])
    assert fit(store, name, colour).digest() == first.digest()
    assert fit(store, name, colour).digest() == first.digest()


def test_a_folder_that_cannot_be_written_costs_only_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> Any:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    store = replace(make_store(num=60, size=4), path=tmp_path / "abc.arrow")
    store.path.touch()
    monkeypatch.setattr(module, "save_tensors", refused)
    monkeypatch.setattr(module, "locked", refused)
    assert fit(store, "zca").digest() == fit(replace(store, path=Path("made")), "zca").digest()
    assert [path.name for path in tmp_path.iterdir()] == ["abc.arrow"]


@pytest.mark.parametrize(
    ("size", "channels", "colour", "works"), [(65, 1, "stored", 64), (37, 3, "stored", 36), (37, 1, "rgb", 36), (65, 3, "grey", 64)]
)
def test_pictures_too_large_to_whiten_are_refused_with_what_works(size: int, channels: int, colour: str, works: int) -> None:
    section = {"name": "zca", "colour": colour, "whitening_eps": 0.1}
    problem = problem_of_preprocessing(section, image_size=size, channels=channels)
    assert problem is not None and "at most 4,096 values" in problem and problem.endswith(f"have {works} px")
    assert problem_of_preprocessing(section, image_size=works, channels=channels) is None
    assert problem_of_preprocessing({**section, "name": "center"}, image_size=size, channels=channels) is None
    with pytest.raises(UserError, match="at most 4,096"):
        fit_preprocessing(section, make_store(num=10, size=size, channels=channels))
