"""What the check says of a network is what building and running it for real says."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from subprocess import run as run_program
from typing import Any

import pytest
import torch
from places import PLATFORM
from torch import nn

from visiontune.models import shape_check
from visiontune.models.anatomy import mark
from visiontune.models.build import build_model
from visiontune.models.shape_check import num_parameters, problem_of, smallest_picture
from visiontune.spec.declarations.declare import Entry
from visiontune.spec.declarations.image_size import ImageSize, sides
from visiontune.spec.plugins import in_use, load_plugin
from visiontune.spec.space.sections import SPACE
from visiontune.spec.space.space import fill
from visiontune.spec.tables.models import MODELS
from visiontune.spec.tables.models_own import OWN_MODELS
from visiontune.spec.tables.models_zoo import ZOO_MODELS

SIZES = {"num_classes": 3, "in_channels": 1}


def section(name: str, **args: Any) -> dict[str, Any]:
    """A resolved model section with defaults."""
    return fill(SPACE.fields["model"].fields, {"name": name, **args})  # type: ignore[union-attr]


SECTIONS = [
    *(section("cnn", width=2, depth=depth, kernel_size=kernel) for depth in (1, 3, 5) for kernel in (1, 7)),
    section("cnn", width=4, depth=2, block="inception", down="stride", padding="valid"),
    section("cnn", width=2, depth=2, block="dense", head="flatten", num_hidden=4, dilation=2, padding="valid"),
    section("cnn", width=2, depth=2, block="residual", num_layers=2, stochastic_depth=0.5, padding="valid", down="mean"),
    section("lenet5"),
    section("zfnet", stem="small", width_factor=0.05),
    section("zfnet", stem="large", width_factor=0.05),
    section("nin", width_factor=0.05),
    section("wideresnet", depth=10, width=1),
]
BIG = ["alexnet", "vgg11_bn", "googlenet", "inception_v3", "inception_resnet_v2", "xception", "densenet121", "convnext_tiny"]


def said(model: dict[str, Any]) -> str:
    return "-".join(str(value) for key, value in model.items() if key in {"name", *MODELS.entries[model["name"]].args})


def runs(model: dict[str, Any], size: ImageSize, batch: int = 2) -> bool:
    try:
        with torch.no_grad():
            build_model(model, **SIZES, image_size=size, seed=0)(torch.randn(batch, 1, *sides(size)))
    except (RuntimeError, ValueError):
        return False
    return True


@pytest.mark.parametrize("model", SECTIONS, ids=said)
@pytest.mark.parametrize("size", [3, 4, 7, 8, 16, 31, 33, (4, 33), (33, 6), (17, 24)])
def test_agrees_with_a_real_run(model: dict[str, Any], size: ImageSize) -> None:
    assert (problem_of(model, **SIZES, image_size=size) is None) == runs(model, size)


@pytest.mark.parametrize("model", SECTIONS, ids=said)
def test_the_smallest_picture_runs_and_one_pixel_less_does_not(model: dict[str, Any]) -> None:
    smallest = smallest_picture(model, **SIZES)
    assert smallest is not None and runs(model, smallest) and (smallest == 1 or not runs(model, smallest - 1))


@pytest.mark.heavy
@pytest.mark.parametrize("name", BIG)
def test_the_smallest_picture_of_a_big_network_runs_and_one_pixel_less_does_not(name: str) -> None:
    smallest = smallest_picture(section(name), **SIZES)
    assert smallest is not None and runs(section(name), smallest) and not runs(section(name), smallest - 1)


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("name", "args", "smallest"),
    [("alexnet", {}, 63), ("vgg16", {}, 32), ("inception_v3", {"aux_weight": 0.0}, 75), ("inception_resnet_v2", {}, 75)],
)
def test_finds_what_the_libraries_document(name: str, args: dict[str, Any], smallest: int) -> None:
    assert smallest_picture(section(name, **args), num_classes=1000, in_channels=3) == smallest


@pytest.mark.heavy
@pytest.mark.parametrize("name", {**OWN_MODELS, **ZOO_MODELS})
def test_every_network_takes_the_pictures_that_it_was_made_for(name: str) -> None:
    for size in (299, (299, 330), (352, 299)):
        assert problem_of(section(name), num_classes=10, in_channels=3, image_size=size) is None, size


@pytest.mark.parametrize(("depth", "size", "smallest"), [(5, 16, 32), (5, 31, 32), (8, 20, 256), (3, 4, 8)])
def test_names_the_smallest_picture(depth: int, size: int, smallest: int) -> None:
    problem = problem_of(section("cnn", width=2, depth=depth), **SIZES, image_size=size)
    assert problem is not None and f"pictures of {size} px" in problem and problem.endswith(f"have {smallest} px")
    assert problem.startswith(f"cnn (width=2, depth={depth}) " if depth != 3 else "cnn (width=2) ")  # what differs from the defaults


def test_names_the_smallest_picture_of_that_shape() -> None:
    problem = problem_of(section("cnn", width=2, depth=5), **SIZES, image_size=(16, 24))
    assert problem is not None and "pictures of 16 x 24 px" in problem and problem.endswith("have 32 x 48 px")
    assert "square pictures only" in str(problem_of(section("torchvision", model="vit_b_16"), **SIZES, image_size=(32, 48)))


class Even(nn.Module):
    """A network that takes multiples of 8 alone."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(1, 3)

    def forward(self, x_NCHW: torch.Tensor) -> torch.Tensor:
        """Logits; an error for other sizes."""
        if x_NCHW.shape[-1] % 8:
            raise RuntimeError("not a multiple of 8")
        return self.fc(x_NCHW[:, :1, 0, 0])  # type: ignore[no-any-return]


