"""Networks by timm's and torchvision's own names: their logits, their groups of layers, their weights in the formats that both use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tiny import make_recipe, make_store, model_section
from torch import nn

from visiontune.errors import UserError
from visiontune.models.anatomy import anatomy_of, depth_of
from visiontune.models.build import build_model
from visiontune.models.frozen_body import split_network
from visiontune.models.pretrained import load_pretrained, read_weights
from visiontune.models.published_weights import weights_of
from visiontune.models.shape_check import problem_of
from visiontune.models.transfer import adapt, frozen_of, problem_of_transfer, train_mode

pytestmark = pytest.mark.heavy  # timm's import takes 3 s

VIT = {"embed_dim": 24, "depth": 3, "num_heads": 3, "patch_size": 8}
SIZES = {"num_classes": 3, "in_channels": 3, "image_size": 32}


def vit_section(**more: Any) -> dict[str, Any]:
    return model_section("timm", "published", model="vit_tiny_patch16_224", kwargs=VIT, **more)


def built(section: dict[str, Any], seed: int | None = 0, **sizes: int) -> nn.Module:
    return build_model(section, **{**SIZES, **sizes}, seed=seed).eval()


def pictures(channels: int = 3, size: int = 32) -> torch.Tensor:
    return torch.randn(2, channels, size, size, generator=torch.Generator().manual_seed(0))


def test_scores_are_those_of_timms_own_network_and_groups_follow_timms() -> None:
    from timm import create_model
    from timm.models import group_parameters

    ours = built(vit_section())
    theirs = create_model("vit_tiny_patch16_224", num_classes=3, img_size=32, **VIT).eval()
    theirs.load_state_dict(ours.state_dict())
    assert torch.equal(ours(pictures()), theirs(pictures()))
    for section in (vit_section(), *(model_section("timm", "published", model=f"test_{kind}") for kind in ("resnet", "efficientnet"))):
        network = built(section)
        groups = group_parameters(network, network.group_matcher(coarse=False))
        depth = depth_of(network)
        order = [depth[name] for layer in sorted(groups) for name in groups[layer]]
        assert order == sorted(order) and {*order} == {*range(len(anatomy_of(network).stages) + 1)}


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_convnext2", "mobilenetv4_conv_small_035", "regnetx_002"])
def test_a_chain_of_stages_can_be_cut_anywhere(name: str) -> None:
    network = built(model_section("timm", "published", model=name))
    assert anatomy_of(network).is_chain
    for num in range(1, len(anatomy_of(network).stages) + 1):
        body, tail = split_network(network, num)
        assert body is not None and torch.equal(tail.eval()(body(pictures())), network(pictures()))


@pytest.mark.parametrize(("model", "num_stages"), [("regnet_y_400mf", 5), ("swin_t", 8), ("vit_b_16", 12), ("efficientnet_v2_s", 8)])
def test_torchvisions_networks_have_their_named_children_as_stages(model: str, num_stages: int) -> None:
    section = model_section("torchvision", "published", model=model)
    assert problem_of(section, num_classes=3, in_channels=1, image_size=64) is None
    with torch.device("meta"):
        network = build_model(section, num_classes=3, in_channels=1, image_size=64)
    assert len(anatomy_of(network).stages) == num_stages
    assert not any(module.p for module in network.modules() if isinstance(module, nn.Dropout))


def test_tokens_are_frozen_with_the_first_stage_and_the_rest_learns(tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    save_file(built(vit_section(), seed=7, num_classes=5).state_dict(), file)
    network = adapt(built(vit_section()), {"regime": "freeze_first", "weights": str(file), "num_frozen": 1}, "vit", **SIZES)
    assert frozen_of(network) == 1 and split_network(network, 1) == (None, network)
    learned = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    assert not learned & {"cls_token", "pos_embed", "patch_embed.proj.weight"} and "blocks.1.attn.qkv.weight" in learned
    train_mode(network)
    assert not network.get_submodule("blocks.0").training and network.get_submodule("blocks.1").training


@pytest.mark.parametrize(
    ("section", "told"),
    [
        (model_section("timm", model="resnet19"), "timm has no model 'resnet19'; nearest (is|are) resnet18"),
        (model_section("timm", model="resnet18.a9_in1k"), "timm has no model 'resnet18.a9_in1k'; nearest (is|are) resnet18.a"),
        (model_section("torchvision", model="swin_b2"), "torchvision has no classifier 'swin_b2'; nearest (is|are) swin_b"),
        (model_section("timm", model="test_vit", kwargs={"depht": 2}), "timm's test_vit can't be built so: .*'depht'"),
        (model_section("timm", model="vgg11", stochastic_depth=0.1), r"'drop_path_rate' \(stochastic_depth\)"),
        (model_section("torchvision", model="resnet18", stochastic_depth=0.1), "resnet18 has no stochastic depth"),
        (model_section("timm", model="deit_tiny_distilled_patch16_224"), "no single linear classifier"),
        (model_section("torchvision", "prelu", model="resnet18"), "one activation in several places"),
        (vit_section(dropout=0.1, dropout_place="stages"), "nearest is head"),
    ],
)
def test_what_can_not_be_had_is_told_before_training(section: dict[str, Any], told: str) -> None:
    import re

    assert re.search(told, problem_of(section, num_classes=3, in_channels=1, image_size=32) or "")


def test_multi_depth_is_refused_for_tokens(tmp_path: Path) -> None:
    save_file(built(vit_section()).state_dict(), tmp_path / "w.safetensors")
    transfer = {"regime": "multi_depth", "num_depths": 2, "weights": str(tmp_path / "w.safetensors")}
    assert "multi_depth needs stages that hand on pictures" in (problem_of_transfer(transfer, vit_section(), **SIZES) or "")
    assert problem_of_transfer({**transfer, "regime": "linear"}, vit_section(), **SIZES) is None


@pytest.mark.parametrize("norm", ["batch", "group", "layer", "none"])
def test_norms_over_tokens(norm: str) -> None:
    assert problem_of(vit_section(norm=norm), num_classes=3, in_channels=1, image_size=32) is None
    assert built(vit_section(norm=norm))(pictures()).isfinite().all()


def test_timms_cache_fills_a_network_for_another_size_as_timm_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A safetensors file where the hub's client keeps it; position embeddings resampled by timm's own loader say what is right."""
    from huggingface_hub import constants
    from timm import create_model

    name = "test_vit.r160_in1k"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=rf"{name} exist, but can't be fetched here"):
        read_weights(name)
    commit = tmp_path / f"models--timm--{name}" / "snapshots" / ("0" * 40)
    commit.mkdir(parents=True)
    (commit.parents[1] / "refs").mkdir()
    (commit.parents[1] / "refs" / "main").write_text("0" * 40)
    save_file(create_model("test_vit").state_dict(), commit / "model.safetensors")
    theirs = create_model(name, pretrained=True, img_size=64, num_classes=3, in_chans=1).eval()
    section = model_section("timm", "published", model=name)
    weights = weights_of({"weights": "published"}, section)
    assert weights == name
    sizes = {"num_classes": 3, "in_channels": 1, "image_size": 64}
    assert problem_of_transfer({"regime": "linear", "weights": weights}, section, **sizes) is None
    ours = build_model(section, **sizes, seed=0)
    load_pretrained(ours, name, model_name=name)
    head = f"{anatomy_of(ours).head}."
    expected = {key: tensor for key, tensor in theirs.state_dict().items() if not key.startswith(head)}
    assert "pos_embed" in expected
    for key, tensor in expected.items():
        assert torch.allclose(ours.state_dict()[key], tensor, atol=1e-6), key


