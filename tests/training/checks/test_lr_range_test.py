"""The range test against the rate at which gradient descent on a quadratic is known to diverge, 2 / (largest curvature)."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from visiontune.training.checks.lr_range_test import RangeTest, compare, range_test, smoothed


@pytest.mark.parametrize("curvature", [0.01, 1.0, 50.0, 1000.0])
@pytest.mark.parametrize(("noise", "factor"), [(0.1, 2.0), (0.0, 6.5)])
def test_the_edge_of_a_quadratic_is_two_over_its_curvature(curvature: float, noise: float, factor: float) -> None:
    random = np.random.default_rng(0)
    curvatures, w = curvature * np.linspace(0.02, 1, 10), np.ones(10)

    def step(lr: float) -> float:
        nonlocal w
        loss = float((curvatures * w * w).sum() / 2)
        w = w - lr * curvatures * (w + noise * random.standard_normal(10))
        return loss

    found = range_test(step, 1e-6, 1e4)
    assert found.is_stopped and found.edge is not None and found.begins is not None
    assert 1 / factor < found.edge * curvature / 2 < factor
    assert found.begins < 0.2 / curvature


def test_a_linear_model_trained_by_sgd_diverges_where_its_hessian_says() -> None:
    generator = torch.Generator().manual_seed(0)
    x_ND = torch.randn(400, 8, generator=generator)
    y_N = x_ND @ torch.randn(8, generator=generator) + 0.3 * torch.randn(400, generator=generator)
    w = torch.zeros(8, requires_grad=True)
    optimizer = torch.optim.SGD([w])

    def step(lr: float) -> float:
        rows = torch.randint(400, (50,), generator=generator)
        loss = ((x_ND[rows] @ w - y_N[rows]) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.param_groups[0]["lr"] = lr
        optimizer.step()
        return loss.item()

    found = range_test(step, 1e-5, 100.0)
    largest = float(torch.linalg.eigvalsh(2 * x_ND.T @ x_ND / 400)[-1])
    assert found.edge is not None and 1 / 3 < found.edge * largest / 2 < 3
    assert found.suggested is not None and found.suggested[1] * largest / 2 < 1


def test_a_loss_that_never_falls_or_is_not_a_number_has_no_range() -> None:
    random = np.random.default_rng(0)
    assert range_test(lambda lr: 2.3 + 0.001 * random.standard_normal(), 1e-5, 1.0).suggested is None
    at_once = range_test(lambda lr: math.nan, 1e-5, 1.0)
    assert at_once.is_stopped and at_once.losses == () and at_once.edge is None


@pytest.mark.parametrize("seed", range(20))
def test_noise_of_tiny_batches_is_no_fall_and_no_edge(seed: int) -> None:
    random = np.random.default_rng(seed)
    assert range_test(lambda lr: 1.4 + 0.35 * random.standard_normal(), 1e-6, 10.0).suggested is None
    falling = range_test(lambda lr: (1.4 if lr < 1e-3 else 0.3 if lr < 0.1 else 9.0) + 0.35 * random.standard_normal(), 1e-6, 10.0)
    assert falling.edge is not None and 0.02 < falling.edge < 0.15


def test_smoothing_moves_no_fall() -> None:
    assert smoothed([3.0] * 10 + [1.0] * 10).tolist() == [3.0] * 10 + [1.0] * 10
    assert smoothed([1.0] * 6 + [9.0] + [1.0] * 6).max() == 1.0


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (1e-3, 0.3, "ok"),
        (1e-4, 1.0, "ok"),
        (2.0, 10.0, "look"),
        (2.0, 2.0, "look"),
        (5.0, 10.0, "bad"),
        (0.01, 0.01, "ok"),
        (1e-6, 1e-6, "look"),
        (1e-8, 1e-5, "look"),
        (1e-4, 0.02, "look"),
        (0.5, 50.0, "look"),
    ],
)
def test_the_files_rates_beside_what_was_found(low: float, high: float, verdict: str) -> None:
    found = RangeTest((), (), begins=1e-3, edge=0.9, is_stopped=True, not_finite_at=5.0)
    assert found.suggested == pytest.approx((1e-3, 0.3))
    told, hint = compare(low, high, found)
    assert told == verdict and bool(hint) == (verdict != "ok")
