"""Losses against torch's own where it has them, and against their papers' formulas in numpy where it has not."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from timm.loss.binary_cross_entropy import BinaryCrossEntropy
from torch import Tensor
from torch.nn import functional as F

from visiontune.augmentation.mixing import Mixed
from visiontune.training.loss import Loss, build_loss

LABELS = np.array([0] * 60 + [1] * 30 + [2] * 10)


def made(name: str = "cross_entropy", weights: str = "none", label_smoothing: float = 0.0, aux: float = 0.0, **args: Any) -> Loss:
    loss = {"name": name, "label_smoothing": label_smoothing, "focal_gamma": 2.0, **args}
    return build_loss(loss, {"name": "none", "class_weights": weights, "class_beta": 0.99}, LABELS, 3, aux)


def some(num: int = 20, scale: float = 2.0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(num)
    return scale * torch.randn(num, 3, generator=generator), torch.randint(3, (num,), generator=generator)


def weights_of(counts: list[int]) -> Tensor:
    """Inverse frequency with mean 1 over the pictures: n / (number of classes * n_k), as scikit-learn's "balanced"."""
    return torch.tensor([sum(counts) / (len(counts) * count) for count in counts])


def test_plain_cross_entropy_is_torchs_to_the_last_bit() -> None:
    logits_NK, y_N = some()
    ours, theirs = logits_NK.clone().requires_grad_(), logits_NK.clone().requires_grad_()
    minimised, plain = made()(ours, y_N)
    expected = F.cross_entropy(theirs, y_N)
    minimised.backward()
    expected.backward()
    assert torch.equal(minimised, expected) and torch.equal(plain, expected) and not plain.requires_grad
    assert torch.equal(ours.grad, theirs.grad)  # type: ignore[arg-type]


@pytest.mark.parametrize("smoothing", [0.1, 0.5])
def test_label_smoothing_is_torchs_and_stays_out_of_the_plain_figure(smoothing: float) -> None:
    logits_NK, y_N = some()
    minimised, plain = made(label_smoothing=smoothing)(logits_NK, y_N)
    assert torch.equal(minimised, F.cross_entropy(logits_NK, y_N, label_smoothing=smoothing))
    assert torch.equal(plain, F.cross_entropy(logits_NK, y_N))


def test_class_weights_are_those_of_the_training_split_and_the_sum_is_divided_by_the_pictures() -> None:
    logits_NK, y_N = some()
    weight_K = weights_of([60, 30, 10])
    each_N = F.cross_entropy(logits_NK, y_N, weight=weight_K, reduction="none")
    minimised, plain = made(weights="inverse_frequency")(logits_NK, y_N)
    assert torch.allclose(minimised, each_N.sum() / len(y_N))
    assert torch.equal(plain, F.cross_entropy(logits_NK, y_N))
    halves = [made(weights="inverse_frequency")(logits_NK[part], y_N[part])[0] for part in (slice(10), slice(10, 20))]
    assert torch.allclose(sum(halves) / 2, minimised)  # type: ignore[arg-type]


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("share", [0.3, 1.0])
def test_cross_entropy_of_mixed_weighted_and_smoothed_labels_is_torchs_of_their_shares(smoothing: float, share: float) -> None:
    """Of parts of unequal size too, each counted by its pictures."""
    (logits_NK, y_N), weight_K = some(), weights_of([60, 30, 10])
    other_N, loss = y_N.roll(1), made("cross_entropy", "inverse_frequency", smoothing)
    each_N = sum(
        part * weight_K[label_N] * F.cross_entropy(logits_NK, (1 - smoothing) * F.one_hot(label_N, 3) + smoothing / 3, reduction="none")
        for part, label_N in ((share, y_N), (1 - share, other_N))
    )
    assert torch.allclose(loss(logits_NK, Mixed(y_N, other_N, share))[0], each_N.mean())  # type: ignore[union-attr]
    parts = [loss(logits_NK[rows], Mixed(y_N[rows], other_N[rows], share))[0] * len(y_N[rows]) for rows in (slice(7), slice(7, 20))]
    assert torch.allclose(sum(parts) / 20, each_N.mean())  # type: ignore[union-attr, arg-type]


