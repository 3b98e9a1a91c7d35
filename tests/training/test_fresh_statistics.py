"""Batch normalisation's statistics against torch's own update_bn and a closed form, and what they are for: no last batch decides."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import make_recipe, make_store, model_section
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn
from torch.utils._python_dispatch import TorchDispatchMode

from visiontune.data.store.store import Store
from visiontune.models.anatomy import mark
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.training.fresh_statistics import refresh_statistics, statistics_bounds, trained_norms
from visiontune.training.input.fit_preprocessing import fit_preprocessing
from visiontune.training.loop import train
from visiontune.training.setup import make_network, set_up
from visiontune.training.train_recipe import examine
from visiontune.training.weights_file import save_weights

CNN = model_section("cnn", width=4, depth=2)
CPU = torch.device("cpu")


def pictures(store: Store, rows: Any) -> Tensor:
    x_NHWC = ((store.images_NHWC[rows] / 255 - store.mean_C) / store.std_C).astype(np.float32)
    return torch.from_numpy(x_NHWC).permute(0, 3, 1, 2)


def pass_order(recipe: TrialRecipe, store: Store) -> Any:
    """The pictures that statistics are of."""
    return store.train_idx[np.random.default_rng([recipe.training["seed"], 0]).permutation(len(store.train_idx))]


@pytest.mark.parametrize(
    ("training", "regularization"),
    [
        ({}, {}),
        ({"micro_batch": 5}, {}),
        ({"use_gradient_checkpointing": True}, {}),
        ({"batch_size": 64}, {"ema_decay": 0.9}),
        ({}, {"swa_share": 1.0}),
    ],
    ids=["whole batches", "micro-batches", "checkpointing", "moving average, one batch", "stochastic weight averaging"],
)
def test_they_are_what_torchs_update_bn_finds_for_the_weights_that_are_evaluated(
    training: dict[str, Any], regularization: dict[str, Any]
) -> None:
    store, recipe = make_store(), make_recipe(CNN, num_epochs=2, regularization=regularization, **training)
    *_, last = train(recipe, store)
    batch_size = min(recipe.training["batch_size"], 54)
    size, num = recipe.training["micro_batch"] or batch_size, 54 // batch_size * batch_size
    expected = copy.deepcopy(last.model)
    update_bn(list(pictures(store, pass_order(recipe, store)).split(size))[: num // size], expected)
    assert trained_norms(expected)
    for (name, found), wanted in zip(last.state()["model"].items(), expected.state_dict().values(), strict=True):
        assert torch.allclose(found, wanted, rtol=1e-4, atol=1e-5), name


class Reads(TorchDispatchMode):
    """Counts the values that are read out of tensors, which a GPU is waited for."""

    num = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.num += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **kwargs or {})


def test_the_pass_reads_no_value() -> None:
    """As torch's own cumulative average does in every layer, for every batch: its counter is a tensor."""
    network = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Linear(6, 2))
    mark(network, stages=(), head="2")
    with Reads() as reads:
        refresh_statistics(network, [(torch.randn(4, 1, 8, 8), torch.zeros(4))] * 3)
    assert reads.num == 0 and network[1].num_batches_tracked.tolist() == 3


