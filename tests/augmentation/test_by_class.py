"""Policies of some classes: each picture is what its own class's policy alone would make of it, and no other picture changes."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from file_schema import VALIDATOR
from numpy.typing import NDArray
from ruamel.yaml import YAML
from tiny import make_recipe, make_store, section

from visiontune.augmentation.by_class import Classes
from visiontune.augmentation.export.policy_files import export_policy
from visiontune.augmentation.policy import build_policy, on_device
from visiontune.augmentation.preview_sheet import class_block
from visiontune.augmentation.sheet_pictures import draws_of, pick
from visiontune.errors import UserError
from visiontune.spec.declarations.domains import RandomParams
from visiontune.spec.parse import load_recipe, load_study
from visiontune.spec.parse import make_recipe as recipe_of_trial
from visiontune.spec.read_identity import spec_of_identity
from visiontune.spec.space.fit_recipe import fit_to_space
from visiontune.spec.yaml.yaml_writer import dump_recipe
from visiontune.training.input.fit_preprocessing import fit_preprocessing
from visiontune.training.input.open_splits import open_splits
from visiontune.training.ranks import ONE_RANK
from visiontune.training.recipe_rules import refuse_unfit

STORE = make_store(num=96, channels=3, num_classes=4)
CLASSES = Classes(STORE.class_names, STORE.labels_N)
OTHERS = [
    {"policy": "fixed", "HorizontalFlip": {"probability": 0.5}, "Affine": {"probability": 0.8}},
    {"policy": "soft_randaugment", "crop_magnitude": 0.5},
    {"policy": "trivialaugment", "flip_probability": 0.5},
    {"policy": "augmix"},
    {"policy": "none"},
]
FLIPPED = {"policy": "fixed", "VerticalFlip": {"probability": 0.5}, "Brightness": {"probability": 0.5}}
ITEMS = [{"classes": ["class1", "class3"], "policy": "none"}, {"classes": ["class2"], **FLIPPED}]
KEY_N = np.concatenate([np.arange(96), np.arange(96) + 96])  # each picture, and a further copy of it


def pictures(augmentation: dict[str, Any], key_N: NDArray[np.int64] = KEY_N, *, is_there: bool = False) -> NDArray[np.uint8]:
    policy = build_policy(section("augmentation", augmentation), image_size=16, channels=3, num_epochs=3, classes=CLASSES)
    images_NHWC = STORE.images_NHWC[key_N % 96]
    if policy is None or not is_there:
        return images_NHWC if policy is None else pickle.loads(pickle.dumps(policy))(images_NHWC, seed=3, epoch=2, index_N=key_N)
    there = on_device(policy).there
    assert there is not None
    return there(torch.from_numpy(images_NHWC), seed=3, epoch=2, index_N=key_N).numpy()


@pytest.mark.parametrize("is_there", [False, True], ids=["cpu", "device"])
@pytest.mark.parametrize("others", OTHERS, ids=[str(one["policy"]) for one in OTHERS])
def test_a_picture_gets_what_its_own_policy_alone_would_give_it(others: dict[str, Any], is_there: bool) -> None:
    got = pictures({**others, "by_class": ITEMS}, is_there=is_there)
    label_N = STORE.labels_N[KEY_N % 96]
    for labels, alone in (((0,), others), ((1, 3), {"policy": "none"}), ((2,), FLIPPED)):
        mine = np.isin(label_N, labels)
        off = np.abs(got[mine].astype(int) - pictures(alone, is_there=is_there)[mine])
        assert not off.any() or (
            is_there and others["policy"] == "augmix" and off.max() == 1 and (off > 0).mean() < 1e-3
        )  # its sums' last bits
    assert (got[label_N == 2] != STORE.images_NHWC[KEY_N % 96][label_N == 2]).any()
    if is_there:
        return
    some = np.random.default_rng(0).permutation(192)[:50]
    np.testing.assert_array_equal(pictures({**others, "by_class": ITEMS}, KEY_N[some]), got[some])


def test_a_device_leaves_to_the_cpu_what_it_lacks_class_by_class() -> None:
    embossed = {"policy": "fixed", "Emboss": {"probability": 1.0}, "HorizontalFlip": {"probability": 0.5}}
    items = [{"classes": ["class1"], **embossed}, {"classes": ["class2"], **FLIPPED}]
    augmentation = section("augmentation", {"policy": "soft_trivialaugment", "by_class": items})
    policy = build_policy(augmentation, image_size=16, channels=3, classes=CLASSES)
    assert policy is not None
    first, there, lacking = on_device(policy)
    assert first is not None and there is not None and lacking == first.names == ("Emboss",)
    key_N = np.flatnonzero(STORE.labels_N != 0)
    embossed_NHWC = first(STORE.images_NHWC[key_N], seed=1, epoch=1, index_N=key_N)
    done = there(torch.from_numpy(embossed_NHWC), seed=1, epoch=1, index_N=key_N).numpy()
    mine = STORE.labels_N[key_N] != 3
    np.testing.assert_array_equal(done[mine], policy(STORE.images_NHWC[key_N], seed=1, epoch=1, index_N=key_N)[mine])


def test_a_trial_trains_on_them() -> None:
    """After the crop, which all classes get; in the order of the split, whose places are not the store's."""
    recipe = make_recipe(augmentation={"crop": "random_resized", "policy": "none", "by_class": ITEMS})
    plain = make_recipe(augmentation={"crop": "random_resized", "policy": "none"})
    preprocessing = fit_preprocessing(recipe.preprocessing, STORE)
    opened = [open_splits(one, STORE, torch.device("cpu"), preprocessing, None, ONE_RANK)[0] for one in (recipe, plain)]
    order_N = np.arange(len(STORE.train_idx))
    ((got, y_N),), ((alone, _),) = (list(one.batches(order_N, [0, len(order_N)], 1)) for one in opened)
    changed_N = (got != alone).flatten(1).any(1)
    assert changed_N[y_N == 2].any() and not changed_N[y_N != 2].any()


