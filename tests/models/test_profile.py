"""What a profile predicts is what torch counts, what fvcore counts, what torch's allocator hands out, and what the papers say."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from typing import Any

import pytest
import torch
from places import PLATFORM
from torch import nn
from torch.profiler import profile as recorded
from torch.utils.flop_counter import FlopCounterMode

from visiontune.cli import main
from visiontune.errors import UserError
from visiontune.models.build import build_model
from visiontune.models.profile import Profile, profile
from visiontune.models.profile_tracer import Tracer
from visiontune.results.profile_table import profile_lines
from visiontune.spec.parse import load_model

SMALL = [
    ("lenet5", [], 32),
    ("cnn", ["block=residual", "num_layers=2", "norm_place=after"], 32),
    ("cnn", ["block=dense", "num_layers=2", "activation=silu", "down=stride", "padding=valid", "depth=2"], 48),
    ("cnn", ["block=inception", "use_bottleneck=true", "dropout=0.3", "dropout_place=both", "norm=group"], 32),
    ("cnn", ["convolution=separable", "head=flatten", "activation=prelu", "width=16"], 32),
    ("nin", ["width_factor=0.5"], 32),
    ("zfnet", ["stem=small", "width_factor=0.1"], 32),
    ("wideresnet", ["depth=10", "width=2", "stochastic_depth=0.3"], 32),
]
ZOO = [
    ("resnet18", ["stem=small", "width_factor=0.5"], 32),
    ("googlenet", [], 64),
    ("densenet121", [], 32),
    ("mobilenet_v3_small", [], 64),
    ("convnext_tiny", ["width_factor=0.25"], 96),
    ("vgg11_bn", ["width_factor=0.25"], 32),
]
BATCH = 16


def said(case: object) -> str:
    return " ".join(case) if isinstance(case, list) else str(case)


def small_and_zoo(*more: int) -> list[Any]:
    return [*((*case, *more) for case in SMALL[:5]), *(pytest.param(*case, *more, marks=pytest.mark.heavy) for case in SMALL[5:] + ZOO)]


def profiled(name: str, args: list[str], size: int, batch_size: int = BATCH, channels: int = 3, classes: int = 10) -> Profile:
    return profile(load_model(name, args), num_classes=classes, in_channels=channels, image_size=size, batch_size=batch_size)


def built(name: str, args: list[str], size: int) -> nn.Module:
    return build_model(load_model(name, args), num_classes=10, in_channels=3, image_size=size, seed=0)


def loss_of(network: nn.Module, size: int) -> torch.Tensor:
    out = network(torch.randn(BATCH, 3, size, size))
    parts = out if isinstance(out, tuple) else (out,)
    return torch.stack([nn.functional.cross_entropy(logits_NK, torch.zeros(BATCH, dtype=torch.int64)) for logits_NK in parts]).sum()


def allocations(session: Any) -> list[int]:
    """Bytes that torch's allocator gave out (or took back, below 0) in the order of time."""
    events = [event for event in session.profiler.kineto_results.events() if event.name() == "[memory]"]
    return [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]


@pytest.mark.parametrize(("name", "args", "size"), small_and_zoo(), ids=said)
def test_activation_memory_is_what_the_allocator_gives_out(name: str, args: list[str], size: int) -> None:
    network = built(name, args, size).train()
    with recorded(profile_memory=True) as session:
        loss = loss_of(network, size)
    assert loss.isfinite()
    assert profiled(name, args, size).activation_bytes == pytest.approx(sum(allocations(session)), rel=0.15)


@pytest.mark.heavy
@pytest.mark.parametrize(("name", "args", "size", "num_moments"), [*((*case, 0) for case in SMALL[1:2]), *small_and_zoo(2)], ids=said)
def test_step_memory_is_the_most_that_the_allocator_gives_out(name: str, args: list[str], size: int, num_moments: int) -> None:
    network = built(name, args, size).train()
    params = [*network.parameters()]
    optimizer = torch.optim.Adam(params, fused=True) if num_moments else torch.optim.SGD(params, 0.01, fused=True)
    with recorded(profile_memory=True) as session:
        for _ in range(2):  # Adam makes its moments in the first step
            loss_of(network, size).backward()
            optimizer.step()
            optimizer.zero_grad()
    weights = sum(tensor.numel() * tensor.element_size() for tensor in (*params, *network.buffers()))
    most = weights + max(itertools.accumulate(allocations(session)))
    assert profiled(name, args, size).step_bytes(num_moments) == pytest.approx(most, rel=0.15)