def even(*, num_classes: int, in_channels: int, image_size: int) -> nn.Module:
    """Builder of the above."""
    return mark(Even(), stages=(), head="fc")


def test_does_not_call_a_size_the_smallest_where_larger_ones_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Entry, "load", lambda self: even)
    monkeypatch.setitem(MODELS.entries, "even", Entry("a stand-in"))  # type: ignore[attr-defined]
    problem = problem_of({"name": "even"}, **SIZES, image_size=12)
    assert problem is not None and "not every size works, but 24 px do" in problem and "smallest" not in problem


def test_tells_why_where_no_size_works() -> None:
    problem = problem_of(section("cnn", width=3, block="inception"), **SIZES, image_size=32)
    assert problem is not None and problem.endswith("an Inception block needs 4 filters or more, one for each branch, but has 3")


def test_batch_normalisation_with_a_batch_of_one_is_refused() -> None:
    sizes = {**SIZES, "image_size": 16}
    for name in ("cnn", "wideresnet"):
        problem = problem_of(section(name), **sizes, batch_size=1)
        assert problem is not None and "batch normalisation" in problem and "batches of one" in problem and "norm group or layer" in problem
        assert problem_of(section(name), **sizes, batch_size=2) is None
        assert problem_of(section(name, norm="group"), **sizes, batch_size=1) is None
    assert problem_of(section("lenet5"), **sizes, batch_size=1) is None
    assert problem_of(section("lenet5", norm="batch"), **sizes, batch_size=1) is not None
    with pytest.raises(ValueError, match="more than 1 value per channel"):  # torch's own rule for one pixel
        nn.BatchNorm2d(512)(torch.randn(1, 512, 1, 1))


def test_zero_gamma_without_residual_branches_is_refused() -> None:
    sizes = {**SIZES, "image_size": 16}
    assert "residual" in str(problem_of(section("cnn", use_zero_gamma=True), **sizes))
    assert problem_of(section("cnn", use_zero_gamma=True, block="residual"), **sizes) is None
    assert "residual" in str(problem_of(section("cnn", use_zero_gamma=True, block="residual", norm="none"), **sizes))


def test_leaves_random_numbers_alone() -> None:
    state = torch.get_rng_state()
    problem_of(section("cnn", width=3, depth=2), **SIZES, image_size=8)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.heavy