FILE = """
study: letters
data: {source: digits}
budget: {num_trials: 2, max_epochs: 3}
space:
  model: {name: lenet5}
  optimizer: {name: sgd, lr: 0.1}
  augmentation:
    policy: {choice: {none: {}, fixed: {HorizontalFlip: {magnitude: 0.5}}}}
    by_class: BY_CLASS
""".replace("{magnitude: 0.5}", "{probability: {float: [0.1, 0.5]}}")
BY_CLASS = "[{classes: ['6', '9'], policy: none}, {classes: ['0'], policy: fixed, OPS}]"


def yaml_of(text: str) -> Any:
    return YAML(typ="safe").load(text)


def study(tmp_path: Path, by_class: str = BY_CLASS) -> Any:
    path = tmp_path / "space.yaml"
    path.write_text(FILE.replace("BY_CLASS", by_class))
    return load_study(path)


def test_it_is_kept_as_written_and_read_back(tmp_path: Path) -> None:
    spec, other = (
        study(tmp_path, BY_CLASS.replace("OPS", ops)) for ops in ("VerticalFlip: {}, Rotate: {}", "Rotate: {}, VerticalFlip: {}")
    )
    identity = json.loads(json.dumps(spec.identity()))
    assert spec_of_identity(identity).identity() == spec.identity() != other.identity()  # the order of ops counts
    one, two = (recipe_of_trial(each, each.space.resolve(RandomParams(0)), 0) for each in (spec, other))
    assert one.fingerprint != two.fingerprint
    dump_recipe(one, tmp_path / "recipe.yaml")
    read = load_recipe(tmp_path / "recipe.yaml")
    assert read == one and list(read.augmentation["by_class"][1]) == ["classes", "policy", "VerticalFlip", "Rotate"]
    said = fit_to_space(spec.space, {"augmentation.policy": "none", "augmentation.by_class": one.flat()["augmentation.by_class"]})
    assert said.num_moved == 0 and not said.said
    augmentation = {"by_class": read.augmentation["by_class"]}
    VALIDATOR.validate({**yaml_of(FILE), "space": {**yaml_of(FILE)["space"], "augmentation": augmentation}})


def test_a_recipe_without_it_is_the_one_of_before(tmp_path: Path) -> None:
    spec = study(tmp_path, "[]")
    assert "by_class" not in recipe_of_trial(spec, spec.space.resolve(RandomParams(0)), 0).augmentation
    assert not any("by_class" in key for key in make_recipe().flat())


@pytest.mark.parametrize(
    ("by_class", "rule"),
    [
        ("{6: {policy: none}}", "must be a list of mappings"),
        ("[{classes: [6], policy: none}]", "by_class[0].classes[0]: must be a string, but got 6; put it in quotes"),
        ("[{classes: ['6'], policy: nona}]", "nearest is 'none'"),
        ("[{classes: ['6'], policy: none, magnitude: 0.5}]", "by_class[0].magnitude: 'magnitude' is an argument of"),
        ("[{classes: ['6'], policy: fixed, Rotate: {magnitude: {float: [0, 1]}}}]", "in none of its lists"),
        ("[{clases: ['6'], policy: none}]", "nearest is 'classes'"),
    ],
)  # fmt: skip
def test_a_wrong_one_is_refused_when_read(tmp_path: Path, by_class: str, rule: str) -> None:
    with pytest.raises(UserError) as caught:
        study(tmp_path, by_class)
    assert rule in str(caught.value) and "space.yaml:10" in str(caught.value)


@pytest.mark.parametrize(
    ("items", "rule"),
    [
        ([{"classes": ["clas1"]}], "by_class[0].classes must name classes of the data, but got 'clas1'; nearest is 'class1'"),
        ([{"classes": ["class1"]}, {"classes": ["class2", "class1"]}], "by_class[1].classes: the class 'class1' stands in by_class[0]"),
        ([{"classes": []}], "must name at least one class; choices: class0, class1"),
        ([{"classes": ["class1"], "policy": "fixed", "Hue": {}}], "augmentation.by_class[0].Hue needs pictures with 3 channels"),
        ([{"classes": ["class1"], "policy": "fixed"}], "augmentation.by_class[0]: policy fixed must name at least one op"),
    ],
)
def test_what_does_not_fit_the_pictures_is_refused_before_training(items: list[dict[str, Any]], rule: str) -> None:
    with pytest.raises(UserError) as caught:
        refuse_unfit(make_recipe(augmentation={"by_class": items}), make_store().info)
    assert rule in str(caught.value)


def test_it_is_shown_and_not_exported() -> None:
    augmentation = section("augmentation", {"policy": "trivialaugment", "by_class": ITEMS})
    draws = draws_of(augmentation, 3)
    block = class_block(pick(STORE, 3), {("class1", "none"): draws, ("class2", "fixed"): draws})
    still, flipped = block.rows
    assert (still.label, flipped.label) == ("class1: none", "class2: fixed") and len(still.groups) == 4
    assert all(np.array_equal(group, still.groups[0]) for group in still.groups) and not np.array_equal(*flipped.groups[:2])
    with pytest.raises(UserError, match="by_class has others for some classes"):
        export_policy(augmentation, image_size=16, channels=3, num_epochs=3, suffix=".py")
