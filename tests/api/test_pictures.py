"""Pictures from Python: what an ingest found as tables and arrays, found again by name."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from picture_files import COLOUR
from source_files import tree

import visiontune
from visiontune.data.ingest import run_ingest


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    tree(tmp_path / "pets", {f"{('cat', 'dog')[number % 2]}/{number}.png": number for number in range(20)})
    (tmp_path / "pets" / "cat" / "empty.png").write_bytes(b"")
    return tmp_path / "pets"


def test_an_ingest_is_a_dataset(pets: Path, tmp_path: Path) -> None:
    data = visiontune.ingest(pets, name="pets", allow_bad=0.1, val_fraction=0.2, test_fraction=0.2, studies_dir=tmp_path, progress=False)
    assert data.class_names == ("cat", "dog") and data.counts.to_numpy().sum() == 20 and data.counts.loc["cat"].sum() == 10
    assert [*data.counts.columns] == ["train", "val", "test"] and data.verify() == []
    assert "cat/empty.png" in str(data) and "20 pictures of 2 classes" in str(data)
    assert {tuple(map(tuple, picture[0])) for picture in data.store.images_NHWC} == {tuple(map(tuple, one[0])) for one in COLOUR[:20]}
    again = visiontune.load_data("pets", studies_dir=tmp_path)
    assert again.path == data.path and np.array_equal(again.store.labels_N, data.store.labels_N)
    data.write_sheet(tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").stat().st_size > 1000
    with pytest.raises(visiontune.UserError, match=r"a sheet is a picture"):
        data.write_sheet(tmp_path / "sheet.txt")


def test_the_section_of_a_dataset_names_the_same_pictures_in_a_study(pets: Path, tmp_path: Path) -> None:
    data = visiontune.ingest(pets, allow_bad=0.1, studies_dir=tmp_path, progress=False)
    assert visiontune.ingest(data.section, studies_dir=tmp_path, progress=False).path == data.path
    recipe = {"data": data.section, "model": {"name": "lenet5"}, "optimizer": {"name": "sgd", "lr": 0.1}, "training": {"num_epochs": 1}}
    assert visiontune.fit(recipe, device="cpu", studies_dir=tmp_path).metrics["val_loss"] > 0


def test_a_process_that_is_killed_is_an_error_with_a_name(pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_ingest, "_FORK_PIXELS", 0)
    monkeypatch.setattr(run_ingest, "do_chunk", lambda *_: os._exit(1))
    with pytest.raises(visiontune.Died, match="most likely for want of memory"):
        visiontune.ingest(pets, allow_bad=0.1, studies_dir=tmp_path, progress=False)


def test_a_section_may_hold_what_python_has(pets: Path, tmp_path: Path) -> None:
    section = {"source": "folder", "path": pets, "allow_bad": np.float32(0.5), "image_size": np.int64(8), "seed": 1}
    data = visiontune.ingest(section, seed=np.int64(2), studies_dir=tmp_path, progress=False)
    assert (data.section["path"], data.section["image_size"], data.section["seed"]) == (str(pets), 8, 2)
    with pytest.raises(visiontune.UserError, match=r"values must be what YAML can say .*, but one is \{1\}"):
        visiontune.ingest({**section, "seed": {1}}, studies_dir=tmp_path)


def test_a_policy_is_drawn_and_exported(pets: Path, tmp_path: Path) -> None:
    import albumentations

    recipe = {
        "data": {"source": "folder", "path": str(pets), "allow_bad": 0.1},
        "model": {"name": "lenet5"},
        "optimizer": {"name": "sgd", "lr": 0.1},
        "augmentation": {"policy": "fixed", "HorizontalFlip": {"probability": 1.0}},
        "training": {"num_epochs": 1},
    }
    drawn = visiontune.preview(recipe, out=tmp_path / "policy.png", studies_dir=tmp_path)
    assert (tmp_path / "policy.png").exists() and "policy.png" in str(drawn)
    visiontune.export_policy(recipe, tmp_path / "policy.yaml")
    visiontune.export_policy(visiontune.load_recipe(recipe), tmp_path / "made.yaml")
    made = visiontune.preview(visiontune.load_recipe(recipe), out=tmp_path / "made.png", studies_dir=tmp_path)
    assert "of TrialRecipe, recipe " in (tmp_path / "made.yaml").read_text() and made.lines[:-1] == drawn.lines[:-1]
    policy = albumentations.load(tmp_path / "made.yaml", data_format="yaml")
    np.testing.assert_array_equal(policy(image=COLOUR[0])["image"], COLOUR[0][:, ::-1])
