"""Lookahead: weights that go only part of the way that an optimizer went in k steps (Zhang et al. 2019), around any of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn


class SlowWeights(Protocol):
    """What leads weights back. It has nothing to be saved at the end of an epoch."""

    def step(self, update: Callable[[], object]) -> None:
        """Make one step of the optimizer, which `update` does."""

    def end_epoch(self) -> None:
        """What is due before weights are averaged, evaluated or saved."""


class Lookahead:
    """slow += alpha * (fast - slow) after every k steps, and the optimizer goes on from there; its moments stay.

    The last steps of an epoch are followed too, as timm's training script does: so the slow weights are those that are evaluated, and all
    that there is to be saved. Ours, since the slow weights of timm's class are first what the fast ones are after k steps.
    """

    def __init__(self, params: list[Tensor], num_steps: int, alpha: float) -> None:
        self._params, self._num_steps, self._alpha = params, num_steps, alpha
        self._slow: list[Tensor] = []
        self._num_since = 0

    def step(self, update: Callable[[], object]) -> None:
        """Slow weights are those before the first of k steps, whatever changed them between two epochs."""
        if self._num_since == 0:
            self._slow = [one.detach().clone() for one in self._params]
        update()
        self._num_since += 1
        if self._num_since == self._num_steps:
            self.end_epoch()

    @torch.no_grad()
    def end_epoch(self) -> None:
        """Go back, if any step was made since."""
        if self._num_since:
            torch._foreach_copy_(self._params, torch._foreach_lerp(self._slow, self._params, self._alpha))
            self._num_since = 0


class _Alone:
    def step(self, update: Callable[[], object]) -> None:
        update()

    def end_epoch(self) -> None:
        pass


ALONE = _Alone()


def none(network: nn.Module) -> SlowWeights:
    """The optimizer's own weights."""
    return ALONE


def lookahead(network: nn.Module, *, lookahead_steps: int = 5, lookahead_alpha: float = 0.5) -> SlowWeights:
    """Around what the network learns."""
    return Lookahead([one for one in network.parameters() if one.requires_grad], lookahead_steps, lookahead_alpha)
