"""Pictures as the weights had them: torchvision's and timm's own transforms, and files of this package, say what is right."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tiny import make_recipe, make_store, model_section
from torch import Tensor

from visiontune.errors import UserError
from visiontune.spec.parse import load_recipe, load_study
from visiontune.spec.space.study_spec import completed
from visiontune.training.input.as_pretrained import as_pretrained, size_doubt, stated
from visiontune.training.input.fit_preprocessing import fit_preprocessing
from visiontune.training.input.preprocessing import Preprocessing
from visiontune.training.setup import set_up
from visiontune.training.weights_file import save_weights

SWAG = "ViT_B_16_Weights.IMAGENET1K_SWAG_E2E_V1"


def pictures_NHWC(size: int = 16, channels: int = 3) -> Tensor:
    return torch.from_numpy(make_store(size=size, channels=channels).images_NHWC[:4].copy())


def test_values_are_those_of_torchvisions_own_transforms() -> None:
    from torchvision.models import get_weight
    from torchvision.transforms.functional import normalize

    x_NHWC = pictures_NHWC()
    theirs = get_weight(SWAG).transforms()
    expected = normalize(x_NHWC.permute(0, 3, 1, 2) / 255, theirs.mean, theirs.std)
    found = as_pretrained(make_store(channels=3), 3, weights=SWAG)
    assert torch.allclose(found(x_NHWC).permute(0, 3, 1, 2), expected, atol=1e-5)
    assert size_doubt(SWAG, 384) is None
    assert "were trained on pictures of 384 px (bicubic), and these have 16; data.image_size=384" in (size_doubt(SWAG, 16) or "")


@pytest.mark.heavy
def test_values_are_those_of_timms_own_transforms() -> None:
    from timm import get_pretrained_cfg
    from timm.data import create_transform, resolve_data_config
    from torchvision.transforms import Normalize

    for weights in ("vit_tiny_patch16_224.augreg_in21k_ft_in1k", "resnet18.a1_in1k"):  # on halves, and on ImageNet's scale
        settings = resolve_data_config(pretrained_cfg=get_pretrained_cfg(weights).to_dict())
        theirs = next(one for one in create_transform(**settings).transforms if isinstance(one, Normalize))
        x_NHWC = pictures_NHWC()
        found = as_pretrained(make_store(channels=3), 3, weights=weights)
        assert torch.allclose(found(x_NHWC).permute(0, 3, 1, 2), theirs(x_NHWC.permute(0, 3, 1, 2) / 255), atol=1e-5)
    with pytest.raises(UserError, match=r"timm has no weights 'resnet18.a9_in1k'; nearest are"):
        stated("resnet18.a9_in1k")


@pytest.mark.parametrize("name", ["standardize", "center", "rescale"])
@pytest.mark.parametrize("size", [16, 24])
def test_a_file_of_ours_scales_pictures_of_any_size_as_it_did(name: str, size: int, tmp_path: Path) -> None:
    store = make_store(size=16, channels=3, seed=5)
    before = fit_preprocessing({"name": name, "colour": "stored"}, store)
    save_weights(torch.nn.Linear(1, 1), tmp_path / "w.safetensors", preprocessing=before)
    again = as_pretrained(make_store(size=size, channels=3), 3, weights=str(tmp_path / "w.safetensors"))
    x_NHWC = pictures_NHWC(size)
    wide = before.values if size == 16 else type(before.values)(*(t[:1].repeat(size, 1) for t in before.values.buffers()))
    assert torch.allclose(again(x_NHWC), wide(x_NHWC), atol=1e-6)
    assert (size_doubt(str(tmp_path / "w.safetensors"), size) is None) == (size == 16)


def test_a_whitening_fits_its_own_size_alone_and_a_bare_file_says_nothing(tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    store = make_store(size=8)
    before = fit_preprocessing({"name": "zca", "colour": "stored", "whitening_eps": 0.01}, store)
    save_weights(torch.nn.Linear(1, 1), file, preprocessing=before)
    assert Preprocessing(as_pretrained(store, 1, weights=str(file))).digest() == before.digest()
    with pytest.raises(UserError, match=r"whitened pictures of 8 x 8 x 1, .* write preprocessing: {name: standardize}"):
        as_pretrained(make_store(size=16), 1, weights=str(file))
    save_file({"weight": torch.zeros(1)}, file)
    with pytest.raises(UserError, match=r"do not say how .*; write preprocessing: {name: standardize}"):
        stated(str(file))
    scale = {"mean": [0.5, 0.4, 0.3], "std": [0.1, 0.2, 0.3], "input_size": [3, 32, 32], "interpolation": "bicubic"}
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "resnet18", "pretrained_cfg": scale}))  # as on the hub
    x_NHWC = pictures_NHWC(channels=1)
    grey = as_pretrained(make_store(), 1, weights=str(file))
    assert torch.allclose(grey(x_NHWC), (x_NHWC / 255 - 0.4) / 0.2, atol=1e-5)  # means over the channels


def test_it_is_the_default_of_a_file_with_weights_and_of_no_other(tmp_path: Path) -> None:
    save_weights(torch.nn.Linear(1, 1), tmp_path / "w.safetensors")
    study: dict[str, Any] = {"study": "s", "data": {"source": "digits"}, "budget": {"num_trials": 1, "max_epochs": 1}}
    space: dict[str, Any] = {"model": {"name": "lenet5"}, "optimizer": {"name": "sgd", "lr": 0.1}}
    weights = {"transfer": {"regime": {"choice": {"scratch": {}, "linear": {"weights": "w.safetensors"}}}}}
    plain, pretrained = (load_study({**study, "space": one}) for one in (space, {**space, **weights}))
    assert [one.space.corners("preprocessing")[0]["name"] for one in (plain, pretrained)] == ["standardize", "as_pretrained"]
    own = load_study({**study, "space": {**space, **weights, "preprocessing": {"name": "standardize"}}})
    older = {key: value for key, value in own.identity().items() if key != "space.preprocessing.name"}
    assert completed(older, own.identity()) == own.identity() != pretrained.identity()
    assert completed(older, pretrained.identity())["space.preprocessing.name"] == "standardize"

    recipe = {**make_recipe(data={"source": "digits"}).to_dict(), "transfer": {"regime": "linear", "weights": "w.safetensors"}}
    assert load_recipe(recipe).preprocessing["name"] == "standardize"  # a whole recipe says what it was
    assert load_recipe({key: one for key, one in recipe.items() if key != "preprocessing"}).preprocessing["name"] == "as_pretrained"


def test_a_trial_trains_on_pictures_as_its_weights_had_them(tmp_path: Path) -> None:
    from visiontune.models.build import build_model

    file, model = tmp_path / "w.safetensors", model_section("cnn", width=4)
    before = fit_preprocessing({"name": "standardize", "colour": "stored"}, make_store(seed=9))
    save_weights(build_model(model, num_classes=5, in_channels=1, image_size=16, seed=0), file, preprocessing=before)
    recipe = make_recipe(model, sections={"transfer": {"regime": "linear", "weights": str(file)}})
    recipe = replace(recipe, preprocessing={"name": "as_pretrained", "colour": "stored"})
    assert torch.allclose(set_up(recipe, make_store(), torch.device("cpu")).preprocessing.values.scale_WC, before.values.scale_WC)
