"""LP-FT (Kumar et al. 2022): first the head learns on frozen features, then everything. Each phase has an optimizer of its own.

A fresh head's first gradients are about as large as they get, and would distort features that are good already.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from visiontune.models.transfer import Target, freeze_body


@dataclass(frozen=True)
class HeadFirst:
    """How long the head learns alone: epochs, or where it is above 0 a share of all."""

    epochs: int
    share: float

    def last(self, num_epochs: int) -> int:
        """The last epoch, counted from 1, in which only the head learns; at least one epoch is left for the rest."""
        return min(max(1, round(self.share * num_epochs)) if self.share else self.epochs, num_epochs - 1)


def problem_of_phases(transfer: Mapping[str, Any], num_epochs: int) -> str | None:
    """Why so many epochs have no room for both phases; None if they have, or the regime has none."""
    if transfer["regime"] != "lp_ft":
        return None
    if num_epochs < 2:
        return f"lp_ft trains the head and then everything, for which {num_epochs} epoch is too few; nearest is 2"
    if not transfer["head_share"] and transfer["head_epochs"] >= num_epochs:
        rule = f"lp_ft must leave an epoch of {num_epochs} for everything, but head_epochs={transfer['head_epochs']}"
        return f"{rule}; nearest is {num_epochs - 1}"
    return None


def lp_ft(network: nn.Module, target: Target, *, weights: str, head_epochs: int, head_share: float) -> nn.Module:
    """Everything learns, but not at once: `enter_phase` says what."""
    target.load(network, weights)
    network.head_first = HeadFirst(head_epochs, head_share)  # type: ignore[assignment]
    return network


def enter_phase(network: nn.Module, epoch: int, num_epochs: int) -> None:
    """Freeze what does not learn in that epoch, or let all of it learn; nothing under another regime."""
    if (first := head_first(network)) is None:
        return
    network.requires_grad_(True)
    network.num_frozen = 0  # type: ignore[assignment]
    if epoch <= first.last(num_epochs):
        freeze_body(network)


def begins_phase(network: nn.Module, epoch: int, num_epochs: int) -> bool:
    """Whether that epoch is the first in which all of it learns, after some without."""
    first = head_first(network)
    return first is not None and 1 < epoch == first.last(num_epochs) + 1


def head_first(network: nn.Module) -> HeadFirst | None:
    """None under another regime."""
    return getattr(network, "head_first", None)
