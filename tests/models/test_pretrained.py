"""Weights from files and by name: everything fits and is equal, or one sentence says what does not."""

from __future__ import annotations

import io
import pickle
import re
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from safetensors.torch import save, save_file
from tiny import make_store, model_section
from torch import nn

from visiontune.errors import NotAtHand, UserError
from visiontune.models.build import build_model
from visiontune.models.pretrained import load_pretrained, mismatch, read_weights, shapes_of
from visiontune.spec.tables.models_zoo import ZOO_MODELS
from visiontune.training.input.as_pretrained import as_pretrained

SIZES = {"num_classes": 3, "in_channels": 3, "image_size": 16}


def built(seed: int = 0, name: str = "cnn", width: int = 4, **sizes: int) -> nn.Module:
    return build_model(model_section(name, width=width), **{**SIZES, **sizes}, seed=seed).eval()


def saved(network: nn.Module, path: Path, **extra: torch.Tensor) -> str:
    save_file({**network.state_dict(), **extra}, path)
    return str(path)


def problem_of(network: nn.Module, weights: str) -> str:
    with pytest.raises(UserError) as error:
        load_pretrained(network, weights, model_name="cnn")
    return str(error.value)


def test_a_file_fills_a_network_of_the_same_task(tmp_path: Path) -> None:
    source, network = built(1), built(2)
    extra = {"preprocessing.mean": torch.zeros(3), "aux1.fc.weight": torch.zeros(2, 2)}
    load_pretrained(network, saved(source, tmp_path / "w.safetensors", **extra), model_name="cnn")
    assert all(torch.equal(tensor, source.state_dict()[name]) for name, tensor in network.state_dict().items())


def test_the_head_is_left_out_for_other_classes_and_when_asked(tmp_path: Path) -> None:
    source = built(1, num_classes=5)
    file = saved(source, tmp_path / "w.safetensors")
    for network, use_head in ((built(2), True), (built(2, num_classes=5), False)):
        head = {name: tensor.clone() for name, tensor in network.state_dict().items() if name.startswith("fc.")}
        load_pretrained(network, file, model_name="cnn", use_head=use_head)
        state = network.state_dict()
        assert len(head) == 2 and all(torch.equal(state[name], tensor) for name, tensor in head.items())
        assert all(torch.equal(state[name], tensor) for name, tensor in source.state_dict().items() if not name.startswith("fc."))