def focal_by_hand(logits_NK: Tensor, y_N: Tensor, gamma: float, smoothing: float, weight_K: Tensor | None = None) -> float:
    """Eq. 4 of Lin et al. 2017, in float64, over a smoothed label."""
    p_NK = logits_NK.double().softmax(1).numpy()
    share_NK = np.eye(3)[y_N.numpy()] * (1 - smoothing) + smoothing / 3
    loss_N = -(share_NK * (1 - p_NK) ** gamma * np.log(p_NK)).sum(1)
    return float((loss_N * (1 if weight_K is None else weight_K.double().numpy()[y_N.numpy()])).mean())


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weights", ["none", "inverse_frequency"])
def test_focal_loss_is_its_papers(gamma: float, smoothing: float, weights: str) -> None:
    logits_NK, y_N = some()
    minimised, _ = made("focal", weights, smoothing, focal_gamma=gamma)(logits_NK, y_N)
    expected = focal_by_hand(logits_NK, y_N, gamma, smoothing, None if weights == "none" else weights_of([60, 30, 10]))
    assert minimised.item() == pytest.approx(expected, rel=1e-5)


def test_focal_loss_with_gamma_0_is_cross_entropy_with_the_same_gradient() -> None:
    logits_NK, y_N = some()
    focal, cross = (logits_NK.clone().requires_grad_() for _ in range(2))
    made("focal", focal_gamma=0.0, label_smoothing=0.1)(focal, y_N)[0].backward()
    F.cross_entropy(cross, y_N, label_smoothing=0.1).backward()
    assert torch.allclose(focal.grad, cross.grad, atol=1e-7)  # type: ignore[arg-type]


@pytest.mark.parametrize("gamma", [0.0, 0.1, 1.0, 2.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_focal_loss_has_a_gradient_where_the_network_is_certain(gamma: float, smoothing: float) -> None:
    logits_NK = torch.tensor([[200.0, 0.0, -50.0], [0.0, 200.0, 0.0]], requires_grad=True)
    loss = made("focal", focal_gamma=gamma, label_smoothing=smoothing)(logits_NK, torch.tensor([0, 0]))[0]
    loss.backward()  # type: ignore[no-untyped-call]
    assert math.isfinite(loss.item()) and logits_NK.grad is not None and logits_NK.grad.isfinite().all()


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("scale", [2.0, 200.0])
def test_binary_cross_entropy_is_timms_of_mixed_and_smoothed_targets_too(smoothing: float, scale: float) -> None:
    logits_NK, y_N = some(scale=scale)
    reference, loss = BinaryCrossEntropy(smoothing, sum_classes=True), made("binary_cross_entropy", label_smoothing=smoothing)
    ours, theirs = logits_NK.clone().requires_grad_(), logits_NK.clone().requires_grad_()
    minimised, plain = loss(ours, y_N)
    expected = reference(theirs, y_N)
    minimised.backward()  # type: ignore[no-untyped-call]
    expected.backward()
    assert torch.allclose(minimised, expected) and torch.allclose(ours.grad, theirs.grad, atol=1e-6)  # type: ignore[arg-type]
    assert torch.equal(plain, F.cross_entropy(logits_NK, y_N))
    other_N, off = y_N.roll(1), smoothing / 3
    target_NK = (1 - smoothing) * (0.3 * F.one_hot(y_N, 3) + 0.7 * F.one_hot(other_N, 3)) + off
    assert torch.allclose(loss(logits_NK, Mixed(y_N, other_N, 0.3))[0], reference(logits_NK, target_NK))
    by_hand = F.binary_cross_entropy_with_logits(
        logits_NK, target_NK, reduction="none", pos_weight=torch.tensor([60.0, 30.0, 10.0]).pow(-1) * 100 - 1
    )
    assert torch.allclose(
        made("binary_cross_entropy", "none", smoothing, pos_weight="balanced")(logits_NK, Mixed(y_N, other_N, 0.3))[0],
        by_hand.sum(1).mean(),
    )
    weight_K, weighted = weights_of([60, 30, 10]), made("binary_cross_entropy", "inverse_frequency", smoothing)
    each_N = torch.stack([reference(logits_NK[k : k + 1], y_N[k : k + 1]) for k in range(len(y_N))])
    assert torch.allclose(weighted(logits_NK, y_N)[0], (weight_K[y_N] * each_N).mean())


@pytest.mark.parametrize("threshold", [0.0, 0.2, 0.5])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.65])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_hard_targets_are_timms_of_mixed_and_smoothed_ones(threshold: float, share: float, smoothing: float) -> None:
    """Of one class and of several; a picture's weight is that of its classes, by their shares; auxiliary classifiers have their own."""
    (logits_NK, y_N), args = some(), {"label_smoothing": smoothing, "target_threshold": threshold}
    reference, other_N = BinaryCrossEntropy(smoothing, threshold, sum_classes=True), y_N.roll(1)
    ours, theirs = logits_NK.clone().requires_grad_(), logits_NK.clone().requires_grad_()
    minimised, plain = made("binary_cross_entropy", **args)(ours, Mixed(y_N, other_N, share))
    one_NK = share * F.one_hot(y_N, 3) + (1 - share) * F.one_hot(other_N, 3)
    expected = reference(theirs, (1 - smoothing) * one_NK + smoothing / 3)
    minimised.backward()  # type: ignore[no-untyped-call]
    expected.backward()
    assert torch.allclose(minimised, expected) and torch.allclose(ours.grad, theirs.grad, atol=1e-6)  # type: ignore[arg-type]
    assert torch.allclose(plain, F.cross_entropy(logits_NK, one_NK)) and not plain.requires_grad
    assert torch.allclose(made("binary_cross_entropy", **args)(logits_NK, y_N)[0], reference(logits_NK, y_N))
    weighing = BinaryCrossEntropy(smoothing, threshold, pos_weight=torch.tensor(3.0), sum_classes=True)
    assert torch.allclose(made("binary_cross_entropy", pos_weight=3.0, **args)(logits_NK, y_N)[0], weighing(logits_NK, y_N))

    weight_K, target_NK = weights_of([60, 30, 10]), (1 - smoothing) * one_NK + smoothing / 3
    each_N = torch.stack([reference(logits_NK[k : k + 1], target_NK[k : k + 1]) for k in range(len(y_N))])
    weighted = made("binary_cross_entropy", "inverse_frequency", aux=0.3, **args)((logits_NK, -logits_NK), Mixed(y_N, other_N, share))[0]
    aux_N = torch.stack([reference(-logits_NK[k : k + 1], target_NK[k : k + 1]) for k in range(len(y_N))])
    assert torch.allclose(weighted, ((share * weight_K[y_N] + (1 - share) * weight_K[other_N]) * (each_N + 0.3 * aux_N)).mean())

    members_SK = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 1.0]])
    many = build_loss({"name": "binary_cross_entropy", **args}, {}, LABELS, 3, members_SK=members_SK)
    dense = BinaryCrossEntropy(0.0, threshold, sum_classes=True)
    target_NK = (1 - smoothing) * (share * members_SK[y_N] + (1 - share) * members_SK[other_N]) + smoothing / 2
    assert torch.allclose(many(logits_NK, Mixed(y_N, other_N, share))[0], dense(logits_NK, target_NK))