@pytest.mark.parametrize(("name", "args", "size"), small_and_zoo(), ids=said)
def test_multiply_adds_are_those_of_torchs_own_counter(name: str, args: list[str], size: int) -> None:
    network = built(name, args, size).train()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.randn(BATCH, 3, size, size))
    found = profiled(name, args, size)
    assert found.multiply_adds * BATCH * 2 == counter.get_total_flops()
    assert found.multiply_adds == sum(layer.multiply_adds for layer in found.layers)
    assert found.parameters == sum(layer.parameters for layer in found.layers) == sum(p.numel() for p in network.parameters())
    assert found.activation_bytes == sum(layer.activation_bytes for layer in found.layers)


@pytest.mark.heavy
@pytest.mark.parametrize(("name", "size"), [("resnet50", 224), ("alexnet", 224), ("mobilenet_v3_large", 224)])
def test_multiply_adds_are_those_of_fvcore(name: str, size: int) -> None:
    from fvcore.nn import FlopCountAnalysis

    network = build_model(load_model(name, []), num_classes=1000, in_channels=3, image_size=size).eval()
    counted = FlopCountAnalysis(network, torch.zeros(1, 3, size, size)).unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    layers = {kind: number for kind, number in counted.by_operator().items() if kind in ("conv", "linear", "matmul")}
    found = profiled(name, [], size, batch_size=2, classes=1000).multiply_adds
    assert found == pytest.approx(sum(layers.values()), rel=0.01)
    if name != "mobilenet_v3_large":  # there norms and poolings, which fvcore counts too, are more than 1 %
        assert found == pytest.approx(counted.total(), rel=0.01)


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("name", "args", "millions"),
    [
        ("resnet50", [], 4089),
        ("vgg16", [], 15470),
        ("googlenet", ["aux_weight=0.0"], 1498),
        ("densenet121", [], 2834),
        ("efficientnet_b0", [], 386),
    ],
)
def test_multiply_adds_are_those_that_torchvision_documents(name: str, args: list[str], millions: int) -> None:
    assert profiled(name, args, 224, batch_size=2, classes=1000).multiply_adds / 1e6 == pytest.approx(millions, rel=0.01)


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("name", "args", "size", "pixels"),
    [
        ("alexnet", [], 224, 195),
        ("vgg16", [], 224, 212),
        ("inception_v3", ["aux_weight=0.0"], 299, 1311),
    ],
)
def test_receptive_fields_are_the_published_ones(name: str, args: list[str], size: int, pixels: int) -> None:
    """Araujo et al. 2019, "Computing receptive fields of convolutional neural networks", before global pooling or dense layers."""
    layers = profiled(name, args, size, batch_size=2).layers
    spatial = [layer for layer in layers if len(layer.shape) == 3 and layer.shape[-1] > 1 and "Adaptive" not in layer.kind]
    assert max(layer.receptive_field for layer in spatial) == pixels


@pytest.mark.parametrize(("size", "pooled"), [(10, 3), (11, 4), (3, 6), (1, 6), (64, 7), (8, 4)])
def test_an_adaptive_pooling_sees_what_its_gradient_says(size: int, pooled: int) -> None:
    """Its widest window by the pixels that a position depends on; all positions together see the picture, and no more."""
    network = nn.Sequential(nn.AdaptiveAvgPool2d(pooled), nn.Flatten(), nn.Linear(pooled**2, 2)).double()
    picture_NCHW = torch.zeros(1, 1, size, size, dtype=torch.float64, requires_grad=True)
    depends = [
        torch.autograd.grad(network[0](picture_NCHW)[0, 0, 0, at], picture_NCHW)[0][0, 0].any(0).sum().item() for at in range(pooled)
    ]
    with (tracer := Tracer(network, picture_NCHW)), tracer.watching():
        network(picture_NCHW)
    pool, _, head, _ = tracer.calls
    assert pool.receptive_field == max(depends) and head.receptive_field == size


def test_receptive_field_of_a_plain_stack_is_that_of_the_formula() -> None:
    layers = profiled("cnn", ["kernel_size=5", "dilation=2", "depth=2", "num_layers=2"], 32, channels=1).layers
    # Each convolution adds (5 - 1) * 2 steps, each pooling one step, which then doubles.
    assert [layer.receptive_field for layer in layers if layer.kind in ("Conv2d", "MaxPool2d")] == [9, 17, 18, 34, 50, 52]
    assert [layer.receptive_field for layer in layers if layer.kind == "Linear"] == [52 + 7 * 4]  # 8 positions, 4 px apart