def test_what_a_layer_is_given_has_mean_0_and_variance_1_without_dropout_and_without_random_numbers() -> None:
    """At the first layer, whose input no other statistics change, and with dropout, which would be seen in the second's."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Dropout(0.5), nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Dropout(0.5), nn.Linear(6, 2), nn.BatchNorm2d(3))
    mark(network, stages=(), head="4")
    x_NCHW, before = torch.randn(64, 1, 8, 8), torch.get_rng_state()
    refresh_statistics(network, [(x_NCHW, torch.zeros(64))])
    assert torch.equal(torch.get_rng_state(), before) and not any(module.training for module in network.modules())
    assert [norm.momentum for norm in trained_norms(network)] == [0.1, 0.1]
    network.eval()
    for depth in (3, 6):
        out_NCHW = network[:depth](x_NCHW)
        assert torch.allclose(out_NCHW.mean((0, 2, 3)), torch.zeros(3), atol=1e-5)
        assert torch.allclose(out_NCHW.var((0, 2, 3)), torch.ones(3), atol=1e-3)


def test_frozen_ones_keep_theirs_and_a_network_without_any_pays_nothing(tmp_path: Path) -> None:
    store = make_store()
    (before,) = train(make_recipe(CNN, num_epochs=1), store)
    save_weights(before.model, tmp_path / "before.safetensors")
    kept = {name: tensor.clone() for name, tensor in before.model.state_dict().items()}
    transfer = {"regime": "fine_tune_last", "num_stages": 1, "weights": str(tmp_path / "before.safetensors")}
    (after,) = train(make_recipe(CNN, sections={"transfer": transfer}, num_epochs=1, seed=1), store)
    names = [name for name in kept if name.endswith("running_mean")]
    assert [torch.equal(kept[name], after.model.state_dict()[name]) for name in names] == [True, False]
    linear = make_recipe(CNN, sections={"transfer": {"regime": "linear", "weights": transfer["weights"]}})
    for recipe in (linear, make_recipe(model_section("lenet5"))):
        assert set_up(recipe, store, CPU).statistics_bounds == [0]


@pytest.mark.parametrize(
    ("num", "batch_size", "num_taken"),
    [(54, 16, 48), (54, 64, 54), (1024, 64, 256), (1000, 300, 300), (4096, 64, 512), (100_000, 100, 1100), (100_000, 4096, 4096)],
)
def test_an_eighth_of_an_epoch_is_taken_but_256_to_1024_pictures_in_whole_batches(num: int, batch_size: int, num_taken: int) -> None:
    assert statistics_bounds(mark(nn.Sequential(nn.BatchNorm2d(1)), stages=(), head="0"), num, batch_size)[-1] == num_taken


@pytest.mark.parametrize("is_frozen", [False, True])
def test_no_pass_takes_more_pictures_at_once_than_a_step(is_frozen: bool, tmp_path: Path) -> None:
    """Steps, statistics, validation, test, or the features of a frozen body."""
    store, transfer = make_store(num=120), {}
    if is_frozen:
        save_weights(
            make_network(make_recipe(CNN), store, fit_preprocessing({"name": "standardize", "colour": "stored"}, store), CPU),
            tmp_path / "a.safetensors",
        )
        transfer = {"transfer": {"regime": "freeze_first", "num_frozen": 1, "weights": str(tmp_path / "a.safetensors")}}
    recipe = make_recipe(CNN, num_epochs=1, batch_size=16, micro_batch=4, sections=transfer)
    sizes: list[int] = []
    original = nn.Conv2d.forward

    def spy(module: nn.Conv2d, x_NCHW: Tensor) -> Tensor:
        sizes.append(len(x_NCHW))
        return original(module, x_NCHW)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nn.Conv2d, "forward", spy)
        (epoch,) = train(recipe, store)
        examine(epoch, store)
    assert max(sizes) == 4


@pytest.mark.heavy
def test_the_last_batch_does_not_decide() -> None:
    """Two pictures over, no picture over: no further apart than seeds are. With the two as a batch, means were .518 and .780."""
    from sklearn.datasets import load_digits

    data = load_digits()
    images_NHWC = (data.images[..., None] * 255 / 16).astype(np.uint8)

    def top1(num: int, seed: int) -> float:
        order = np.random.default_rng(0).permutation(len(data.target))
        splits = {"train_idx": np.sort(order[:num]), "val_idx": order[1100:], "test_idx": order[1100:]}
        unit = images_NHWC[splits["train_idx"]] / 255
        moments = {"mean_C": unit.mean((0, 1, 2)).astype(np.float32), "std_C": unit.std((0, 1, 2)).astype(np.float32)}
        names = tuple(map(str, range(10)))
        store = Store(Path("made"), f"digits {num}", names, images_NHWC, data.target.astype(np.int64), **splits, **moments)
        recipe = make_recipe(model_section("cnn", width=8, depth=2), optimizer_args={"lr": 0.1}, num_epochs=4, batch_size=128, seed=seed)
        return [epoch.metrics["val_top1"] for epoch in train(recipe, store)][-1]

    by_num = {num: [top1(num, seed) for seed in range(4)] for num in (1024, 1026)}
    means, deviations = ([float(of(values)) for values in by_num.values()] for of in (np.mean, np.std))
    assert abs(means[0] - means[1]) < max(*deviations, 0.01) and min(means) > 0.8