@pytest.mark.parametrize("name", ["cnn", "lenet5"])
def test_grey_pictures_see_what_their_rgb_form_would(name: str, tmp_path: Path) -> None:
    colour, grey = built(1, name), built(2, name, in_channels=1)
    load_pretrained(grey, saved(colour, tmp_path / "w.safetensors"), model_name=name)
    x_NCHW = torch.randn(4, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(grey(x_NCHW), colour(x_NCHW.expand(4, 3, 16, 16)), atol=1e-5)


@pytest.mark.parametrize(("took", "has"), [(1, 3), (4, 3), (3, 2)])
def test_other_changes_of_channels_are_refused(took: int, has: int, tmp_path: Path) -> None:
    file = saved(built(in_channels=took), tmp_path / "w.safetensors")
    assert problem_of(built(in_channels=has), file).endswith(
        f"were trained on {took} channels and the pictures have {has}; only 3 can become 1"
    )


def test_names_and_shapes_that_differ_are_told_three_of_each(tmp_path: Path) -> None:
    network = nn.ModuleDict({key: nn.Linear(2, 2) for key in ("a", "b", "c", "fc")})
    network.anatomy = built().anatomy.__class__(stages=(("a",), ("b",), ("c",)), head="fc")
    fine = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    assert mismatch(network, {**fine, "fc.weight": (9, 2)}, "w", model_name="m") is None
    assert mismatch(network, {"z.bias": (2,), **{name: shape for name, shape in fine.items() if name[0] == "a"}}, "w", model_name="m") == (
        "the weights w are not of this m: they lack b.weight, b.bias, c.weight and 1 more; they have besides z.bias"
    )
    other = {name: (3, *shape[1:]) if name[0] in "bc" else shape for name, shape in fine.items()}
    assert mismatch(network, other, "w", model_name="m") == (
        "the weights w are not of this m: b.weight is 3 x 2 and should be 2 x 2, b.bias is 3 and should be 2, "
        "c.weight is 3 x 2 and should be 2 x 2 and 1 more"
    )
    assert mismatch(network, {**fine, "a.weight": (2, 3)}, "w", model_name="m") == (
        "the weights w are not of this m: a.weight is 2 x 3 and should be 2 x 2"
    )


def test_files_that_are_missing_damaged_or_pickles(tmp_path: Path) -> None:
    saved(built(), tmp_path / "good.safetensors")
    assert problem_of(built(), str(tmp_path / "god.safetensors")).endswith("god.safetensors; nearest is good.safetensors")
    (tmp_path / "bad.safetensors").write_bytes(b"not weights")
    assert "bad.safetensors can't be read" in problem_of(built(), str(tmp_path / "bad.safetensors"))
    torch.save(built().state_dict(), tmp_path / "w.pt")
    assert "weights in a file end in .safetensors" in problem_of(built(), str(tmp_path / "w.pt"))


def test_shapes_of_a_file_that_changed_are_read_again(tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    save_file({"a": torch.zeros(2, 3)}, file)
    assert shapes_of(str(file)) == {"a": (2, 3)}
    save_file({"a": torch.zeros(4)}, file)
    assert shapes_of(str(file)) == {"a": (4,)}


def test_files_without_counters_of_batches_load(tmp_path: Path) -> None:
    source, network = built(1), built(2)
    tensors = {name: tensor for name, tensor in source.state_dict().items() if "num_batches" not in name}
    assert len(tensors) < len(source.state_dict())
    save_file(tensors, tmp_path / "w.safetensors")
    load_pretrained(network, str(tmp_path / "w.safetensors"), model_name="cnn")
    assert all(torch.equal(network.state_dict()[name], tensor) for name, tensor in tensors.items())


# timm's names of what torchvision has not; "efficientnet" is B0 with factors.
TIMMS = {"inception_resnet_v2": "inception_resnet_v2", "xception": "legacy_xception"}


@pytest.mark.heavy
@pytest.mark.parametrize("name", [name for name in ZOO_MODELS if name != "efficientnet"])
def test_published_weights_have_the_names_and_shapes_of_our_network(name: str) -> None:
    import timm
    from torchvision.models import get_model

    args = {"aux_weight": 0.0} if "aux_weight" in ZOO_MODELS[name].args else {}
    with torch.device("meta"):
        published = timm.create_model(TIMMS[name]) if name in TIMMS else get_model(name, weights=None)
        ours = build_model(model_section(name, **args), num_classes=7, in_channels=1, image_size=299)
    shapes = {key: tuple(tensor.shape) for key, tensor in published.state_dict().items()}
    assert mismatch(ours, shapes, name, model_name=name) is None


@pytest.mark.heavy
def test_old_names_in_densenets_files(monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.models import densenet121
    from torchvision.models._api import WeightsEnum

    with torch.device("meta"):
        tensors = densenet121().state_dict()
    old = {re.sub(r"(layer\d+\.(?:norm|conv))([12])", r"\1.\2", name): tensor for name, tensor in tensors.items()}
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    monkeypatch.setattr(WeightsEnum, "get_state_dict", lambda *_, **__: old)
    assert read_weights("DenseNet121_Weights.IMAGENET1K_V1").keys() == tensors.keys()


@pytest.mark.heavy
def test_inception_v3_sees_pictures_as_torchvisions_does(monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.models import Inception3, get_weight
    from torchvision.models._api import WeightsEnum

    torch.manual_seed(0)
    source = Inception3(aux_logits=False, transform_input=True, init_weights=False)
    for module in source.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0  # statistics of one batch, so that signals are as strong as in a trained network
    source.train()(torch.randn(8, 3, 80, 80))
    source.eval()
    monkeypatch.setattr(WeightsEnum, "get_state_dict", lambda *_, **__: source.state_dict())
    ours = build_model(model_section("inception_v3", aux_weight=0.0), num_classes=1000, in_channels=3, image_size=80).eval()
    load_pretrained(ours, "Inception_V3_Weights.IMAGENET1K_V1", model_name="inception_v3")
    store = make_store(size=80, channels=3)
    stated = as_pretrained(store, 3, weights="Inception_V3_Weights.IMAGENET1K_V1")
    x_NHWC = torch.from_numpy(store.images_NHWC[:2].copy())
    imagenets = get_weight("Inception_V3_Weights.IMAGENET1K_V1").transforms()
    mean_C, std_C = torch.tensor(imagenets.mean), torch.tensor(imagenets.std)
    theirs_NCHW = ((x_NHWC / 255 - mean_C) / std_C).permute(0, 3, 1, 2)
    assert torch.allclose(ours(stated(x_NHWC).permute(0, 3, 1, 2)), source(theirs_NCHW), atol=0.02)  # scores near 2


@pytest.mark.heavy
def test_torchvisions_names_load_download_and_fail_clearly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.models import resnet18

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    name = "ResNet18_Weights.IMAGENET1K_V1"
    asked: list[str] = []

    def unreachable(url: str, *args: object, **kwargs: object) -> None:
        asked.append(url)
        raise URLError("no route to host")

    monkeypatch.setattr("torch.hub.download_url_to_file", unreachable)
    with pytest.raises(UserError, match=r"exist, but can't be fetched here .*no route to host.*safetensors file"):
        read_weights(name)
    assert len(asked) == 1 and asked[0].endswith(".pth")
    with pytest.raises(UserError, match=r"has no weights .*V9'; nearest (is|are) ResNet18_Weights"):
        read_weights("ResNet18_Weights.IMAGENET1K_V9")

    # What lies in torch's cache needs no server. torch checks the published digest at the download only.
    source = resnet18().eval()
    file = tmp_path / "hub" / "checkpoints" / asked[0].rpartition("/")[2]
    file.parent.mkdir(parents=True, exist_ok=True)
    torch.save(source.state_dict(), file)
    network = build_model(model_section("resnet18"), num_classes=1000, in_channels=3, image_size=64).eval()
    load_pretrained(network, name, model_name="resnet18")
    x_NCHW = torch.randn(2, 3, 64, 64)
    assert torch.allclose(network(x_NCHW), source(x_NCHW), atol=1e-5)


def content_of(kind: str, tensors: dict[str, torch.Tensor], *, as_pickle: bool) -> bytes:
    """A file in a library's cache as it should not be: of another network, broken off, empty, a page in its place, code."""
    buffer = io.BytesIO()
    torch.save([*tensors] if kind == "names" else tensors, buffer)
    whole = buffer.getvalue() if as_pickle else save(tensors)
    found = {"page": b"<html>no</html>", "code": pickle.dumps(print, protocol=2), "empty": b"", "half": whole[: len(whole) // 2]}
    return found.get(kind, whole)


UNUSABLE = [
    ("test_resnet.r160_in1k", "model.safetensors", "half", "can't be read (Error while deserializing header"),
    ("test_resnet.r160_in1k", "model.safetensors", "empty", "can't be read (Error while deserializing header"),
    ("test_resnet.r160_in1k", "model.safetensors", "other", "is of another network"),
    ("test_resnet.r160_in1k", "pytorch_model.bin", "half", "can't be read (PytorchStreamReader failed"),
    ("test_resnet.r160_in1k", "pytorch_model.bin", "empty", "can't be read (EOFError)"),
    ("test_resnet.r160_in1k", "pytorch_model.bin", "names", "can't be read (Expected state_dict to be dict-like"),
    ("legacy_seresnet18.in1k", "seresnet18-4bb0ce65.pth", "code", "is no file of tensors alone, and nothing else is opened"),
    ("legacy_seresnet18.in1k", "seresnet18-4bb0ce65.pth", "other", "is of another network"),
    ("ResNet18_Weights.IMAGENET1K_V1", "resnet18-f37072fd.pth", "code", "is no file of tensors alone, and nothing else is opened"),
    ("ResNet18_Weights.IMAGENET1K_V1", "resnet18-f37072fd.pth", "page", "is no file of tensors alone, and nothing else is opened"),
    ("ResNet18_Weights.IMAGENET1K_V1", "resnet18-f37072fd.pth", "names", "is no file of tensors alone, and nothing else is opened"),
    ("ResNet18_Weights.IMAGENET1K_V1", "resnet18-f37072fd.pth", "empty", "can't be read (EOFError)"),
]


@pytest.mark.heavy
@pytest.mark.parametrize(("name", "file", "kind", "fault"), UNUSABLE)
def test_a_copy_in_a_librarys_cache_that_can_not_be_used(
    name: str, file: str, kind: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No server helps as long as it lies there, so that is what is said; never torch's advice to open it without a guard."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    commit = tmp_path / f"models--timm--{name}" / "snapshots" / ("0" * 40)
    path = tmp_path / "hub" / "checkpoints" / file if file.endswith(".pth") else commit / file
    (commit.parents[1] / "refs").mkdir(parents=True)
    (commit.parents[1] / "refs" / "main").write_text("0" * 40)
    path.parent.mkdir(parents=True)
    path.write_bytes(content_of(kind, {"fc.weight": torch.zeros(2, 2)}, as_pickle=file != "model.safetensors"))
    with pytest.raises(NotAtHand) as error:
        read_weights(name)
    said, place = str(error.value), path if file.endswith(".pth") else commit.parents[1]
    assert f"the copy of the weights {name} that lies here {fault}" in said and f"; delete {place} to have" in said
    assert "\n" not in said and "weights_only" not in said


@pytest.mark.heavy
def test_timms_names_load_and_fail_clearly(monkeypatch: pytest.MonkeyPatch) -> None:
    import timm

    real = timm.create_model
    with pytest.raises(UserError, match=r"timm has no weights .*; nearest (is|are) resnet18"):
        read_weights("resnet18.a9_in1k")

    def unreachable(name: str, **_: object) -> nn.Module:
        raise OSError(f"no route to {name}")

    monkeypatch.setattr(timm, "create_model", unreachable)
    with pytest.raises(UserError, match=r"resnet18.a1_in1k exist, but can't be fetched here .*no route to resnet18"):
        read_weights("resnet18.a1_in1k")
    source = real("resnet18.a1_in1k", pretrained=False)
    monkeypatch.setattr(timm, "create_model", lambda name, pretrained: source)
    network = build_model(model_section("resnet18"), num_classes=10, in_channels=1, image_size=32)
    load_pretrained(network, "resnet18.a1_in1k", model_name="resnet18")  # timm names its ResNet's tensors as torchvision does
    assert torch.equal(network.get_submodule("conv1").weight, source.conv1.weight.sum(1, keepdim=True))
    assert torch.equal(network.get_submodule("layer4.1.conv2").weight, source.layer4[1].conv2.weight)
