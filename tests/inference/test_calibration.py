"""The temperature against a known one and a closed form; the error against torchmetrics and by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchmetrics.functional.classification import multiclass_calibration_error

from visiontune.errors import UserError
from visiontune.inference.calibration import HIGHEST, fit_temperature, plot_reliability, reliability


def drawn(num: int, temperature: float) -> tuple[Tensor, Tensor]:
    """Logits that are `temperature` times those by which the classes were drawn."""
    generator = torch.Generator().manual_seed(0)
    z_NK = torch.randn(num, 5, generator=generator) * 2
    y_N = torch.multinomial(z_NK.softmax(1), 1, generator=generator)[:, 0]
    return z_NK * temperature, y_N


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_the_temperature_that_logits_were_heated_by_is_found(temperature: float) -> None:
    logits_NK, y_N = drawn(20_000, temperature)
    found = fit_temperature(logits_NK, y_N.numpy())
    assert found == pytest.approx(temperature, rel=0.03)
    assert reliability(logits_NK, y_N, found).error < 0.01
    if temperature != 1.0:
        assert reliability(logits_NK, y_N).error > 0.1


def test_two_classes_have_the_temperature_that_gives_the_share_that_is_right() -> None:
    """Nine of ten right at logits (3, 0): 1 / (1 + exp(-3 / T)) must be 0.9."""
    logits_NK, y_N = torch.tensor([[3.0, 0.0]]).repeat(10, 1), torch.tensor([0] * 9 + [1])
    assert fit_temperature(logits_NK, y_N) == pytest.approx(3 / math.log(9), rel=1e-9)
    assert fit_temperature(logits_NK, 1 - y_N) == pytest.approx(HIGHEST)  # nine of ten wrong: as even as it may be
    assert fit_temperature(logits_NK[:9], y_N[:9]) == 1.0 == fit_temperature(logits_NK[:0], y_N[:0])
    with pytest.raises(UserError, match="NaN or infinite"):
        fit_temperature(logits_NK * math.nan, y_N)


def test_the_error_is_that_of_torchmetrics_and_a_bin_is_counted_by_hand() -> None:
    logits_NK, y_N = drawn(500, 2.0)
    theirs = multiclass_calibration_error(logits_NK.double().softmax(1), y_N, num_classes=5, n_bins=15).item()
    assert reliability(logits_NK, y_N).error == pytest.approx(theirs, abs=1e-6)
    one = reliability(torch.tensor([[0.0, 0.0], [0.0, 0.0], [9.0, 0.0]]), np.array([0, 1, 0]))
    assert one.num_B == (0,) * 7 + (2,) + (0,) * 6 + (1,) and one.top1_B[7] == 0.5 == one.probability_B[7]
    assert one.to_dict()["top1_B"][0] is None and one.error == pytest.approx((1 / (1 + math.exp(9))) / 3, abs=1e-9)


def test_the_diagram_is_a_picture(tmp_path: Path) -> None:
    logits_NK, y_N = drawn(200, 2.0)
    sure = reliability(torch.tensor([[9.0, 0.0]]).repeat(229, 1), np.zeros(229, np.int64))  # its interval ends there
    plot_reliability({"as trained": reliability(logits_NK, y_N), "all right": sure}, tmp_path / "a" / "r.png")
    assert Image.open(tmp_path / "a" / "r.png").size == (600, 720)
