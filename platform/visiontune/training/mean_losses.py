"""Losses by name, as spec/tables/losses.py lists them: each the mean over pictures.

Shapes: N pictures, K classes, S sets of classes; logits_NK, y_N the number of a class, or of a set where members_SK says which classes
each has.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import torch
from torch import Tensor
from torch.nn import functional as F

from visiontune.augmentation.mixing import Mixed, Targets

MeanLoss = Callable[[Tensor, Tensor], Tensor]
"""(logits_NK, y_N) -> their mean loss."""
EachLoss = Callable[[Tensor, Tensor], Tensor]
"""(logits_NK, y_N) -> (N,) the loss of each picture."""
LossOfShares = Callable[[Tensor, Tensor], Tensor]
"""(logits_NK, share_NK) -> (N,) the same of targets that are shares of classes."""
Shares = Callable[[Tensor, Tensor], Tensor]
"""(logits_NK, y_N) -> share_NK."""


@dataclass(frozen=True)
class OfMixed:
    """A mean loss that is no weighted mean of those of a mixed picture's two labels: it takes both at once."""

    mean: Callable[[Tensor, Targets], Tensor]

    def __call__(self, logits_NK: Tensor, targets: Targets) -> Tensor:
        return self.mean(logits_NK, targets)


# At p = 1 the slope of (1 - p)^gamma is infinite for gamma < 1, and infinity times log p = 0 is not a number.
_LEAST_DOUBT = 1e-12


def cross_entropy(*, label_smoothing: float, weight_K: Tensor | None) -> MeanLoss:
    """torch's own, a class's weight as in loss.py; label smoothing as in Szegedy et al. 2016."""
    if weight_K is not None:
        return _weighted(partial(F.cross_entropy, label_smoothing=label_smoothing, reduction="none"), weight_K)
    return partial(F.cross_entropy, label_smoothing=label_smoothing) if label_smoothing else F.cross_entropy


def focal(*, label_smoothing: float, weight_K: Tensor | None, focal_gamma: float, members_SK: Tensor | None = None) -> MeanLoss:
    """The sum over classes of share * (1 - p)^focal_gamma * -log p, where shares are those of the smoothed label.

    Of sets by the sigmoid of each class's score, there or not, as Lin et al. 2017 have it without alpha.
    """
    if members_SK is not None:
        return _sigmoid_focal(_shares(label_smoothing, members_SK), focal_gamma)

    def each(logits_NK: Tensor, y_N: Tensor) -> Tensor:
        log_p_NK = logits_NK.log_softmax(1)
        loss_NK = -log_p_NK * (-log_p_NK.expm1()).clamp_min(_LEAST_DOUBT) ** focal_gamma
        right_N = loss_NK.gather(1, y_N[:, None])[:, 0]
        return right_N.lerp(loss_NK.mean(1), label_smoothing) if label_smoothing else right_N

    return (lambda logits_NK, y_N: each(logits_NK, y_N).mean()) if weight_K is None else _weighted(each, weight_K)


def _sigmoid_focal(shares: Shares, focal_gamma: float) -> MeanLoss:
    def each(logits_NK: Tensor, y_N: Tensor) -> Tensor:
        share_NK, p_NK, rest_NK = shares(logits_NK, y_N), logits_NK.sigmoid(), (-logits_NK).sigmoid()
        there_NK = rest_NK.clamp_min(_LEAST_DOUBT) ** focal_gamma * F.softplus(-logits_NK)
        absent_NK = p_NK.clamp_min(_LEAST_DOUBT) ** focal_gamma * F.softplus(logits_NK)
        return (share_NK * there_NK + (1 - share_NK) * absent_NK).sum(1)

    return lambda logits_NK, y_N: each(logits_NK, y_N).mean()


