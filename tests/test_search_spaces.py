"""Every file that ships: it validates, its header says what it needs to, and what it samples can be built."""

from dataclasses import replace

import pytest
import torch
from places import SEARCH_SPACES
from tiny import make_store

from visiontune.spec.declarations.domains import RandomParams
from visiontune.spec.parse import load_recipe, load_study, make_recipe
from visiontune.spec.yaml.yaml_writer import dump_recipe

FILES = sorted(SEARCH_SPACES.glob("*.yaml"))
OFFLINE = {
    "transfer": ({"name": "resnet18"}, []),
    "finetune": (
        {"name": "timm", "model": "test_resnet"},
        ["data.image_size=32", "space.model={name: timm, model: test_resnet, dropout: auto, stochastic_depth: auto}"],
    ),
}
"""A small network of which weights are written here, and what else the file's command for such a case says."""
LOADS_TIMM = {"finetune"}
NUM_TRAINED = {"resnet_gpu": 4, "resnet_small": 8}
"""Their networks are large, and the same."""
CHANNELS = {"digits": 1, "parquet": 3}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_header_says_what_command_cost_and_what_to_expect(file):
    head = [line.partition(":")[0].lstrip("# ") for line in file.read_text().splitlines() if line.startswith("#")]
    assert [word for word in head if word in ("What", "Command", "Cost", "Asks", "Expect")] == ["What", "Command", "Cost", "Asks", "Expect"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_header_says_who_proposes_what_as_check_does(file):
    from visiontune.results.checks.search_forecast import proposals

    text = " ".join(line.lstrip("# ") for line in file.read_text().splitlines() if line.startswith("#"))
    assert f"Asks:    {proposals(load_study(file))}. Expect:" in text


@pytest.mark.parametrize(
    "file", [pytest.param(file, marks=pytest.mark.heavy) if file.stem in LOADS_TIMM else file for file in FILES], ids=lambda file: file.stem
)
def test_samples_round_trip_and_fit_the_pictures(file, tmp_path):
    from visiontune.augmentation.policy import problem_of as policy_problem
    from visiontune.models.shape_check import problem_of

    spec = load_study(file)
    channels = CHANNELS[spec.data["source"]]
    for number in range(5):  # twenty below
        recipe = make_recipe(spec, spec.space.resolve(RandomParams(number)), number)
        dump_recipe(recipe, tmp_path / "recipe.yaml")
        assert load_recipe(tmp_path / "recipe.yaml") == recipe
        size = spec.data["image_size"] or 32
        assert problem_of(recipe.model, num_classes=10, in_channels=channels, image_size=size) is None
        assert policy_problem(recipe.augmentation, channels) is None


@pytest.mark.heavy
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_samples_train_one_step(file, tmp_path):
    """Twenty recipes or a few, each set up as a worker does it, on made pictures of the file's shape."""
    from visiontune.training.setup import set_up

    spec = load_study(file, overrides_for(file, tmp_path))
    store = make_store(num=40, size=spec.data["image_size"] or 32, channels=CHANNELS[spec.data["source"]], num_classes=10)
    for number in range(NUM_TRAINED.get(file.stem, 20)):
        recipe = make_recipe(spec, spec.space.resolve(RandomParams(number)), number)
        recipe = replace(recipe, training={**recipe.training, "batch_size": 6})
        setup = set_up(recipe, store, torch.device("cpu"))
        x_NCHW, y_N = next(setup.train_set.batches(setup.order(0, 1), setup.bounds, 1))
        learned = [parameter for parameter in setup.tail.parameters() if parameter.requires_grad]
        before = [parameter.clone() for parameter in learned]
        setup.tail.train()
        assert setup.stepper.step(x_NCHW, y_N, lr=1e-3, number=0).isfinite()
        assert any(not torch.equal(old, new) for old, new in zip(before, learned, strict=True))


def test_what_is_meant_for_a_gpu_leaves_no_picture_to_its_cpu():
    """Every op of every policy has a form for the device, and what is mixed is mixed there anyway."""
    from visiontune.augmentation.policy import build_policy, on_device

    spec = load_study(SEARCH_SPACES / "resnet_gpu.yaml")
    drawn = [make_recipe(spec, spec.space.resolve(RandomParams(number)), number).augmentation for number in range(40)]
    assert {section["policy"] for section in drawn} == {"fixed", "trivialaugment", "randaugment"}
    for section in drawn:
        policy = build_policy(section, image_size=32, channels=3, num_epochs=81)
        assert policy is not None and on_device(policy).first is None


def overrides_for(file, folder):
    """Weights that can be had without a network connection, where the file names some."""
    if file.stem not in OFFLINE:
        return []
    from tiny import model_section

    from visiontune.models.build import build_model
    from visiontune.training.input.fit_preprocessing import fit_preprocessing
    from visiontune.training.weights_file import save_weights

    model, overrides = OFFLINE[file.stem]
    before = fit_preprocessing({"name": "standardize", "colour": "stored"}, make_store(channels=3))
    network = build_model(model_section(**model), num_classes=7, in_channels=3, image_size=64, seed=0)
    save_weights(network, folder / "weights.safetensors", preprocessing=before)
    return [f"space.transfer.weights={folder / 'weights.safetensors'}", *overrides]
