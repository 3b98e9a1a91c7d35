"""Figures beyond loss and top-1, and the table of classes, against scikit-learn and closed forms."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from opened_splits import ON_CPU
from sklearn.metrics import confusion_matrix, f1_score, precision_recall_fscore_support, recall_score, top_k_accuracy_score
from tiny import make_store, model_section
from torch import Tensor

from visiontune.models.build import build_model
from visiontune.training import torch_metrics
from visiontune.training.evaluate import evaluate, measure, open_split
from visiontune.training.input.fit_preprocessing import fit_preprocessing
from visiontune.training.torch_metrics import FullMetrics

CPU = torch.device("cpu")


def some(num_classes: int, num: int = 300, scale: float = 3.0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(num_classes)
    y_N = torch.randint(num_classes, (num,), generator=generator)
    logits_NK = scale * torch.randn(num, num_classes, generator=generator)
    logits_NK[torch.arange(num), y_N] += 2.0
    return logits_NK, y_N


def full(logits_NK: Tensor, y_N: Tensor, batch_size: int = 64) -> dict[str, float]:
    found = FullMetrics(logits_NK.shape[1], CPU)
    for logits, y in zip(logits_NK.split(batch_size), y_N.split(batch_size), strict=True):
        found.update(logits, y)
    return found.compute()


def calibration_error(logits_NK: Tensor, y_N: Tensor, num_bins: int = 15) -> float:
    """Eq. 3 of Guo et al. 2017."""
    sure_N, guess_N = logits_NK.double().softmax(1).max(1)
    bin_N = (sure_N * num_bins).long().clamp(max=num_bins - 1)
    error = 0.0
    for one in range(num_bins):
        inside = bin_N == one
        if inside.any():
            gap = (guess_N[inside] == y_N[inside]).double().mean() - sure_N[inside].mean()
            error += inside.double().mean().item() * abs(gap.item())
    return error


@pytest.mark.parametrize("num_classes", [2, 3, 6, 20])
def test_figures_are_scikit_learns(num_classes: int) -> None:
    logits_NK, y_N = some(num_classes)
    found, guess_N = full(logits_NK, y_N), logits_NK.argmax(1)
    assert found["macro_recall"] == pytest.approx(recall_score(y_N, guess_N, average="macro"), rel=1e-5)
    assert found["macro_f1"] == pytest.approx(f1_score(y_N, guess_N, average="macro"), rel=1e-5)
    assert found["calibration_error"] == pytest.approx(calibration_error(logits_NK, y_N), rel=1e-3)
    k = min(5, num_classes - 1)
    scores = logits_NK[:, 1] - logits_NK[:, 0] if num_classes == 2 else logits_NK
    assert found["top5"] == pytest.approx(top_k_accuracy_score(y_N, scores, k=k, labels=range(num_classes) if num_classes > 2 else None))


def test_a_class_that_does_not_occur_is_scikit_learns_too() -> None:
    logits_NK, y_N = some(6)
    keep = y_N != 4
    found = full(logits_NK[keep], y_N[keep])
    guess_N = logits_NK[keep].argmax(1)
    assert (guess_N == 4).any()
    assert found["macro_recall"] == pytest.approx(recall_score(y_N[keep], guess_N, labels=[0, 1, 2, 3, 5], average="macro"), rel=1e-5)
    assert found["macro_f1"] == pytest.approx(f1_score(y_N[keep], guess_N, average="macro", zero_division=0), rel=1e-5)


def test_a_probability_of_1_is_in_the_last_bin() -> None:
    """Bins are ((m - 1) / M, m / M]; scores that are far apart have a probability of just 1 in float32."""
    logits_NK = torch.tensor([[40.0, 0.0], [3.0, 0.0], [3.0, 0.0], [40.0, 0.0]])
    y_N = torch.tensor([1, 0, 0, 0])
    assert full(logits_NK, y_N)["calibration_error"] == pytest.approx(calibration_error(logits_NK, y_N), rel=1e-5)


def test_logits_between_0_and_1_are_not_taken_for_probabilities() -> None:
    logits_NK, y_N = some(4)
    logits_NK = logits_NK.sigmoid()
    assert full(logits_NK, y_N)["calibration_error"] == pytest.approx(calibration_error(logits_NK, y_N), rel=1e-3)


def network() -> Any:
    return build_model(model_section("lenet5"), num_classes=3, in_channels=1, image_size=16, seed=0)


def test_measure_adds_them_when_asked_and_gives_the_plain_ones_as_without() -> None:
    store = make_store()
    model, preprocessing = network(), fit_preprocessing({"name": "standardize", "colour": "stored"}, store)
    plain = measure(model, open_split(store, "val", preprocessing, "cpu"))
    every = evaluate(model, store, "val", preprocessing=preprocessing, arithmetic=ON_CPU, batch_size=5)
    assert set(plain) == {"loss", "top1"}
    assert set(every) == {*plain, "top5", "macro_recall", "macro_f1", "calibration_error"}
    assert every["loss"] == pytest.approx(plain["loss"], rel=1e-5) and every["top1"] == plain["top1"]


def test_measure_takes_any_callable_and_logits_of_half_the_digits() -> None:
    store = make_store()
    pictures = open_split(store, "val", fit_preprocessing({"name": "standardize", "colour": "stored"}, store), "cpu")
    model = network().eval()
    exact, half = measure(model, pictures), measure(lambda x: model(x).bfloat16(), pictures)
    assert half["loss"] == pytest.approx(exact["loss"], rel=1e-2) and half["loss"] != exact["loss"]


def test_a_network_that_ran_away_gives_nan_and_no_crash() -> None:
    store = make_store()
    pictures = open_split(store, "val", fit_preprocessing({"name": "standardize", "colour": "stored"}, store), "cpu")
    found = measure(lambda x: torch.full((len(x), 3), math.nan), pictures, use_full_metrics=True)
    assert all(math.isnan(found[name]) for name in ("loss", "top5", "macro_recall", "macro_f1", "calibration_error"))


class Given:
    """Pictures that are logits already."""

    device = CPU

    def __init__(self, logits_NK: Tensor, y_N: Tensor) -> None:
        self.batch = (logits_NK, y_N)

    def __len__(self) -> int:
        return len(self.batch[1])

    def batches(self, order_N: Any, bounds: list[int]) -> Iterator[tuple[Tensor, Tensor]]:
        """The whole in the sizes asked for."""
        sizes = [high - low for low, high in pairwise(bounds)]
        return zip(*(part.split(sizes) for part in self.batch), strict=True)


def test_table_of_classes_is_scikit_learns() -> None:
    logits_NK, y_N = some(4)
    logits_NK[:, 3] = -100.0  # never predicted
    given: Any = Given(logits_NK, y_N)
    table = torch_metrics.test_table(lambda x: x, given, ("a", "b", "c", "d"), batch_size=64)
    peer = precision_recall_fscore_support(y_N, logits_NK.argmax(1), zero_division=0)
    for ours, theirs in zip((table.precision, table.recall, table.f1, table.support), peer, strict=True):
        assert np.allclose(ours, theirs, rtol=1e-5)
    assert np.array_equal(table.confusion, confusion_matrix(y_N, logits_NK.argmax(1)))
    assert table.to_dict()["classes"] == ("a", "b", "c", "d")