def binary_cross_entropy(
    *,
    label_smoothing: float,
    weight_K: Tensor | None,
    pos_weight: float | Tensor = 1.0,
    target_threshold: float | str = "none",
    members_SK: Tensor | None = None,
) -> MeanLoss | OfMixed:
    """The sum over classes of -w t log s - (1 - t) log(1 - s) with the sigmoid s of the score and the share t of the smoothed label.

    w is `pos_weight`, one for all classes or (K,). It is linear in t: the weighted mean of a mixed picture's two losses is the loss of its
    mixed target. With a `target_threshold` t is 1 where the mixed one is above it, else 0, as timm has it. timm divides by the classes.
    With `members_SK` y_N number sets of classes.
    """
    shares, of_shares = _shares(label_smoothing, members_SK), _of_shares(pos_weight)
    if not isinstance(target_threshold, str):
        return _hard(of_shares, shares, target_threshold, weight_K)
    if members_SK is not None or not isinstance(pos_weight, float) or pos_weight != 1.0:  # one label has its own, cheaper form
        return _soft(of_shares, shares, weight_K)

    def each(logits_NK: Tensor, y_N: Tensor) -> Tensor:
        right_N = logits_NK.gather(1, y_N[:, None])[:, 0]
        return F.softplus(logits_NK).sum(1) - (right_N.lerp(logits_NK.mean(1), label_smoothing) if label_smoothing else right_N)

    return (lambda logits_NK, y_N: each(logits_NK, y_N).mean()) if weight_K is None else _weighted(each, weight_K)


def _of_shares(pos_weight: float | Tensor) -> LossOfShares:
    """Binary cross-entropy."""
    more_K = torch.as_tensor(pos_weight, dtype=torch.float32) - 1
    more_on = _placed(more_K)

    def plain(logits_NK: Tensor, share_NK: Tensor) -> Tensor:
        return (F.softplus(logits_NK) - share_NK * logits_NK).sum(1)

    def weighted(logits_NK: Tensor, share_NK: Tensor) -> Tensor:
        return plain(logits_NK, share_NK) + (more_on(logits_NK.device) * share_NK * F.softplus(-logits_NK)).sum(1)

    return weighted if more_K.any() else plain


def _soft(of_shares: LossOfShares, shares: Shares, weight_K: Tensor | None = None) -> MeanLoss:
    def each(logits_NK: Tensor, y_N: Tensor) -> Tensor:
        return of_shares(logits_NK, shares(logits_NK, y_N))

    return (lambda logits_NK, y_N: each(logits_NK, y_N).mean()) if weight_K is None else _weighted(each, weight_K)


def _hard(of_shares: LossOfShares, shares: Shares, threshold: float, weight_K: Tensor | None) -> OfMixed:
    """Of targets that are 1 where the mixed shares are above the threshold, else 0."""
    weight_on = None if weight_K is None else _placed(weight_K)

    def of_pair(of: Callable[[Tensor], Tensor], targets: Targets) -> Tensor:
        if not isinstance(targets, Mixed):
            return of(targets)
        # Of two equal shares lerp gives just that one; their weighted sum may lie above a threshold that they are at.
        return torch.lerp(of(targets.other_N), of(targets.y_N), targets.share)

    def mean(logits_NK: Tensor, targets: Targets) -> Tensor:
        target_NK = of_pair(lambda y_N: shares(logits_NK, y_N), targets) > threshold
        each_N = of_shares(logits_NK, target_NK)
        return (each_N if weight_on is None else of_pair(lambda y_N: weight_on(y_N.device)[y_N], targets) * each_N).mean()

    return OfMixed(mean)


def _shares(label_smoothing: float, members_SK: Tensor | None) -> Shares:
    """(logits_NK, y_N) -> (N, K) the shares t of smoothed labels; those of sets are that share nearer to a half, as Keras has them."""
    if members_SK is None:

        def of_classes(logits_NK: Tensor, y_N: Tensor) -> Tensor:
            num_classes = logits_NK.shape[1]
            return (1 - label_smoothing) * F.one_hot(y_N, num_classes).to(logits_NK.dtype) + label_smoothing / num_classes

        return of_classes
    target_SK = members_SK.lerp(torch.full_like(members_SK, 0.5), label_smoothing)

    @cache
    def target_on(device: torch.device) -> Tensor:
        return target_SK.to(device)

    return lambda logits_NK, y_N: target_on(y_N.device)[y_N]


def _weighted(each: EachLoss, weight_K: Tensor) -> MeanLoss:
    weight_on = _placed(weight_K)
    return lambda logits_NK, y_N: (weight_on(y_N.device)[y_N] * each(logits_NK, y_N)).mean()


def _placed(weight_K: Tensor) -> Callable[[torch.device], Tensor]:
    return cache(lambda device: weight_K.to(device))
