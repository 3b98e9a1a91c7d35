"""Every file that ships: it validates, its header says what it needs to, and what it samples can be built."""

from pathlib import Path

import pytest

from visiontune.spec.domains import RandomParams
from visiontune.spec.parse import load_recipe, load_study, make_recipe
from visiontune.spec.write import dump_recipe

FILES = sorted((Path(__file__).parents[1] / "search_spaces").glob("*.yaml"))
CHANNELS = {"digits": 1, "parquet": 3}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_header_says_what_command_cost_and_what_to_expect(file):
    head = [line.partition(":")[0].lstrip("# ") for line in file.read_text().splitlines() if line.startswith("#")]
    assert [word for word in head if word in ("What", "Command", "Cost", "Expect")] == ["What", "Command", "Cost", "Expect"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_samples_round_trip_and_fit_the_pictures(file, tmp_path):
    from visiontune.augmentation.policy import problem_of as policy_problem
    from visiontune.models.check import problem_of

    spec = load_study(file)
    channels = CHANNELS[spec.data["source"]]
    for number in range(50):
        recipe = make_recipe(spec, spec.space.resolve(RandomParams(number)), number)
        dump_recipe(recipe, tmp_path / "recipe.yaml")
        assert load_recipe(tmp_path / "recipe.yaml") == recipe
        size = spec.data["image_size"] or 32
        assert problem_of(recipe.model, num_classes=10, in_channels=channels, image_size=size) is None
        assert policy_problem(recipe.augmentation, channels) is None