@pytest.mark.heavy
def test_costs_no_import_of_torchs_compiler() -> None:
    code = (
        "import sys; from visiontune.models.shape_check import problem_of; from visiontune.spec.space.space import fill; "
        "from visiontune.spec.space.sections import SPACE\n"
        "for args in ({'name': 'lenet5'}, {'name': 'nin'}, {'name': 'zfnet'}, {'name': 'wideresnet'}, {'name': 'resnet18'}, "
        "*({'name': 'cnn', 'block': block} for block in ('inception', 'residual', 'dense'))):\n"
        "  for batch in (1, 2):\n"
        "    problem_of(fill(SPACE.fields['model'].fields, args), num_classes=3, in_channels=1, image_size=16, batch_size=batch)\n"
        "print('torch._dynamo' in sys.modules)"
    )
    told = run_program([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PLATFORM).stdout.strip()
    assert told == "False"


def test_counts_parameters_without_memory() -> None:
    huge = section("cnn", width=512, depth=8, kernel_size=7)
    assert num_parameters(huge, num_classes=10, in_channels=3, image_size=256) > 10**11
    assert problem_of(huge, num_classes=10, in_channels=3, image_size=256) is None
    assert num_parameters(section("lenet5"), num_classes=10, in_channels=1, image_size=32) == 61_706


def test_shapes_alone_are_torchs_shapes() -> None:
    x, y = torch.randn(2, 3, 8, 8), torch.randn(3, 1, 8)
    for do in (
        lambda: x + y,
        lambda: y * x,
        lambda: 2 * x + 1,
        lambda: torch.cat([x, x[:, :1]], 1),
        lambda: torch.cat((x, x), dim=-1),
        lambda: nn.functional.avg_pool2d(x, 3, 2, 1, True, False),
        lambda: nn.AvgPool2d(3, ceil_mode=True)(x),
        lambda: nn.AdaptiveAvgPool2d((2, 3))(x),
        lambda: nn.Linear(8, 5)(x),
        lambda: nn.GELU()(x),
    ):
        with shape_check._ShapesOnly():
            alone = do()
        assert alone.shape == do().shape
    with shape_check._ShapesOnly(), pytest.raises(RuntimeError, match="sizes differ"):
        torch.cat([x, x[..., :2]], 1)


@pytest.mark.parametrize(("returned", "said"), [("nn.Flatten()", r"return mark\(network, "), ("None", "a NoneType, not a torch.nn.Module")])
def test_a_plugin_s_builder_that_gives_no_marked_network_is_told(returned: str, said: str, tmp_path: Path) -> None:
    net = f"def net(*, num_classes, in_channels, image_size):\n    return {returned}\n"
    start = "from torch import nn\nfrom visiontune.spec.declarations.declare import Entry\n"
    (tmp_path / "net.py").write_text(f"{start}{net}MODELS = {{'net': Entry('mine', net)}}\n")
    with in_use([load_plugin(tmp_path / "net.py").key]):
        assert re.search(said, problem_of(section("net"), num_classes=3, in_channels=3, image_size=8) or "")
        with pytest.raises(ValueError, match=said):
            build_model(section("net"), num_classes=3, in_channels=3, image_size=8)


def test_what_was_found_of_a_plugin_s_network_is_not_told_of_another_version(tmp_path: Path) -> None:
    """The same name and arguments, in one process: a file before and after its author mended it."""
    head = (
        "from torch import nn\nfrom visiontune.models.anatomy import mark\nfrom visiontune.spec.declarations.declare import Entry\n"
        "def net(*, num_classes, in_channels, image_size):\n"
        "    layers = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(in_channels + MORE, num_classes))\n"
        "    return mark(layers, stages=(('0', '1'),), head='2')\nMODELS = {'net': Entry('mine', net)}\n"
    )
    found = []
    for more in (1, 0):
        (tmp_path / "net.py").write_text(head.replace("MORE", str(more)))
        with in_use([load_plugin(tmp_path / "net.py").key]):
            found.append(problem_of(section("net"), num_classes=3, in_channels=3, image_size=8))
    assert found[0] is not None and found[1] is None


def test_a_name_that_the_network_has_not_is_told_by_mark() -> None:
    network = nn.Sequential()
    network.add_module("body", nn.Flatten())
    network.add_module("head", nn.Linear(4, 2))
    with pytest.raises(ValueError, match="marked with 'haed', but has no such module; nearest is head"):
        mark(network, stages=(("body",),), head="haed")
