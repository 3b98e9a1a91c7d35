"""Regimes of transfer: what is frozen stays to the last bit, what is cut gives the same, and what can't work is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny import model_section
from torch import nn

from visiontune.models.anatomy import anatomy_of
from visiontune.models.build import build_model
from visiontune.models.frozen_body import Body, cached, split_network
from visiontune.models.transfer import adapt, frozen_of, problem_of_transfer, train_mode
from visiontune.spec.tables.regimes import REGIMES

SIZES = {"num_classes": 3, "in_channels": 1, "image_size": 16}
REGIME_ARGS = {"linear": {}, "multi_depth": {"num_depths": 2}, "fine_tune_last": {"num_stages": 1}, "freeze_first": {"num_frozen": 1}}
FULL = {"fine_tune", "lp_ft"}
"""Regimes in which everything learns in the end."""
SMALL = {"lenet5": {}, "cnn": {"width": 4}}


def built(name: str, seed: int = 0, num_classes: int = 3, **args: object) -> nn.Module:
    """A network whose running statistics and normalisation are not those of a fresh one."""
    network = build_model(model_section(name, **args), **{**SIZES, "num_classes": num_classes}, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.5, 0.5, generator=generator)
            module.running_var.uniform_(0.5, 2.0, generator=generator)
    return network


@pytest.fixture
def weights(tmp_path: Path):
    """Files of pretrained networks with five classes."""

    def write(name: str, **args: object) -> str:
        path = tmp_path / f"{name}.safetensors"
        save_file(built(name, seed=7, num_classes=5, **args).state_dict(), path)
        return str(path)

    return write


def section(regime: str, weights: str, **args: object) -> dict[str, object]:
    return {"regime": regime, "weights": weights, **REGIME_ARGS[regime], **args}


def pictures(num: int = 6, seed: int = 0) -> torch.Tensor:
    return torch.randn(num, 1, 16, 16, generator=torch.Generator().manual_seed(seed))


def trained(network: nn.Module, x: torch.Tensor, num_steps: int = 3) -> None:
    """A few steps of gradient descent in training mode on what may change."""
    params = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(params, lr=0.1, momentum=0.9)
    for _ in range(num_steps):
        train_mode(network)
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(x), torch.arange(len(x)) % 3).backward()
        optimizer.step()


def copied(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


@pytest.mark.parametrize("name", ["lenet5", "cnn", pytest.param("resnet18", marks=pytest.mark.heavy)])
def test_body_and_tail_are_the_network_wherever_it_is_cut(name: str) -> None:
    network = built(name).eval()
    x_NCHW = pictures()
    for num_groups in range(1, len(anatomy_of(network).stages) + 1):
        body, tail = split_network(network, num_groups)
        assert torch.equal(tail.eval()(body(x_NCHW)), network(x_NCHW))
    assert split_network(network, 0) == (None, network)


def test_tail_shares_tensors_and_no_modules() -> None:
    network = built("cnn", width=4)
    body, tail = split_network(network, 1)
    theirs = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    of_tail = {**dict(tail.named_parameters()), **dict(tail.named_buffers())}
    assert set(of_tail) == {name for name in theirs if not name.startswith("stage1")}
    assert all(tensor is theirs[name] for name, tensor in of_tail.items())
    assert {id(tensor) for tensor in body.parameters()} == {id(tensor) for name, tensor in network.named_parameters() if "stage1" in name}
    assert not {id(module) for module in network.modules()} & {id(module) for module in (*body.modules(), *tail.modules())}


def test_body_stays_in_evaluation_mode_without_gradients() -> None:
    network = built("cnn", width=4)
    body, tail = split_network(network, 2)
    before = copied(network)
    network.train()
    body.train()
    tail.train()
    features = body(pictures())
    assert not features.requires_grad and torch.equal(body(pictures()), features)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize("regime", REGIME_ARGS)
@pytest.mark.parametrize("name", SMALL)
def test_training_the_tail_changes_the_whole_network_where_due_and_nowhere_else(name: str, regime: str, weights) -> None:
    transfer = section(regime, weights(name, **SMALL[name]))
    network = adapt(built(name, **SMALL[name]), transfer, name, **SIZES)
    before = copied(network)
    body, tail = split_network(network, frozen_of(network))
    trained(tail, body(pictures()))

    anatomy = anatomy_of(network)
    frozen = tuple(f"{module}." for group in anatomy.stages[: frozen_of(network)] for module in group)
    changed = {key for key, tensor in network.state_dict().items() if not torch.equal(tensor, before[key])}
    due = {key for key in before if not key.startswith(frozen)}
    assert changed == due and {key for key in due if key.startswith(anatomy.head)}

    again = adapt(built(name, seed=5, **SMALL[name]), transfer, name, **SIZES)
    again.load_state_dict(network.state_dict())
    assert torch.equal(again.eval()(pictures(seed=1)), network.eval()(pictures(seed=1)))
    assert torch.equal(tail.eval()(body(pictures(seed=1))), network(pictures(seed=1)))


@pytest.mark.parametrize("regime", REGIME_ARGS)
def test_frozen_layers_of_a_whole_network_in_training_keep_statistics_and_drop_nothing(regime: str, weights) -> None:
    dropping = {"width": 4, "dropout": 0.5, "dropout_place": "both"}
    network = adapt(built("cnn", **dropping), section(regime, weights("cnn", width=4)), "cnn", **SIZES)
    groups = [network.get_submodule(name) for group in anatomy_of(network).stages[: frozen_of(network)] for name in group]
    before = [copied(module) for module in groups]
    outputs: list[torch.Tensor] = []
    groups[-1].register_forward_hook(lambda module, args, output: outputs.append(output.detach().clone()))
    trained(network, pictures(), num_steps=2)
    for module, state in zip(groups, before, strict=True):
        assert all(torch.equal(tensor, state[key]) for key, tensor in module.state_dict().items())
    assert torch.equal(outputs[0], outputs[1])


@pytest.mark.parametrize(
    ("transfer", "num_frozen", "trained_parts"),
    [
        ({"regime": "linear"}, 3, {"fc"}),
        ({"regime": "multi_depth", "num_depths": 2}, 1, {"head"}),
        ({"regime": "fine_tune_last", "num_stages": 1}, 2, {"stage3", "fc"}),
        ({"regime": "fine_tune_last", "num_stages": 3}, 0, {"stage1", "stage2", "stage3", "fc"}),
        ({"regime": "freeze_first", "num_frozen": 1}, 1, {"stage2", "stage3", "fc"}),
        ({"regime": "freeze_first", "num_frozen": 3}, 3, {"fc"}),
    ],
)
def test_each_regime_trains_what_its_row_says(transfer, num_frozen: int, trained_parts: set[str], weights) -> None:
    network = adapt(built("cnn", width=4), {**transfer, "weights": weights("cnn", width=4)}, "cnn", **SIZES)
    assert frozen_of(network) == num_frozen
    assert {name.partition(".")[0] for name, parameter in network.named_parameters() if parameter.requires_grad} == trained_parts


def test_scratch_is_the_network_itself() -> None:
    network = built("cnn", width=4)
    assert adapt(network, {"regime": "scratch"}, "cnn", **SIZES) is network
    assert frozen_of(network) == 0
    train_mode(network)
    assert all(module.training for module in network.modules())


def test_the_head_is_the_one_that_the_network_came_with(weights) -> None:
    file = weights("cnn", width=4)  # five classes, as the new task
    network = build_model(model_section("cnn", width=4), **{**SIZES, "num_classes": 5}, seed=3)
    head = network.get_submodule("fc").weight.detach().clone()
    adapted = adapt(network, section("linear", file), "cnn", **{**SIZES, "num_classes": 5})
    assert torch.equal(adapted.get_submodule("fc").weight, head)
    pretrained = built("cnn", seed=7, num_classes=5, width=4).state_dict()
    assert all(torch.equal(tensor, pretrained[name]) for name, tensor in adapted.state_dict().items() if not name.startswith("fc."))


def test_multi_depth_sees_the_means_of_its_last_stages_normalised(weights) -> None:
    network = adapt(built("cnn", width=4), section("multi_depth", weights("cnn", width=4)), "cnn", **SIZES)
    plain = built("cnn", seed=7, num_classes=5, width=4).eval()
    x_NCHW = pictures()
    second = plain.stage2(plain.stage1(x_NCHW))
    depths = [f.mean((2, 3)) for f in (second, plain.stage3(second))]
    expected = [(f - f.mean(1, keepdim=True)) / (f.var(1, keepdim=True, correction=0) + 1e-5).sqrt() for f in depths]
    features = network.eval().get_submodule("body")(x_NCHW)
    assert features.shape == (6, 8 + 16)
    assert torch.allclose(features, torch.cat(expected, 1), atol=1e-5)
    assert torch.equal(network(x_NCHW), torch.zeros(6, 3))  # the classifier starts at 0


def test_dropout_before_the_head_is_kept_by_the_head_of_multi_depth(weights) -> None:
    network = adapt(built("cnn", width=4, dropout=0.5), section("multi_depth", weights("cnn", width=4)), "cnn", **SIZES)
    nn.init.ones_(network.get_submodule("head").weight)
    train_mode(network)
    assert not torch.equal(network(pictures()), network(pictures()))
    network.eval()
    assert torch.equal(network(pictures()), network(pictures()))


def test_digest_tells_what_the_body_computes() -> None:
    def digest(**args: object) -> str:
        body, _ = split_network(built("cnn", width=4, **args), 2)
        return body.digest()

    same = digest()
    assert digest() == same == digest(dropout=0.5)  # dropout acts in training only
    others = {
        digest(seed=1),
        digest(activation="elu"),
        digest(activation="leaky_relu", slope=0.1),
        digest(activation="leaky_relu", slope=0.2),
    }
    assert len({same, *others}) == 5


def test_cache_makes_once_and_forgets_the_longest_unused(monkeypatch: pytest.MonkeyPatch) -> None:
    from visiontune.models import frozen_body as module

    monkeypatch.setattr(module, "_KEPT", type(module._KEPT)())
    monkeypatch.setitem(module._CACHE_BYTES, "cpu", 1000)
    made: list[str] = []

    def make(name: str, num: int = 100) -> torch.Tensor:
        return cached(name, lambda: (made.append(name), (torch.full((num,), float(len(made))),))[1])[0]

    first = make("a")
    assert make("a") is first
    make("b"), make("a"), make("c")  # 400 bytes each: b is the longest unused
    assert make("a") is first and made == ["a", "b", "c"]
    make("b")
    assert made == ["a", "b", "c", "b"]
    make("large", 1000), make("large", 1000)  # more than all: made again each time, and nothing is lost for it
    assert made[4:] == ["large", "large"] and make("a") is first


def problem(transfer: dict[str, object], name: str = "cnn", **args: object) -> str | None:
    return problem_of_transfer(transfer, model_section(name, **args), **SIZES)


@pytest.mark.parametrize("regime", REGIME_ARGS)
def test_what_works_has_no_problem(regime: str, weights) -> None:
    assert problem({"regime": "scratch"}) is None
    assert problem(section(regime, weights("cnn", width=4)), width=4) is None
    assert problem(section(regime, weights("lenet5")), "lenet5") is None


@pytest.mark.parametrize(
    ("regime", "args"), [("multi_depth", {"num_depths": 9}), ("fine_tune_last", {"num_stages": 9}), ("freeze_first", {"num_frozen": 9})]
)
def test_more_stages_than_the_network_has(regime: str, args: dict[str, int], weights) -> None:
    file, (name,) = weights("cnn", width=4), args
    told = problem(section(regime, file, **args), width=4)
    assert told == f"{name} must be at most 3, as cnn has 3 stages, but got 9; nearest is 3"
    assert problem(section(regime, file, **{name: 3}), width=4) is None


@pytest.mark.parametrize("regime", REGIME_ARGS)
def test_prelu_in_a_frozen_backbone(regime: str, tmp_path: Path) -> None:
    file = tmp_path / "prelu.safetensors"
    save_file(built("cnn", width=4, activation="prelu").state_dict(), file)
    told = problem(section(regime, str(file)), activation="prelu", width=4)
    assert told == f"PReLU slopes in a frozen backbone are never learned: {regime} needs another activation"


def test_prelu_is_fine_where_nothing_is_frozen(tmp_path: Path) -> None:
    file = tmp_path / "prelu.safetensors"
    save_file(built("cnn", width=4, activation="prelu").state_dict(), file)
    assert problem({"regime": "fine_tune_last", "weights": str(file), "num_stages": 3}, activation="prelu", width=4) is None


def test_missing_file_and_wrong_network(weights, tmp_path: Path) -> None:
    file = weights("cnn", width=4)
    late = section("linear", str(tmp_path / "cmn.safetensors"))
    assert problem(late, width=4) == f"there is no file of weights {tmp_path / 'cmn.safetensors'}; nearest is cnn.safetensors"
    Path(file).rename(tmp_path / "cmn.safetensors")
    assert problem(late, width=4) is None
    Path(tmp_path / "cmn.safetensors").rename(file)
    told = problem(section("linear", file), width=8) or ""
    assert "conv.weight is 4 x 1 x 3 x 3 and should be 8 x 1 x 3 x 3" in told and told.endswith("more")
    assert "not of this lenet5" in (problem(section("linear", file), "lenet5") or "")


def test_every_regime_has_its_row_here() -> None:
    assert {*REGIME_ARGS, *FULL, "scratch"} == set(REGIMES.entries)
    assert isinstance(split_network(built("lenet5"), 1)[0], Body)


@pytest.mark.heavy
def test_auxiliary_classifiers_are_refused_and_can_be_left_out(tmp_path: Path) -> None:
    file = tmp_path / "googlenet.safetensors"
    save_file(built("googlenet", num_classes=5, aux_weight=0.0).state_dict(), file)
    transfer = section("linear", str(file))
    assert (problem(transfer, "googlenet", aux_weight=0.3) or "").endswith("googlenet can be transferred with aux_weight 0 only")
    assert problem(transfer, "googlenet", aux_weight=0.0) is None
