"""fp32 is fp32 and TF32 is not, `auto` takes bf16 where there are units for it, and a test is measured as a validation is."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
import torch
from tiny import make_recipe, make_store, model_section
from torch import Tensor
from torch.nn import functional as F

from visiontune.training.arithmetic import Arithmetic, exactly
from visiontune.training.evaluate import evaluate
from visiontune.training.loop import train

# Largest error by largest value: full precision is off by 3e-7, factors of 10 bits by 2.7e-4 (rounded so on a CPU).
BETWEEN = 3e-5


def errors(device: str) -> dict[str, float]:
    """Of a product and of a convolution, against float64 on the CPU."""
    draw = torch.Generator().manual_seed(0)
    cases = {
        "product": (torch.matmul, torch.randn(512, 512, generator=draw), torch.randn(512, 512, generator=draw)),
        "convolution": (F.conv2d, torch.randn(8, 64, 16, 16, generator=draw), torch.randn(64, 64, 3, 3, generator=draw)),
    }

    def error(of: object, one: Tensor, other: Tensor) -> float:
        exact = of(one.double(), other.double())  # type: ignore[operator]
        found = of(one.to(device), other.to(device)).cpu().double()  # type: ignore[operator]
        return float((found - exact).abs().max() / exact.abs().max())

    return {name: error(*case) for name, case in cases.items()}


def rounds_to_10_bits(device: str) -> bool:
    return device == "cuda" and torch.cuda.is_tf32_supported()


@pytest.mark.parametrize("precision", ["fp32", "tf32"])
def test_full_precision_is_full_in_products_and_convolutions_and_tf32_is_not(device: str, precision: str) -> None:
    arithmetic = Arithmetic(torch.device(device), precision)
    with arithmetic.evaluating():
        found = errors(device)
        with exactly(arithmetic.device):
            exact = errors(device)
    is_rounded = precision == "tf32" and rounds_to_10_bits(device)
    assert (found["product"] > BETWEEN) == is_rounded, found
    # cuDNN may round where it is allowed to: of a small convolution's kernels another may be faster.
    assert found["convolution"] < BETWEEN or is_rounded, found
    assert max(exact.values()) < BETWEEN


def test_auto_is_bf16_where_the_gpu_has_units_for_it(device: str) -> None:
    arithmetic = Arithmetic.of(make_recipe(precision="auto").training, torch.device(device))
    has_units = device == "cuda" and torch.cuda.get_device_capability() >= (8, 0)
    assert arithmetic.precision == ("bf16" if has_units else "fp32")
    with arithmetic.evaluating():
        product_dtype = (torch.ones(8, 8, device=device) @ torch.ones(8, 8, device=device)).dtype
    assert product_dtype == (torch.bfloat16 if has_units else torch.float32)


def test_a_test_is_measured_as_a_validation_is(device: str) -> None:
    """Over the same pictures, to the last bit; in fp32 it would be another figure."""
    made = make_store()
    store, recipe = replace(made, test_idx=made.val_idx), make_recipe(num_epochs=1, precision="bf16", use_deterministic=True)
    [epoch] = train(recipe, store, device=device)
    shared = {"preprocessing": epoch.preprocessing, "batch_size": epoch.num_at_once, "use_full_metrics": False}
    found = {
        precision: evaluate(epoch.model, store, "test", arithmetic=replace(epoch.arithmetic, precision=precision), **shared)  # type: ignore[arg-type]
        for precision in ("bf16", "fp32")
    }
    val = {name: epoch.metrics[f"val_{name}"] for name in ("loss", "top1")}
    assert found["bf16"] == val and found["fp32"]["loss"] != val["loss"]


@pytest.mark.parametrize(("precision", "channels_last"), product(("bf16", "fp16"), (True, False)))
def test_halved_precision_trains_as_the_whole_one(device: str, precision: str, channels_last: bool) -> None:
    def losses(precision: str) -> list[float]:
        recipe = make_recipe(model_section("lenet5"), num_epochs=2, precision=precision, use_channels_last=channels_last)
        return [epoch.metrics["val_loss"] for epoch in train(recipe, make_store(), device=device)]

    assert losses(precision) == pytest.approx(losses("fp32"), rel=0.05)
