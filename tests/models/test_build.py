"""Every entry of MODELS, ACTIVATIONS, NORMS and INITS is what its row declares and works; what build_model puts where."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections import OrderedDict
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import nn

from visiontune.models.activation import ACTIVATION_TYPES
from visiontune.models.anatomy import anatomy_of
from visiontune.models.build import build_model, swap
from visiontune.spec.declarations.declare import REQUIRED, Arg, Entry, Section, Table
from visiontune.spec.parse import load_model
from visiontune.spec.plugins import in_use, load_plugin
from visiontune.spec.space.sections import SPACE
from visiontune.spec.space.space import fill
from visiontune.spec.tables.activations import ACTIVATIONS, NORMS
from visiontune.spec.tables.inits import INITS
from visiontune.spec.tables.models import MODELS
from visiontune.spec.tables.models_own import OWN_MODELS
from visiontune.spec.tables.models_zoo import ZOO_MODELS

SIZES = {"num_classes": 3, "in_channels": 1, "image_size": 16}
SIZE_NAMES = {"num_classes", "in_channels", "image_size"}
SMALL = ("lenet5", "cnn")
CHANGES: list[dict[str, object]] = [
    *({"activation": name} for name in ACTIVATIONS.entries),
    *({"norm": name} for name in NORMS.entries),
    *({"init": name, "activation": "tanh"} for name in INITS.entries),
    {"activation": "prelu", "per": "channel", "norm": "group"},
    {"dropout": 0.3, "dropout_kind": "channel", "dropout_place": "both"},
]


def defaults(entry: Entry) -> dict[str, object]:
    return {name: arg.default for name, arg in entry.args.items() if isinstance(arg, Arg)}


def section(model: str, **args: object) -> dict[str, object]:
    declared = SPACE.fields["model"]
    assert isinstance(declared, Section)
    return fill(declared.fields, {"name": model, **args})


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("name", MODELS.entries)
def test_builder_of_a_model_takes_what_is_declared(name: str) -> None:
    entry = MODELS.entries[name]
    parameters = inspect.signature(entry.load()).parameters
    taken = {key: p.default if p.default is not p.empty else REQUIRED for key, p in parameters.items() if key not in SIZE_NAMES}
    assert taken == defaults(entry)
    assert set(parameters) >= SIZE_NAMES
    with pytest.raises(TypeError, match="no_such_argument"):
        entry.load()(**SIZES, no_such_argument=1)


def built_from(table: Table) -> list[Entry]:
    return [entry for entry in table.entries.values() if entry.builder]


@pytest.mark.parametrize(
    ("entry", "given"),
    [
        *((entry, ("inplace", "approximate")) for entry in built_from(ACTIVATIONS)),
        *((entry, ("num_channels",)) for entry in built_from(NORMS)),
        *((entry, ("weight", "gain", "generator", "groups")) for entry in built_from(INITS)),
    ],
    ids=lambda value: value.builder if isinstance(value, Entry) else "",
)
def test_builders_take_what_is_declared(entry: Entry, given: tuple[str, ...]) -> None:
    parameters = inspect.signature(entry.load()).parameters
    assert {key: p.default for key, p in parameters.items() if key not in given} == defaults(entry)
    with pytest.raises(TypeError, match="no_such_argument"):
        entry.load()(no_such_argument=1)


@pytest.mark.parametrize("model", SMALL)
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: "-".join(map(str, change.values())))
def test_every_entry_trains_saves_and_loads(model: str, change: dict[str, object]) -> None:
    network = build_model(section(model, **change), **SIZES, seed=1)
    x_NCHW, y_N = torch.randn(4, 1, 16, 16), torch.tensor([0, 1, 2, 0])
    before = [parameter.detach().clone() for parameter in network.parameters()]
    nn.functional.cross_entropy(network(x_NCHW), y_N).backward()
    for parameter in network.parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all()
        # Weights of .01 through five layers leave gradients too small to move a float: there they only have to be there.
        if change.get("init") not in ("constant_normal", "constant_uniform", "truncated_normal"):
            assert parameter.grad.abs().sum() > 0
        parameter.data -= 0.1 * parameter.grad
    assert any((old != new).any() for old, new in zip(before, network.parameters(), strict=True))

    copy = build_model(section(model, **change), **SIZES, seed=2)
    copy.load_state_dict(network.state_dict())
    assert torch.equal(copy.eval()(x_NCHW), network.eval()(x_NCHW))


def test_lenet5_has_the_parameters_of_the_paper() -> None:
    assert count(build_model(section("lenet5"), num_classes=10, in_channels=1, image_size=32)) == 61_706
    # 28 px, as MNIST comes, is padded to the paper's 32.
    assert count(build_model(section("lenet5"), num_classes=10, in_channels=1, image_size=28)) == 61_706


@pytest.mark.parametrize("size", [*range(4, 34), 64])
def test_lenet5_takes_any_picture(size: int) -> None:
    network = build_model(section("lenet5", width=2), num_classes=5, in_channels=3, image_size=size, seed=0)
    assert network(torch.randn(2, 3, size, size)).shape == (2, 5)


@pytest.mark.parametrize(("width", "depth", "kernel"), [(4, 1, 1), (8, 3, 3), (2, 4, 5)])
def test_cnn_has_the_parameters_that_its_shape_says(width: int, depth: int, kernel: int) -> None:
    filters = [3, *(width * 2**stage for stage in range(depth))]
    convolutions = sum(kernel**2 * a * b for a, b in pairwise(filters))
    expected = convolutions + 2 * sum(filters[1:]) + filters[-1] * 10 + 10
    network = build_model(section("cnn", width=width, depth=depth, kernel_size=kernel), num_classes=10, in_channels=3, image_size=32)
    assert count(network) == expected


def test_resnet18_is_torchvisions() -> None:
    from torchvision.models import resnet18

    reference = resnet18(num_classes=7).eval()
    network = build_model(section("resnet18"), num_classes=7, in_channels=3, image_size=64).eval()
    network.load_state_dict(reference.state_dict())
    x_NCHW = torch.randn(2, 3, 64, 64)
    assert torch.allclose(network(x_NCHW), reference(x_NCHW), atol=1e-5)


def test_resnet18_sizes() -> None:
    with torch.device("meta"):
        large = build_model(section("resnet18"), num_classes=1000, in_channels=3, image_size=224)
        small = build_model(section("resnet18", stem="small"), num_classes=10, in_channels=3, image_size=32)
    assert count(large) == 11_689_512  # torchvision's documented figure
    assert count(small) == 11_173_962  # the usual CIFAR ResNet-18 (kuangliu/pytorch-cifar)


NUM_PLACES = [("lenet5", 4), ("cnn", 3), ("resnet18", 17)]


@pytest.mark.parametrize(("model", "num_places"), NUM_PLACES)
def test_each_place_has_a_slope_of_its_own(model: str, num_places: int) -> None:
    with torch.device("meta"):
        network = build_model(section(model, activation="prelu", slope=0.1), **SIZES)
    slopes = [module for module in network.modules() if isinstance(module, nn.PReLU)]
    assert len({id(module.weight) for module in slopes}) == num_places
    assert not any(isinstance(module, nn.ReLU) for module in network.modules())


@pytest.mark.heavy
@pytest.mark.parametrize("model", {**OWN_MODELS, **ZOO_MODELS})
def test_every_place_of_every_model_has_a_slope_for_each_channel(model: str) -> None:
    """Channels don't depend on the picture's size; positions, which a slope on the wrong axis would count, do."""
    counts = []
    for size in (299, 331):
        with torch.device("meta"):
            network = build_model(section(model, activation="prelu", per="channel"), num_classes=7, in_channels=3, image_size=size)
        counts.append([module.num_parameters for module in network.modules() if isinstance(module, nn.PReLU)])
        keep = anatomy_of(network).keep
        others = [name for name, m in network.named_modules() if isinstance(m, ACTIVATION_TYPES) and not isinstance(m, nn.PReLU)]
        assert all(name.startswith(keep) for name in others)
    assert counts[0] == counts[1] and 1 not in counts[0]  # a place that no forward pass reached would still have one slope


@pytest.mark.parametrize("model", ["lenet5", "cnn"])
def test_published_keeps_what_the_network_has(model: str) -> None:
    own, named = (build_model(section(model, activation=name), **SIZES, seed=0) for name in ("published", "relu"))
    assert [type(module) for module in own.modules()] == [type(module) for module in named.modules()]
    assert all(torch.equal(one, other) for one, other in zip(own.parameters(), named.parameters(), strict=True))  # ReLU's gain too


def test_swap_counts_places() -> None:
    network = nn.Sequential(nn.ReLU(), nn.Sequential(nn.ReLU6(), nn.Linear(1, 1)), nn.GELU())
    assert swap(network, nn.ReLU, nn.Tanh) == 1
    assert swap(network, ACTIVATION_TYPES, nn.SiLU) == 3
    assert [type(module) for module in network.modules()].count(nn.SiLU) == 3


def test_swap_leaves_gates_alone() -> None:
    from torchvision.ops import SqueezeExcitation

    network = nn.Sequential(OrderedDict(act=nn.SiLU(), gate=SqueezeExcitation(8, 2), own=nn.Sequential(nn.Sigmoid()), owner=nn.Sigmoid()))
    assert swap(network, ACTIVATION_TYPES, nn.ReLU, keep=("own",)) == 2
    kinds = {name: type(module) for name, module in network.named_modules()}
    assert (kinds["act"], kinds["own.0"], kinds["owner"]) == (nn.ReLU, nn.Sigmoid, nn.ReLU)
    assert (kinds["gate.activation"], kinds["gate.scale_activation"]) == (nn.ReLU, nn.Sigmoid)
    assert network.gate.activation is not network.act


def test_the_head_is_filled_without_a_gain() -> None:
    network = build_model(section("lenet5", width=16), num_classes=50, in_channels=1, image_size=32, seed=0)
    for name, squared_gain in (("fc2", 2), ("fc", 1)):
        weight = network.get_submodule(name).weight
        assert weight.var().item() * weight.shape[1] == pytest.approx(squared_gain, rel=0.03)


def test_without_memory_anything_can_be_counted() -> None:
    with torch.device("meta"):
        network = build_model(section("lenet5", activation="prelu", per="channel", norm="batch", use_lsuv=True, dropout=0.5), **SIZES)
    # At 16 px LeNet-5 has 16 * 4 values before its dense layers; 6, 16, 120 and 84 slopes; two norms of two numbers for each channel.
    assert count(network) == 6 * 26 + 16 * 151 + 120 * 65 + 84 * 121 + 3 * 85 + (6 + 16 + 120 + 84) + 2 * (6 + 16)
    assert all(parameter.is_meta for parameter in network.parameters())


@pytest.mark.heavy
def test_building_a_small_network_imports_no_compiler() -> None:
    model = section("lenet5", activation="prelu", per="channel", dropout=0.5, dropout_place="both")
    program = f"""
