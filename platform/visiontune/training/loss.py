"""What training minimises: logits_NK float and y_N int64 to one number, a mean over the pictures of a batch.

Where pictures have several classes, y_N number sets of them (data/label_sets.py).

A class's weight multiplies the whole loss of its pictures. Weights have mean 1 over the training split and the sum is
divided by the number of pictures (torch divides by the sum of the batch's weights), so that no picture's share depends on
which others are in its batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from visiontune.augmentation.mixing import Mixed, Targets
from visiontune.spec.declare import chosen
from visiontune.spec.tables.losses import LOSSES
from visiontune.training.class_balance import balanced_pos_weight, class_weights
from visiontune.training.input.epoch_order import IntArray

Outputs = Tensor | tuple[Tensor, ...]
Loss = Callable[[Outputs, Targets], tuple[Tensor, Tensor]]
MeanLoss = Callable[[Tensor, Tensor], Tensor]
Shares = Callable[[Tensor, Tensor], Tensor]

BALANCED = "balanced"
"""A word in place of `pos_weight`."""

# At p = 1 the slope of (1 - p)^gamma is infinite for gamma < 1, and infinity times log p = 0 is not a number.
_LEAST_DOUBT = 1e-12


def build_loss(
    loss: Mapping[str, Any],
    balance: Mapping[str, Any],
    labels_N: IntArray,
    num_classes: int,
    aux_weight: float = 0.0,
    *,
    members_SK: Tensor | None = None,
) -> Loss:
    """(outputs, targets) -> (loss to minimise, plain cross-entropy of the main logits, detached).

    `outputs` are logits_NK, or with auxiliary classifiers a tuple of such, the main ones first: the others' losses count
    `aux_weight` times each. `labels_N` are those of the training split; `members_SK` says which classes each set has where
    they number sets; the plain figure is then the binary cross-entropy. Of mixed pictures both figures are
    share * that of y_N + (1 - share) * that of other_N, so that class weights, smoothing and the focal factor are those of each label.
    """
    plain_loss: MeanLoss = F.cross_entropy
    entry, args = chosen(LOSSES, loss, "name")
    if args.get("pos_weight") == BALANCED:
        args["pos_weight"] = balanced_pos_weight(labels_N, num_classes, members_SK)
    if members_SK is not None:
        mean_loss = entry.load()(label_smoothing=loss["label_smoothing"], weight_K=None, **args, members_SK=members_SK)
        plain_loss = binary_cross_entropy(label_smoothing=0.0, weight_K=None, members_SK=members_SK)
    else:
        weight_K = class_weights(balance, labels_N, num_classes)
        mean_loss = entry.load()(label_smoothing=loss["label_smoothing"], weight_K=weight_K, **args)

    def of_labels(outputs: Outputs, y_N: Tensor) -> tuple[Tensor, Tensor]:
        logits_NK, *others = outputs if isinstance(outputs, tuple) else (outputs,)
        minimised = mean_loss(logits_NK.float(), y_N)
        plain = minimised.detach() if mean_loss is plain_loss else plain_loss(logits_NK.detach().float(), y_N)
        for aux_NK in others:
            minimised = minimised + aux_weight * mean_loss(aux_NK.float(), y_N)
        return minimised, plain

    def total(outputs: Outputs, targets: Targets) -> tuple[Tensor, Tensor]:
        if not isinstance(targets, Mixed):
            return of_labels(outputs, targets)
        ours, others, share = of_labels(outputs, targets.y_N), of_labels(outputs, targets.other_N), targets.share
        return share * ours[0] + (1 - share) * others[0], share * ours[1] + (1 - share) * others[1]

    return total


def cross_entropy(*, label_smoothing: float, weight_K: Tensor | None) -> MeanLoss:
    """torch's own, a class's weight as at the top of this module; label smoothing as in Szegedy et al. 2016."""
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
    *, label_smoothing: float, weight_K: Tensor | None, pos_weight: float | Tensor = 1.0, members_SK: Tensor | None = None
) -> MeanLoss:
    """The sum over classes of -w t log s - (1 - t) log(1 - s) with the sigmoid s of the score and the share t of the smoothed label.

    w is `pos_weight`, one for all classes or (K,). It is linear in t: the weighted mean of a mixed picture's two losses is the loss of its
    mixed target. timm divides by the classes. With `members_SK` y_N number sets of classes.
    """
    shares, positive = _shares(label_smoothing, members_SK), torch.as_tensor(pos_weight, dtype=torch.float32)
    is_weighted = bool((positive != 1.0).any())

    def each(logits_NK: Tensor, y_N: Tensor) -> Tensor:
        if is_weighted or members_SK is not None:
            share_NK = shares(logits_NK, y_N)
            more_NK = (positive.to(y_N.device) - 1) * share_NK * F.softplus(-logits_NK) if is_weighted else 0.0
            return (F.softplus(logits_NK) - share_NK * logits_NK + more_NK).sum(1)
        right_N = logits_NK.gather(1, y_N[:, None])[:, 0]
        return F.softplus(logits_NK).sum(1) - (right_N.lerp(logits_NK.mean(1), label_smoothing) if label_smoothing else right_N)

    return (lambda logits_NK, y_N: each(logits_NK, y_N).mean()) if weight_K is None else _weighted(each, weight_K)


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


def _weighted(each: MeanLoss, weight_K: Tensor) -> MeanLoss:
    @cache
    def weight_on(device: torch.device) -> Tensor:
        return weight_K.to(device)

    return lambda logits_NK, y_N: (weight_on(y_N.device)[y_N] * each(logits_NK, y_N)).mean()
