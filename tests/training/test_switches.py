"""Switches of arithmetic and memory change speed and memory and, within tolerance, nothing else."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from tiny import least_args, make_recipe, make_store, model_section, section
from torch import nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks

from visiontune.augmentation.mixing import build_mixing
from visiontune.models.build import build_model
from visiontune.spec.tables.models import MODELS
from visiontune.training.arithmetic import Arithmetic
from visiontune.training.gradient_checkpointing import checkpoint_stages
from visiontune.training.loop import train
from visiontune.training.loss import build_loss
from visiontune.training.optim.lookahead import lookahead
from visiontune.training.optim.optimizer import sgd
from visiontune.training.optim.param_groups import LearnedParameter
from visiontune.training.optim.sharpness_aware import asam, one_pass, sam
from visiontune.training.setup import set_up
from visiontune.training.step import Stepper, num_micro_batches

CNN = model_section("cnn", width=8, depth=2)


def losses(model=CNN, regularization=None, augmentation=None, **training):
    """val_loss after each of two epochs."""
    recipe = make_recipe(model, num_epochs=2, regularization=regularization, augmentation=augmentation, **training)
    return [epoch.metrics["val_loss"] for epoch in train(recipe, make_store())]


@pytest.mark.parametrize(
    ("switch", "tolerance"),
    [
        ({"use_channels_last": False}, 1e-5),
        ({"use_gradient_checkpointing": True}, 1e-6),
        ({"precision": "bf16"}, 0.05),
        ({"precision": "fp16"}, 0.02),
        pytest.param(
            {"use_compile": True, "use_gradient_checkpointing": True},
            1e-4,
            marks=[pytest.mark.heavy, pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")],
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_switch_leaves_the_losses_as_they_were(switch, tolerance):
    assert losses(**switch) == pytest.approx(losses(), rel=tolerance)


GROWING = {"resize": "progressive", "resize_from": 0.5, "resize_multiple": 4, "repeated_augmentation": 2}


@pytest.mark.parametrize(
    ("switch", "tolerance"),
    [({"use_channels_last": False}, 1e-5), ({"use_gradient_checkpointing": True}, 1e-6), ({"micro_batch": 5}, 1e-4)],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_switch_leaves_the_losses_of_growing_pictures_that_come_twice_as_they_were(switch, tolerance):
    """Without batch normalisation, which sees parts."""
    plain, drawn = model_section("cnn", width=8, depth=2, norm="none"), {"policy": "trivialaugment", "mixing": "mixup"}
    before = losses(plain, augmentation=drawn, **GROWING)
    assert losses(plain, augmentation=drawn, **GROWING, **switch) == pytest.approx(before, rel=tolerance)
    for key in ("resize", "repeated_augmentation"):
        off = {name: value for name, value in GROWING.items() if not name.startswith(key)}
        assert losses(plain, augmentation=drawn, **off) != pytest.approx(before, rel=1e-3), f"{key} must really change the pictures"


def test_gradients_of_parts_are_those_of_the_batch():
    """Without batch normalisation; 16 in parts of 5 are four of 4, and a part is never a lone picture."""
    plain = model_section("lenet5")
    assert losses(plain, micro_batch=5) == pytest.approx(losses(plain), rel=1e-5)
    assert losses(plain, micro_batch=5) != losses(plain), "it must really go in parts"
    assert losses(plain, micro_batch=15) == pytest.approx(losses(plain), rel=1e-5)


def test_no_part_of_a_batch_is_a_lone_picture():
    for num in range(2, 70):
        for micro_batch in range(2, 70):
            sizes = [len(part) for part in torch.arange(num).tensor_split(num_micro_batches(num, micro_batch))]
            assert min(sizes) >= 2 and max(sizes) <= micro_batch + 1 and sum(sizes) == num
    assert num_micro_batches(5, 1) == 5 and num_micro_batches(5, 0) == 1 and num_micro_batches(1, 4) == 1


@pytest.mark.parametrize("regularization", [{"l1": 1e-3, "l2": 1e-3}, {"clip_norm": 0.1}, {"gradient_noise": 0.1}])
def test_what_is_done_to_gradients_is_done_once_for_all_parts(regularization):
    plain = model_section("lenet5")
    assert losses(plain, regularization, micro_batch=4) == pytest.approx(losses(plain, regularization), rel=1e-4)
    assert losses(plain, regularization) != pytest.approx(losses(plain), rel=1e-4)


@pytest.mark.parametrize("regularization", [{"l2": 0.5}, {"clip_norm": 0.1}])
def test_what_is_done_to_gradients_is_done_without_the_scale_of_fp16(regularization):
    plain = model_section("lenet5")
    assert losses(plain, regularization, precision="fp16") == pytest.approx(losses(plain, regularization), rel=0.02)
    assert losses(plain, regularization) != pytest.approx(losses(plain), rel=0.02)


@pytest.mark.parametrize(("mixing", "sharpness"), [("none", one_pass), ("mixup", sam), ("cutmix", asam), ("random_erasing", one_pass)])
def test_no_step_waits_for_a_gpus_values(mixing, sharpness):
    """Tensors without memory stand for the GPU's, and refuse to be read."""
    regularization = section("regularization", {"l1": 1e-3, "l2": 1e-3, "clip_norm": 1.0, "gradient_noise": 0.1, "ema_decay": 0.9})
    recipe = make_recipe(augmentation={"policy": "none", "mixing": mixing}, micro_batch=8)
    loss = build_loss(recipe.loss, {**recipe.balance, "class_weights": "none"}, np.arange(3), 3)
    with FakeTensorMode(allow_non_fake_inputs=True):
        network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 14 * 14, 3))
        parameters = [LearnedParameter(parameter) for parameter in network.parameters()]
        mix, arithmetic = build_mixing(recipe.augmentation, 0), Arithmetic(torch.device("cpu"), "bf16")
        around = {"sharpness": sharpness if sharpness is one_pass else sharpness(network), "slow_weights": lookahead(network)}
        weights, sections = list(network.parameters()), (regularization, recipe.training)
        stepper = Stepper(network, loss, sgd(parameters), weights, *sections, arithmetic, mix, **around)
        for number in range(3):
            total = stepper.step(torch.zeros(16, 1, 16, 16), torch.zeros(16, dtype=torch.int64), 0.1, number)
        with pytest.raises(DataDependentOutputException):
            total.item()


