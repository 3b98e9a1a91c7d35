"""Averages of a network's weights, which are evaluated and kept in their place: moving (ema_decay) or of the last epochs (swa_share)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from visiontune.spec.tables.optimizers import AVERAGING, OPTIMIZERS


def problem_of_averages(regularization: Mapping[str, Any], optimizer: Mapping[str, Any]) -> tuple[str, str] | None:
    """The key that has to change, and why weights can't be averaged as the sections say; None if they can."""
    given = [f"regularization.{key}" for key in ("ema_decay", "swa_share") if regularization.get(key)]
    if len(given) > 1:
        return given[1], "weights have one average, but ema_decay and swa_share are both above 0; leave one of them at 0"
    given += ["optimizer.slow_weights"] * (optimizer["slow_weights"] != "none")
    if given and OPTIMIZERS.entries[optimizer["name"]].traits & AVERAGING:
        section, _, key = given[0].partition(".")
        left = 0 if section == "regularization" else "none"
        return given[0], f"{optimizer['name']} averages its weights itself, so {key} must be left at {left}"
    return None


def is_in_swa(epoch: int, num_epochs: int, swa_share: float) -> bool:
    """Whether the weights after that epoch, counted from 1, are among those of the last share of all epochs; part of one counts whole."""
    return epoch > num_epochs - math.ceil(swa_share * num_epochs - 1e-6)


class WeightAverage:
    """Average of the parameters that a network learns (Polyak & Juditsky 1992).

    It starts from the network as it is. Frozen parameters never differ from their average, so they have none. Nor have buffers: batch
    normalisation's are taken anew for the averaged weights (fresh_statistics.py), the others are constants.
    """

    @torch.no_grad()
    def __init__(self, network: nn.Module) -> None:
        self._values: list[Tensor] = [parameter for parameter in network.parameters() if parameter.requires_grad]
        self._averages = [value.clone() for value in self._values]
        self._num_updates = 0

    @torch.no_grad()
    def update(self, decay: float) -> None:
        """average = d * average + (1 - d) * value with d = min(decay, (1 + t) / (10 + t)) in update t, counted from 0."""
        warm = min(decay, (1 + self._num_updates) / (10 + self._num_updates))
        torch._foreach_lerp_(self._averages, self._values, 1 - warm)
        self._num_updates += 1

    @torch.no_grad()
    def include(self) -> None:
        """The average becomes the even one of all values that were included (Izmailov et al. 2018)."""
        torch._foreach_lerp_(self._averages, self._values, 1 / (1 + self._num_updates))
        self._num_updates += 1

    @torch.no_grad()
    def exchange(self) -> None:
        """Swap the values of network and averages, tensor by tensor; a second call undoes it. Nothing before there is an average."""
        if self._num_updates == 0:
            return
        held = [value.clone() for value in self._values]
        torch._foreach_copy_(self._values, self._averages)
        torch._foreach_copy_(self._averages, held)

    def state_dict(self) -> dict[str, Any]:
        """The averages themselves, not copies, and how many updates they had."""
        return {"averages": list(self._averages), "num_updates": self._num_updates}

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Fill the averages, on whatever device they are. Raises ValueError where their number is another."""
        for mine, saved in zip(self._averages, state["averages"], strict=True):
            mine.copy_(saved)
        self._num_updates = state["num_updates"]
