"""Figures of several classes against scikit-learn's, thresholds against all that can be tried, the loss against torch's own."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, f1_score, precision_score, recall_score
from torch.nn import BCEWithLogitsLoss
from torch.nn import functional as F
from torchvision.ops import sigmoid_focal_loss

from visiontune.augmentation.mixing import Mixed
from visiontune.results.use.class_table import class_lines
from visiontune.training.label_figures import FEWEST, average_precision, best_thresholds, f1_figures, label_table
from visiontune.training.loss import Loss, build_loss


def some(num: int = 200, ties: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    """Probabilities with many ties, of five classes, the last of which is rare."""
    random = np.random.default_rng(num)
    is_NK = random.random((num, 5)) < np.array([0.5, 0.3, 0.2, 0.1, 0.0])
    is_NK[[3, 8], 4] = True
    p_NK = np.round(np.clip(0.35 * is_NK + 0.6 * random.random((num, 5)), 0, 1) * ties) / ties
    return torch.from_numpy(p_NK), torch.from_numpy(is_NK)


@pytest.mark.parametrize("ties", [12, 10**9])
def test_average_precision_is_scikit_learns(ties: int) -> None:
    p_NK, is_NK = some(ties=ties)
    theirs = [average_precision_score(is_NK[:, k], p_NK[:, k]) for k in range(5)]
    assert average_precision(p_NK, is_NK).tolist() == pytest.approx(theirs)
    is_NK[:, 2] = False
    assert average_precision(p_NK, is_NK).isnan().tolist() == [False, False, True, False, False]


def test_no_other_threshold_has_a_better_f1_and_a_rare_class_has_that_of_all_together() -> None:
    p_NK, is_NK = some()
    at_K = best_thresholds(p_NK, is_NK)

    def f1(at: float, k: Any) -> float:
        return float(f1_score(is_NK[:, k].numpy().ravel(), (p_NK[:, k] >= at).numpy().ravel()))

    for k in range(4):
        assert f1(at_K[k].item(), k) == max(f1(at, k) for at in p_NK[:, k].unique().tolist())
    assert int(is_NK[:, 4].sum()) < FEWEST
    assert f1(at_K[4].item(), slice(None)) == max(f1(at, slice(None)) for at in p_NK.unique().tolist())


def test_figures_at_thresholds_are_scikit_learns() -> None:
    p_NK, is_NK = some()
    at_K = best_thresholds(p_NK, is_NK)
    said, names = (p_NK >= at_K).numpy(), tuple("abcde")
    table = label_table(p_NK, is_NK, at_K, names)
    how: dict[str, Any] = {"average": None, "zero_division": 0.0}
    for ours, theirs in ((table.precision, precision_score), (table.recall, recall_score), (table.f1, f1_score)):
        assert ours == pytest.approx(theirs(is_NK.numpy(), said, **how))
    assert table.support == tuple(is_NK.sum(0).tolist()) and table.threshold == tuple(at_K.tolist())
    found = f1_figures(p_NK, is_NK, at_K)
    assert found == pytest.approx({f"{way}_f1": f1_score(is_NK.numpy(), said, average=way) for way in ("macro", "micro")})


def test_a_class_without_a_picture_has_no_average_precision_and_none_in_the_mean() -> None:
    p_NK, is_NK = some()
    is_NK[:, 1] = False
    table = label_table(p_NK, is_NK, torch.full((5,), 0.5), tuple("abcde"))
    assert table.average_precision[1] is None and json.loads(json.dumps(table.to_dict()))["average_precision"][1] is None
    assert class_lines(table)[2].split() == ["b", "0", "-", "-", "-", "-", "-"]
    occur = [0, 2, 3, 4]
    theirs = average_precision_score(is_NK[:, occur], p_NK[:, occur])
    assert average_precision(p_NK, is_NK).nanmean().item() == pytest.approx(theirs)


MEMBERS = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 1.0]])
TRAINED = np.array([0] * 10 + [1] * 6 + [2] * 4)
"""Of 20 pictures 10 have the first class, none the second, 4 the third."""


def made(**given: Any) -> tuple[Loss, torch.Tensor, torch.Tensor]:
    """A loss of sets, with scores and numbers of sets."""
    random = torch.Generator().manual_seed(0)
    loss = {"name": "binary_cross_entropy", "label_smoothing": 0.0, **given}
    found = build_loss(loss, {"name": "none", "class_weights": "none"}, TRAINED, 3, members_SK=MEMBERS)
    return found, 3 * torch.randn(20, 3, generator=random), torch.randint(3, (20,), generator=random)


@pytest.mark.parametrize(("pos_weight", "weight_K"), [(3.0, [3.0] * 3), ("balanced", [10 / 10, 20 / 1, 16 / 4])])
def test_pos_weight_is_torchs(pos_weight: float | str, weight_K: list[float]) -> None:
    """With each class's number of pictures without it by that of pictures with it, as torch's page of BCEWithLogitsLoss says."""
    loss, logits_NK, y_N = made(pos_weight=pos_weight)
    theirs = BCEWithLogitsLoss(reduction="sum", pos_weight=torch.tensor(weight_K))
    logits_NK.requires_grad_()
    minimised, plain = loss(logits_NK, y_N)
    expected = theirs(logits_NK, MEMBERS[y_N]) / 20
    assert minimised.item() == pytest.approx(expected.item(), rel=1e-6)
    for ours, other in zip(*(torch.autograd.grad(one, logits_NK, retain_graph=True) for one in (minimised, expected)), strict=True):
        assert torch.allclose(ours, other, atol=1e-6)
    assert plain.item() == pytest.approx(F.binary_cross_entropy_with_logits(logits_NK, MEMBERS[y_N], reduction="sum").item() / 20)


@pytest.mark.parametrize("focal_gamma", [0.0, 0.5, 2.0])
def test_focal_loss_of_several_classes_is_torchvisions(focal_gamma: float) -> None:
    loss, logits_NK, y_N = made(name="focal", focal_gamma=focal_gamma)
    minimised, _ = loss(logits_NK, y_N)
    assert minimised.item() == pytest.approx(sigmoid_focal_loss(logits_NK, MEMBERS[y_N], -1, focal_gamma, "sum").item() / 20, rel=1e-5)
    certain = torch.tensor([[200.0, -200.0, 200.0]], requires_grad=True)
    loss(certain, torch.tensor([1]))[0].backward()
    assert certain.grad is not None and certain.grad.isfinite().all()


@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
def test_the_loss_is_torchs_of_smoothed_and_mixed_targets(label_smoothing: float) -> None:
    members_SK = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 1.0]])
    random = torch.Generator().manual_seed(0)
    logits_NK, y_N = 2 * torch.randn(20, 3, generator=random), torch.randint(3, (20,), generator=random)
    other_N, balance = y_N.roll(1), {"name": "none", "class_weights": "none"}
    loss = build_loss(
        {"name": "binary_cross_entropy", "label_smoothing": label_smoothing}, balance, np.zeros(0, int), 3, members_SK=members_SK
    )

    def theirs(target_NK: torch.Tensor) -> float:
        return F.binary_cross_entropy_with_logits(logits_NK, target_NK, reduction="sum").item() / len(logits_NK)

    mixed_NK = 0.3 * members_SK[y_N] + 0.7 * members_SK[other_N]
    minimised, plain = loss(logits_NK, Mixed(y_N, other_N, 0.3))
    assert plain.item() == pytest.approx(theirs(mixed_NK))
    assert minimised.item() == pytest.approx(theirs(mixed_NK * (1 - label_smoothing) + label_smoothing / 2))