def test_torchvisions_cache_fills_its_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.models import squeezenet1_1

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    section = model_section("torchvision", "published", model="squeezenet1_1")
    weights = weights_of({"weights": "published"}, section) or ""
    source = squeezenet1_1().eval()
    file = tmp_path / "hub" / "checkpoints" / "squeezenet1_1-b8a52dc0.pth"
    file.parent.mkdir(parents=True)
    torch.save(source.state_dict(), file)
    network = built(section, num_classes=1000, image_size=64)
    load_pretrained(network, weights, model_name="squeezenet1_1")
    assert torch.allclose(network(pictures(size=64)), source(pictures(size=64)), atol=1e-5)


def test_torchvisions_transformer_takes_weights_of_another_size() -> None:
    from torchvision.models import VisionTransformer
    from torchvision.models.vision_transformer import interpolate_embeddings

    from visiontune.models.architectures.any_torchvision import fitted

    small, large = (VisionTransformer(size, 8, 1, 2, 16, 16, num_classes=3) for size in (32, 64))
    found = fitted(large, dict(small.state_dict()))
    large.load_state_dict(found)
    expected = interpolate_embeddings(64, 8, small.state_dict())["encoder.pos_embedding"]
    assert torch.equal(found["encoder.pos_embedding"], expected) and expected.shape == (1, 65, 16)


def test_it_trains_in_the_loop_and_resumes(tmp_path: Path) -> None:
    from visiontune.training.loop import train

    recipe = make_recipe(vit_section(stochastic_depth=0.1), "adamw", optimizer_args={"lr": 2e-3, "layer_decay": 0.7}, num_epochs=4)
    epochs = [*train(recipe, make_store(size=32))]
    assert epochs[-1].metrics["val_loss"] < epochs[0].metrics["val_loss"]


def test_list_has_timms_names(capsys: pytest.CaptureFixture[str]) -> None:
    from visiontune.cli.entry_point import main

    assert main(["list", "models", "--timm", "test_vit*"]) == 0
    assert "test_vit.r160_in1k" in capsys.readouterr().out
    assert main(["list", "models", "--timm", "tset_vit*"]) == 2
    assert "no model that matches" in capsys.readouterr().err
