"""What training minimises: logits_NK float and y_N int64 to one number, a mean over the pictures of a batch.

Where pictures have several classes, y_N number sets of them (data/label_sets.py).

A class's weight multiplies the whole loss of its pictures. Weights have mean 1 over the training split and the sum is
divided by the number of pictures (torch divides by the sum of the batch's weights), so that no picture's share depends on
which others are in its batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from visiontune.augmentation.mixing import Mixed, Targets
from visiontune.spec.declarations.declare import chosen
from visiontune.spec.tables.losses import LOSSES
from visiontune.training.class_balance import balanced_pos_weight, class_weights
from visiontune.training.input.epoch_order import IntArray
from visiontune.training.mean_losses import MeanLoss, OfMixed, binary_cross_entropy

Outputs = Tensor | tuple[Tensor, ...]
Loss = Callable[[Outputs, Targets], tuple[Tensor, Tensor]]

BALANCED = "balanced"
"""A word in place of `pos_weight`."""


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
