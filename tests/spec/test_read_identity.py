"""Identities back to specs: round trips over every file that ships, through JSON as a storage keeps it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from places import SEARCH_SPACES
from spec_files import BRANCHED, FULL, load

from visiontune.errors import Problem, UserError
from visiontune.spec.declarations.domains import RandomParams
from visiontune.spec.parse import load_study, make_recipe
from visiontune.spec.read_identity import spec_of_identity
from visiontune.spec.space.study_spec import StudySpec


def assert_round_trip(spec: StudySpec) -> None:
    kept = json.loads(json.dumps(spec.identity()))
    found = spec_of_identity(kept, spec.study, spec.budget.limits)
    assert found.identity() == spec.identity()
    assert (found.study, found.budget, found.objective, found.space.tree) == (spec.study, spec.budget, spec.objective, spec.space.tree)
    assert list(found.space.domains()) == list(spec.space.domains())
    for number in range(5):
        recipes = [make_recipe(one, one.space.resolve(RandomParams(number)), number) for one in (spec, found)]
        assert recipes[0] == recipes[1] and recipes[0].fingerprint == recipes[1].fingerprint


@pytest.mark.parametrize("file", sorted(SEARCH_SPACES.glob("*.yaml")), ids=lambda file: file.stem)
def test_a_file_that_ships_comes_back(file: Path) -> None:
    assert_round_trip(load_study(file))


def test_branches_steps_and_a_minimum_come_back(tmp_path: Path) -> None:
    for text in (FULL, BRANCHED):
        assert_round_trip(load(tmp_path, text))


def test_the_order_of_ops_comes_back(tmp_path: Path) -> None:
    """It decides what a policy does, and JSON's mappings keep it."""
    ops = "space.augmentation={{policy: fixed, {}: {{}}, {}: {{}}}}"
    one, other = (load(tmp_path, FULL, ops.format(*names)) for names in (("Affine", "HorizontalFlip"), ("HorizontalFlip", "Affine")))
    assert one.identity() != other.identity()
    assert_round_trip(one)
    assert_round_trip(other)


def test_what_an_identity_leaves_out_has_its_defaults(tmp_path: Path) -> None:
    spec = load(tmp_path, FULL)
    found = spec_of_identity(spec.identity())
    assert found.study == "study" and found.budget.limits == {"num_trials": 1}
    assert spec.confirm["num_seeds"] == 2 and found.confirm["num_seeds"] == 3


def test_an_identity_of_what_no_file_may_say_is_told_by_its_key(tmp_path: Path) -> None:
    identity = {**load(tmp_path, FULL).identity(), "sampler.name": "tpee"}
    with pytest.raises(UserError, match=r"sampler\.name.*nearest is 'tpe'"):
        spec_of_identity(identity)
    found = spec_of_identity(load(tmp_path, FULL).identity(), "mine")
    assert found.space.file == "study mine", "what later mistakes are said of"
    gone = found.placed(UserError(Problem("", 0, "data.path", "must be a folder, but there is no pictures")))
    assert str(gone) == "study mine: data.path: must be a folder, but there is no pictures"