FAMILIES = ["lenet5", "zfnet", "nin", "cnn", "resnet18", "wideresnet", "densenet121", "mobilenet_v3_small", "convnext_tiny"]
LARGE_FAMILIES = ["alexnet", "vgg11", "vgg11_bn", "googlenet", "xception", "efficientnet"]


@pytest.mark.parametrize("name", [*FAMILIES, *(pytest.param(name, marks=pytest.mark.heavy) for name in LARGE_FAMILIES)])
def test_checkpointing_keeps_the_inputs_of_stages_and_changes_no_bit(name):
    model = model_section(name, "elu", **least_args(MODELS.entries[name]))

    def passed(use):
        network = build_model(model, num_classes=3, in_channels=3, image_size=64, seed=0)
        if use:
            checkpoint_stages(network)
        torch.manual_seed(0)  # dropout's
        x_NCHW = torch.randn(4, 3, 64, 64)
        held = {tensor.untyped_storage().data_ptr() for tensor in (x_NCHW, *network.parameters())}
        sizes = {}

        def pack(tensor):
            sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with saved_tensors_hooks(pack, lambda tensor: tensor):
            outputs = network(x_NCHW)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        sum(logits_NK.logsumexp(1).sum() for logits_NK in outputs).backward()
        gradients = [parameter.grad for parameter in network.parameters()]
        return sum(size for pointer, size in sizes.items() if pointer not in held), [*outputs, *gradients, *network.buffers()]

    (kept, found), (whole, expected) = passed(True), passed(False)
    assert kept < 0.2 * whole  # measured: alexnet .19, others to .11
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


def test_averages_are_what_is_evaluated_and_training_goes_on_from_the_weights():
    """The first epoch's weights are the same with and without averages; what is measured is not."""
    recipe = make_recipe(CNN, num_epochs=2, regularization={"ema_decay": 0.9})
    averaged = list(train(recipe, make_store()))
    plain = list(train(make_recipe(CNN, num_epochs=2), make_store()))
    assert [e.metrics["train_loss"] for e in averaged] == [e.metrics["train_loss"] for e in plain]
    assert all(a.metrics["val_loss"] != p.metrics["val_loss"] for a, p in zip(averaged, plain, strict=True))


def test_a_step_that_overflows_in_fp16_is_skipped_and_the_scale_falls():
    setup = set_up(make_recipe(CNN, precision="fp16"), make_store(), torch.device("cpu"))
    x_NCHW, y_N = torch.randn(4, 1, 16, 16, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 0])
    before = [parameter.clone() for parameter in setup.tail.parameters()]
    scale = setup.stepper.state_dict()["scaler"]["scale"]
    setup.stepper.step(x_NCHW * 1e30, y_N, lr=0.1, number=0)
    skipped = all(torch.equal(old, new) for old, new in zip(before, setup.tail.parameters(), strict=True))
    fell = setup.stepper.state_dict()["scaler"]["scale"] < scale
    assert skipped and fell
    for number in range(1, 20):
        setup.stepper.step(x_NCHW, y_N, lr=0.1, number=number)
    assert not all(torch.equal(old, new) for old, new in zip(before, setup.tail.parameters(), strict=True))


def test_early_stopping_ends_after_epochs_without_a_lower_loss_and_a_resumed_run_agrees():
    store = make_store()
    recipe = make_recipe(CNN, num_epochs=30, optimizer_args={"lr": 1e-30}, regularization={"early_stop_epochs": 2})
    epochs = list(train(recipe, store))
    losses = [epoch.metrics["val_loss"] for epoch in epochs]
    assert len(epochs) < 30 and epochs[-1].is_last and not any(epoch.is_last for epoch in epochs[:-1])
    assert len(losses) - 1 - losses.index(min(losses)) == 2
    assert list(train(recipe, store, resume=epochs[-1].state())) == []