def test_layers_of_lenet5_are_those_of_the_paper() -> None:
    found = profiled("lenet5", [], 32, channels=1)
    rows = {layer.name: layer for layer in found.layers}
    assert [rows[name].shape for name in ("conv1", "pool1", "conv2", "pool2", "fc1", "fc2", "fc")] == [
        (6, 28, 28), (6, 14, 14), (16, 10, 10), (16, 5, 5), (120,), (84,), (10,)
    ]  # fmt: skip
    assert [rows[name].parameters for name in ("conv1", "conv2", "fc1", "fc2", "fc")] == [156, 2416, 48_120, 10_164, 850]
    assert rows["conv1"].multiply_adds == 117_600 and rows["conv2"].multiply_adds == 240_000
    assert rows["conv1"].activation_bytes == BATCH * 32 * 32 * 4  # the pictures
    assert rows["act1"].activation_bytes == BATCH * 6 * 28 * 28 * 4
    assert (found.parameters, found.smallest_picture) == (61_706, 4)


def test_a_larger_batch_keeps_more_and_costs_each_picture_the_same() -> None:
    small, large = (profiled("lenet5", [], 32, batch_size=batch) for batch in (16, 64))
    assert large.activation_bytes == 4 * small.activation_bytes and large.multiply_adds == small.multiply_adds
    assert large.weight_bytes == small.weight_bytes == 4 * small.parameters


def test_a_picture_or_a_batch_too_small_is_a_users_error() -> None:
    with pytest.raises(UserError, match="smallest that work have 8 px"):
        profiled("cnn", [], 7)
    with pytest.raises(UserError, match="batches of one"):
        profiled("cnn", [], 32, batch_size=1)
    assert profiled("cnn", ["norm=group"], 32, batch_size=1).multiply_adds > 0


def told(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    code = main(["profile", *argv])
    return code, *capsys.readouterr()


def test_profile_prints_a_table_and_totals(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = told(
        capsys, "lenet5", "--image-size", "32", "--num-classes", "10", "--in-channels", "1", "model.width=2", "activation=tanh"
    )
    lines = out.splitlines()
    assert code == 0 and lines[0].split() == ["layer", "kind", "output", "parameters", "multiply-adds", "activations", "sees", "px"]
    assert lines[1].split() == ["conv1", "Conv2d", "12", "x", "28", "x", "28", "312", "235,200", "0.3", "MB", "5"]
    assert any(line.startswith("act1 ") and " Tanh " in line for line in lines)
    assert "244,362" in out and "smallest picture  4 px" in out and "batches of 64" in out
    assert lines == profile_lines("lenet5", profiled("lenet5", ["width=2", "activation=tanh"], 32, 64, channels=1))


def test_profile_prints_json(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = told(capsys, "lenet5", "--image-size", "32", "--num-classes", "10", "--batch-size", "16", "--json")
    read, found = json.loads(out), profiled("lenet5", [], 32)
    assert code == 0 and read["model"] == "lenet5" and read["multiply_adds"] == found.multiply_adds
    assert read["step_bytes"] == {str(moments): found.step_bytes(moments) for moments in (0, 1, 2)}
    assert len(read["layers"]) == len(found.layers) and read["layers"][0]["receptive_field"] == 5


@pytest.mark.parametrize(
    ("argv", "rules"),
    [
        (["lenet"], ["'lenet'", "nearest is 'lenet5'"]),
        (["lenet5", "wdth=2", "norm=grup"], ["nearest is 'width'", "nearest is 'group'"]),
        (["lenet5", "width=99"], ["width", "16", "99"]),
        (["cnn", "depth=8"], ["smallest that work have 256 px"]),
    ],
)
def test_what_cant_be_profiled_ends_with_2_and_the_nearest(argv: list[str], rules: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = told(capsys, *argv, "--image-size", "32", "--num-classes", "10")
    assert code == 2 and out == "" and all(rule in err for rule in rules) and "Traceback" not in err


def test_a_wrong_name_costs_no_import_of_torch() -> None:
    argv = ["profile", "lenet", "--image-size", "32", "--num-classes", "2"]
    code = f"import sys; from visiontune import cli; cli.main({argv}); print('torch' in sys.modules)"
    source = PLATFORM
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=source).stdout.strip() == "False"
