"""What training minimises: logits_NK float and y_N int64 to one number, a mean over the pictures of a batch.

Where pictures have several classes, y_N number sets of them (data/label_sets.py).

A class's weight multiplies the whole loss of its pictures. Weights have mean 1 over the training split and the sum is
divided by the number of pictures (torch divides by the sum of the batch's weights), so that no picture's share depends on
which others are in its batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from visiontune.augmentation.mixing import Mixed, Targets
from visiontune.spec.declare import chosen
from visiontune.spec.tables.losses import LOSSES
from visiontune.training.class_balance import class_weights
from visiontune.training.input.epoch_order import IntArray

Outputs = Tensor | tuple[Tensor, ...]
Loss = Callable[[Outputs, Targets], tuple[Tensor, Tensor]]
MeanLoss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class OfMixed:
    """A mean loss that is no weighted mean of those of a mixed picture's two labels: it takes both at once."""

    mean: Callable[[Tensor, Targets], Tensor]

    def __call__(self, logits_NK: Tensor, targets: Targets) -> Tensor:
        return self.mean(logits_NK, targets)


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
    share * that of y_N + (1 - share) * that of other_N, so that class weights, smoothing and the focal factor are those of each label;
    only an OfMixed is minimised as it is.
    """
    mean_loss: MeanLoss | OfMixed
    plain_loss: MeanLoss = F.cross_entropy
    if members_SK is not None:
        plain_loss = of_sets(members_SK, 0.0)
        mean_loss = of_sets(members_SK, loss["label_smoothing"], loss.get("target_threshold", "none"))
    else:
        entry, args = chosen(LOSSES, loss, "name")
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
        plain = share * ours[1] + (1 - share) * others[1]
        if not isinstance(mean_loss, OfMixed):
            return share * ours[0] + (1 - share) * others[0], plain
        logits_NK, *aux = outputs if isinstance(outputs, tuple) else (outputs,)
        return mean_loss(logits_NK.float(), targets) + aux_weight * sum(mean_loss(aux_NK.float(), targets) for aux_NK in aux), plain

    return total


def problem_of_targets(loss: Mapping[str, Any], num_classes: int, *, has_many: bool) -> str | None:
    """Why the section's threshold would make every class right, as one sentence; None where it does not."""
    threshold, smoothing = loss.get("target_threshold", "none"), loss["label_smoothing"]
    least = smoothing / (2 if has_many else num_classes)
    if isinstance(threshold, str) or smoothing == 0 or threshold >= least:
        return None
    rule = f"label_smoothing {smoothing:g} gives a class that a picture is not of a target of {least:.3g}"
    return f"{rule}, so target_threshold must be at least that, but got {threshold:g}; nearest is {math.ceil(1000 * least) / 1000:g}"


def cross_entropy(*, label_smoothing: float, weight_K: Tensor | None) -> MeanLoss:
    """torch's own, a class's weight as at the top of this module; label smoothing as in Szegedy et al. 2016."""
    if weight_K is not None:
        return _weighted(partial(F.cross_entropy, label_smoothing=label_smoothing, reduction="none"), weight_K)
    return partial(F.cross_entropy, label_smoothing=label_smoothing) if label_smoothing else F.cross_entropy


def focal(*, label_smoothing: float, weight_K: Tensor | None, focal_gamma: float) -> MeanLoss:
    """The sum over classes of share * (1 - p)^focal_gamma * -log p, where shares are those of the smoothed label."""

    def each(logits_NK: Tensor, y_N: Tensor) -> Tensor:
        log_p_NK = logits_NK.log_softmax(1)
        loss_NK = -log_p_NK * (-log_p_NK.expm1()).clamp_min(_LEAST_DOUBT) ** focal_gamma
        right_N = loss_NK.gather(1, y_N[:, None])[:, 0]
        return right_N.lerp(loss_NK.mean(1), label_smoothing) if label_smoothing else right_N

    return (lambda logits_NK, y_N: each(logits_NK, y_N).mean()) if weight_K is None else _weighted(each, weight_K)


def binary_cross_entropy(*, label_smoothing: float, weight_K: Tensor | None, target_threshold: float | str = "none") -> MeanLoss | OfMixed:
    """The sum over classes of -t log s - (1 - t) log(1 - s) with the sigmoid s of the score and the share t of the smoothed label.

    It is linear in t: the weighted mean of a mixed picture's two losses is the loss of its mixed target. timm divides by the classes.
    """
    if not isinstance(target_threshold, str):

        def smoothed(y_N: Tensor, num: int) -> Tensor:
            return (y_N[:, None] == torch.arange(num, device=y_N.device)) * (1 - label_smoothing) + label_smoothing / num

        return _hard(smoothed, target_threshold, weight_K)

    def each(logits_NK: Tensor, y_N: Tensor) -> Tensor:
        right_N = logits_NK.gather(1, y_N[:, None])[:, 0]
        return F.softplus(logits_NK).sum(1) - (right_N.lerp(logits_NK.mean(1), label_smoothing) if label_smoothing else right_N)

    return (lambda logits_NK, y_N: each(logits_NK, y_N).mean()) if weight_K is None else _weighted(each, weight_K)


def of_sets(members_SK: Tensor, label_smoothing: float, target_threshold: float | str = "none") -> MeanLoss | OfMixed:
    """`binary_cross_entropy` of pictures with the classes of a set; smoothed labels are that share nearer to a half, as Keras has them."""
    target_SK = members_SK.lerp(torch.full_like(members_SK, 0.5), label_smoothing)

    @cache
    def target_on(device: torch.device) -> Tensor:
        return target_SK.to(device)

    if not isinstance(target_threshold, str):
        return _hard(lambda y_N, _: target_on(y_N.device)[y_N], target_threshold)
    return lambda logits_NK, y_N: (F.softplus(logits_NK) - target_on(y_N.device)[y_N] * logits_NK).sum(1).mean()


def _hard(target_of: Callable[[Tensor, int], Tensor], threshold: float, weight_K: Tensor | None = None) -> OfMixed:
    """Binary cross-entropy of targets, (y_N, number of classes) -> target_NK, that are 1 where the mixed ones are above the threshold."""
    weight_on = None if weight_K is None else _placed(weight_K)

    def of_pair(of: Callable[[Tensor], Tensor], targets: Targets) -> Tensor:
        if not isinstance(targets, Mixed):
            return of(targets)
        return targets.share * of(targets.y_N) + (1 - targets.share) * of(targets.other_N)

    def mean(logits_NK: Tensor, targets: Targets) -> Tensor:
        target_NK = of_pair(lambda y_N: target_of(y_N, logits_NK.shape[1]), targets) > threshold
        each_N = (F.softplus(logits_NK) - target_NK * logits_NK).sum(1)
        return (each_N if weight_on is None else of_pair(lambda y_N: weight_on(y_N.device)[y_N], targets) * each_N).mean()

    return OfMixed(mean)


def _weighted(each: MeanLoss, weight_K: Tensor) -> MeanLoss:
    weight_on = _placed(weight_K)
    return lambda logits_NK, y_N: (weight_on(y_N.device)[y_N] * each(logits_NK, y_N)).mean()


def _placed(weight_K: Tensor) -> Callable[[torch.device], Tensor]:
    return cache(lambda device: weight_K.to(device))