import sys
from visiontune.models.anatomy import anatomy_of
from visiontune.models.build import build_model
build_model({model!r}, num_classes=10, in_channels=1, image_size=32, seed=0)
print([name for name in ("torch._dynamo", "torchvision", "timm") if name in sys.modules])
"""
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("model", ["lenet5", "cnn", "resnet18"])
def test_names_are_the_same_with_and_without_dropout(model: str) -> None:
    with torch.device("meta"):
        plain, dropping = (build_model(section(model, dropout=p, dropout_place="both"), **SIZES) for p in (0.0, 0.5))
    assert [*plain.state_dict()] == [*dropping.state_dict()]
    assert [name for name, _ in plain.named_modules()] == [name for name, _ in dropping.named_modules()]


def test_dropout_acts_in_training_only() -> None:
    plain, dropping = (build_model(section("lenet5", dropout=p), **SIZES, seed=0) for p in (0.0, 0.5))
    x_NCHW = torch.randn(2, 1, 16, 16)
    assert torch.equal(plain.eval()(x_NCHW), dropping.eval()(x_NCHW))
    assert not torch.equal(dropping.train()(x_NCHW), dropping(x_NCHW))


@pytest.mark.parametrize("model", SMALL)
def test_weights_are_a_function_of_recipe_and_seed(model: str) -> None:
    torch.manual_seed(11)
    state = torch.get_rng_state()
    first = build_model(section(model), **SIZES, seed=3).state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(12)
    again = build_model(section(model), **SIZES, seed=3).state_dict()
    other = build_model(section(model), **SIZES, seed=4).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["fc.weight"], other["fc.weight"])


def test_what_a_plugin_fills_at_random_and_no_init_does_is_not_left_at_0(tmp_path: Path) -> None:
    """Attention whose queries and keys are 0 has no gradient, for ever; its drawing changes no weight that the init fills."""
    head = "from torch import nn\nfrom visiontune.models.anatomy import mark\nfrom visiontune.spec.declarations.declare import Entry\n"
    net = """
class Net(nn.Module):
    def __init__(self, in_channels, num_classes):
        super().__init__()
        self.body = nn.Conv2d(in_channels, 8, 3)
        self.head = nn.Linear(8, num_classes)
        MORE

    def forward(self, x_NCHW):
        return self.head(self.body(x_NCHW).mean((2, 3)))


def net(*, num_classes, in_channels, image_size):
    return mark(Net(in_channels, num_classes), stages=(("body",),), head="head")


MODELS = {"net": Entry("mine", net)}
"""
    found = []
    for more in ("self.attention, self.place = nn.MultiheadAttention(8, 2), nn.Embedding(9, 8)", "pass"):
        (tmp_path / "net.py").write_text(head + net.replace("MORE", more))
        with in_use([load_plugin(tmp_path / "net.py").key]):
            found.append(build_model(load_model("net", []), num_classes=3, in_channels=3, image_size=8, seed=1).state_dict())
    assert all(found[0][name].any() for name in ("attention.in_proj_weight", "place.weight"))
    assert torch.equal(found[0]["body.weight"], found[1]["body.weight"]) and torch.equal(found[0]["head.weight"], found[1]["head.weight"])
