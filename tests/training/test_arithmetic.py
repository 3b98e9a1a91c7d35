"""Torch's flags follow the recipe and no other recipe of the process; what no GPU is needed for."""

from __future__ import annotations

from operator import attrgetter

import pytest
import torch
from tiny import make_recipe, make_store

from visiontune.errors import UserError
from visiontune.training.arithmetic import Arithmetic, exactly
from visiontune.training.loop import train

GPU = torch.device("cuda")


def flags() -> tuple[bool, ...]:
    backends = torch.backends
    is_deterministic = torch.are_deterministic_algorithms_enabled()
    return backends.cudnn.allow_tf32, backends.cuda.matmul.allow_tf32, backends.cudnn.benchmark, is_deterministic


@pytest.mark.parametrize(
    ("precision", "use_deterministic", "expected"),
    [
        ("fp32", False, (False, False, True, False)),
        ("bf16", False, (False, False, True, False)),
        ("tf32", True, (True, True, False, True)),
    ],
)
def test_flags_are_the_recipes_in_a_block_and_as_before_after_it(
    precision: str, use_deterministic: bool, expected: tuple[bool, ...]
) -> None:
    before = flags()
    with pytest.raises(ZeroDivisionError), Arithmetic(GPU, precision, use_deterministic).set_flags():
        assert flags() == expected
        assert torch.backends.cuda.matmul.fp32_precision == ("tf32" if precision == "tf32" else "ieee")
        with exactly(torch.device("cpu")):
            assert flags()[:2] == (False, False)
        assert flags() == expected
        raise ZeroDivisionError
    assert flags() == before


@pytest.mark.parametrize("precision", ["highest", "high", "medium"])
def test_a_process_has_its_own_precision_and_kernels_again(precision: str) -> None:
    """As torch is asked for them, also those that a CPU's products have."""
    backends, before = torch.backends, torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    backends.cudnn.benchmark = True
    torch.use_deterministic_algorithms(True)
    try:
        with Arithmetic(GPU, "fp32").set_flags():
            assert torch.get_float32_matmul_precision() == "highest" and backends.mkldnn.matmul.fp32_precision == "ieee"
            with exactly(GPU):
                assert torch.get_float32_matmul_precision() == "highest"
        assert torch.get_float32_matmul_precision() == precision and backends.cudnn.benchmark
    finally:
        torch.set_float32_matmul_precision(before)
        backends.cudnn.benchmark = False
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("of", ["cuda.matmul", "cudnn.conv"])
def test_beside_torchs_newer_switches_one_sentence_says_why_not(of: str) -> None:
    backend = attrgetter(of)(torch.backends)
    before = backend.fp32_precision
    backend.fp32_precision = "tf32" if of == "cuda.matmul" else "ieee"
    try:
        with pytest.raises(UserError, match=r"has set torch's fp32_precision, .*: training\.precision says how a recipe computes"):
            next(train(make_recipe(), make_store()))
    finally:
        backend.fp32_precision = before


def test_between_two_epochs_the_flags_are_those_of_the_process() -> None:
    """A worker and a notebook do other things there, and may train another recipe."""
    before, recipe = flags(), make_recipe(num_epochs=2, use_deterministic=True)
    losses = []
    for epoch in train(recipe, make_store()):
        assert flags() == before and epoch.arithmetic.how == "fp32 on cpu, deterministic"
        losses.append(epoch.metrics["val_loss"])
    assert losses == [epoch.metrics["val_loss"] for epoch in train(make_recipe(num_epochs=2), make_store())]


def test_an_operation_without_a_deterministic_form_is_the_recipes_fault() -> None:
    with pytest.raises(UserError, match=r"use_deterministic can't be kept.*adaptive_avg_pool2d"), Arithmetic(GPU, "fp32", True).set_flags():
        raise RuntimeError("adaptive_avg_pool2d_backward_cuda does not have a deterministic implementation, but you set\n...")


@pytest.mark.parametrize(("capability", "used"), [(None, "fp32 on cpu"), ((7, 5), "fp32 on cuda"), ((8, 0), "tf32 on cuda")])
def test_tf32_is_told_where_it_is_used(capability: tuple[int, int] | None, used: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nvidia's Ampere, 8.0, was the first to have it."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    device = GPU if capability else torch.device("cpu")
    assert Arithmetic.of(make_recipe(precision="tf32").training, device).how == used


def test_auto_is_full_precision_where_there_is_no_gpu() -> None:
    recipe = make_recipe(precision="auto", num_epochs=1)
    [epoch] = train(recipe, make_store())
    [plain] = train(make_recipe(num_epochs=1), make_store())
    assert epoch.arithmetic.precision == "fp32" and epoch.metrics["val_loss"] == plain.metrics["val_loss"]
