"""Dropout's masks, means and places, and stochastic depth against torchvision's."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from visiontune.models.anatomy import mark
from visiontune.models.dropout import add_dropout, depth_probabilities, drop, mask_shape

X_NCHW = torch.arange(1.0, 8 * 6 * 5 * 5 + 1).view(8, 6, 5, 5)


def network() -> nn.Module:
    layers = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 16, 3))
    return mark(layers, stages=(("0",), ("1", "2")), head="4")


def dropped(kind: str, probability: float = 0.5) -> Tensor:
    torch.manual_seed(0)
    return drop(X_NCHW, probability, mask_shape(tuple(X_NCHW.shape), kind), True)


@pytest.mark.parametrize(("kind", "axes"), [("element", ()), ("channel", (2, 3)), ("position", (1,))])
def test_a_mask_is_shared_along_what_the_kind_says_and_along_nothing_else(kind: str, axes: tuple[int, ...]) -> None:
    mask = dropped(kind) / X_NCHW
    assert set(mask.unique().tolist()) == {0.0, 2.0}
    for axis in range(4):
        assert (mask == mask.narrow(axis, 0, 1)).all() == (axis in axes)


@pytest.mark.parametrize("kind", ["element", "channel", "position"])
def test_the_mean_stays(kind: str) -> None:
    torch.manual_seed(0)
    x = torch.ones(200, 12, 4, 4)
    kept = drop(x, 0.3, mask_shape(tuple(x.shape), kind), True)
    num_draws = {"element": 200 * 12 * 16, "channel": 200 * 12, "position": 200 * 16}[kind]
    assert abs(kept.mean().item() - 1) < 4 * (0.3 / 0.7 / num_draws) ** 0.5  # four standard errors of a Bernoulli mean


@pytest.mark.parametrize("kind", ["channel", "position"])
def test_flat_features_are_elements(kind: str) -> None:
    assert mask_shape((7, 30), kind) == (7, 30)


@pytest.mark.parametrize(
    ("place", "num_drops"), [("head", {"0": 0, "2": 0, "4": 1}), ("stages", {"0": 1, "2": 1, "4": 0}), ("both", {"0": 1, "2": 0, "4": 1})]
)
def test_drops_where_the_place_says(place: str, num_drops: dict[str, int]) -> None:
    plain = network()
    dropping = copy.deepcopy(plain)
    add_dropout(dropping, 0.5, "element", place)
    for name, expected in num_drops.items():
        x = torch.rand(64, *{"0": (1, 8, 8), "2": (6, 4, 4), "4": (96,)}[name])
        assert torch.equal(dropping.train().get_submodule(name)(x), plain.get_submodule(name)(x)) == (not expected)
        assert torch.equal(dropping.eval().get_submodule(name)(x), plain.get_submodule(name)(x))


def test_names_stay_and_a_frozen_stage_drops_nothing() -> None:
    plain = network()
    dropping = copy.deepcopy(plain)
    add_dropout(dropping, 0.5, "channel", "stages")
    assert [*dropping.state_dict()] == [*plain.state_dict()]
    assert [name for name, _ in dropping.named_parameters()] == [name for name, _ in plain.named_parameters()]
    x_NCHW = torch.randn(4, 1, 8, 8)
    twin = copy.deepcopy(dropping)
    assert not torch.equal(twin(x_NCHW), twin(x_NCHW))
    for module in twin.children():
        module.eval()
    assert torch.equal(twin(x_NCHW), plain(x_NCHW))


def test_the_masks_follow_the_seed_of_the_epoch() -> None:
    assert torch.equal(dropped("channel"), dropped("channel"))
    assert torch.equal(drop(X_NCHW, 0.0, (8, 6, 5, 5), True), X_NCHW)


def test_wrong_words_are_refused() -> None:
    with pytest.raises(ValueError, match="dropout_kind must be one of element, channel, position, got 'row'"):
        mask_shape((1, 1), "row")
    with pytest.raises(ValueError, match="dropout_place must be one of head, stages, both, got 'tail'"):
        add_dropout(network(), 0.5, "element", "tail")


def test_chances_grow_linearly_with_depth() -> None:
    # Huang et al. 2016, section 3: p_l = 1 - l / L * (1 - p_L) survive; with p_L = 0.5 and 54 blocks the first keeps 0.99.
    chances = depth_probabilities(0.5, 54)
    assert chances[-1] == 0.5 and 1 - chances[0] == pytest.approx(0.99, abs=1e-3)
    assert sum(1 - chance for chance in chances) == pytest.approx((3 * 54 - 1) / 4)  # the paper's expected depth
