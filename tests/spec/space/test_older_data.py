"""Studies, recipes and winners from before `data.frame` go on with the very pictures that they had."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from simulated_search import make_spec

from visiontune.data.picture.shape import to_shape
from visiontune.data.picture.stored_form import Form
from visiontune.data.prepare import prepare
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.spec.declarations.domains import RandomParams
from visiontune.spec.parse import load_recipe, make_recipe
from visiontune.spec.read_identity import spec_of_identity
from visiontune.spec.space.older_data import said_of_older, with_former_data
from visiontune.tuning.study.open_storage import create_or_resume

RECIPE = {"model": {"name": "lenet5"}, "optimizer": {"name": "sgd", "lr": 0.1}, "training": {"num_epochs": 1}}


@pytest.mark.parametrize("key", ["frame", "depth"])
def test_a_study_that_was_begun_without_the_key_goes_on_without_it(tmp_path: Path, key: str) -> None:
    folder, spec = StudyFolder(tmp_path), make_spec(tmp_path, 3)
    assert {"frame": "crop", "depth": "auto"}.items() <= spec.data.items()
    storage = create_or_resume(folder, spec)
    older = {name: value for name, value in storage.attributes()["identity"].items() if name != f"data.{key}"}
    storage.set_attribute("identity", older)
    identity = create_or_resume(folder, spec).attributes()["identity"]
    assert identity == older
    for begun in (with_former_data(spec, identity), spec_of_identity(identity, spec.study)):
        assert begun.data == {name: value for name, value in spec.data.items() if name != key}
        sections = begun.space.resolve(RandomParams(0))
        assert key not in make_recipe(begun, sections, 0).data
    assert with_former_data(spec, spec.identity()).data == spec.data


def test_what_an_older_study_goes_on_with_is_said(tmp_path: Path) -> None:
    """Near repeats were left out by default, and the keys were not there."""
    asked = make_spec(tmp_path, 3)
    asked = replace(asked, data={**asked.data, "source": "folder", "path": "pets", "image_size": 32})
    identity = {**asked.identity(), "data.duplicates": "drop"}
    begun = with_former_data(asked, {key: value for key, value in identity.items() if key not in ("data.frame", "data.depth")})
    assert [next(word for word in ("frame", "depth", "duplicates: drop") if word in one) for one in said_of_older(asked, begun)] == [
        "frame",
        "depth",
        "duplicates: drop",
    ]
    assert not [*said_of_older(asked, with_former_data(asked, asked.identity()))]


def test_a_recipe_that_was_written_whole_before_the_key_is_not_cropped(tmp_path: Path) -> None:
    """A short one, as people write it, has today's default."""
    short = load_recipe({**RECIPE, "data": {"source": "digits", "image_size": 12}})
    whole = short.to_dict()
    del whole["data"]["frame"]
    older = load_recipe(whole)
    assert short.data["frame"] == "crop" and "frame" not in older.data
    assert {**older.data, "frame": "crop"} == short.data


@pytest.mark.parametrize(("size", "digest"), [(12, "523cc48d9046e9c4"), (None, "5d26ee278d13143d")])
def test_the_store_of_before_is_found(tmp_path: Path, size: int | None, digest: str) -> None:
    """Digests as the version before made them."""
    older = {"source": "digits", "duplicates": "drop"}
    assert prepare({**older, "image_size": size}, tmp_path).stem == digest
    assert (prepare({**older, "image_size": size, "frame": "crop"}, tmp_path).stem == digest) == (size is None)


def test_weights_of_before_take_pictures_as_they_did() -> None:
    content = {"kind": "raw", "channels": 3, "is_resized": True, "reason": ""}
    picture = np.random.default_rng(0).integers(0, 256, (100, 300, 3), dtype=np.uint8)
    small, large = (Form.from_json({**content, "image_size": size, "stored_size": kept}) for size, kept in ((32, 32), (80, 88)))
    np.testing.assert_array_equal(small.apply(picture), to_shape(picture, (32, 32), 3, is_cropped=False))
    np.testing.assert_array_equal(large.apply(picture), to_shape(picture, (88, 88), 3, is_cropped=True))