def test_mixing_leaves_a_target_that_is_at_the_threshold_there() -> None:
    """share * t + (1 - share) * t may be the next number above t: every class that no picture has would be right."""
    logits_NK, y_N = torch.zeros(4, 10), torch.arange(4)
    loss = build_loss(
        {"name": "binary_cross_entropy", "label_smoothing": 0.1, "target_threshold": 0.01}, {"class_weights": "none"}, LABELS, 10
    )
    slopes = logits_NK.requires_grad_()
    for share in np.random.default_rng(0).random(200).tolist():
        (slope_NK,) = torch.autograd.grad(loss(slopes, Mixed(y_N, y_N.roll(1), share))[0], slopes)
        assert (slope_NK < 0).sum() == 8  # two classes of each picture are there, and pulled up


@pytest.mark.parametrize("name", ["cross_entropy", "focal", "binary_cross_entropy"])
def test_gradient_is_that_of_the_numbers(name: str) -> None:
    logits_NK, y_N = some(4)
    loss = made(name, "effective_number", 0.1)

    def minimised(logits_NK: Tensor) -> Tensor:
        return loss(logits_NK, y_N)[0]

    x = logits_NK.clone().requires_grad_()
    minimised(x).backward()  # type: ignore[no-untyped-call]
    step = torch.zeros_like(logits_NK)
    for i, k in ((0, 0), (2, 1), (3, 2)):
        step.zero_()[i, k] = 1e-2
        slope = (minimised(logits_NK + step) - minimised(logits_NK - step)) / 2e-2
        assert x.grad is not None and x.grad[i, k].item() == pytest.approx(slope.item(), abs=1e-3)


def test_auxiliary_classifiers_count_their_weight_and_stay_out_of_the_plain_figure() -> None:
    (logits_NK, y_N), (one_NK, _), (two_NK, _) = some(), some(20, 3.0), some(20, 0.5)
    minimised, plain = made(aux=0.3)((logits_NK, one_NK, two_NK), y_N)
    parts = [F.cross_entropy(x, y_N) for x in (logits_NK, one_NK, two_NK)]
    assert torch.allclose(minimised, parts[0] + 0.3 * (parts[1] + parts[2]))
    assert torch.equal(plain, parts[0])


def test_logits_of_half_the_digits_are_summed_in_full() -> None:
    logits_NK, y_N = some(2000)
    half_NK = logits_NK.bfloat16()
    assert torch.equal(made()(half_NK, y_N)[0], F.cross_entropy(half_NK.float(), y_N))
