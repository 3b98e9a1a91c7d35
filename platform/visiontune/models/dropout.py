"""Dropping features at random while training, before the head or after stages; and how often residual branches are dropped.

Masks come from torch's global generator, which the train loop seeds for each epoch. What is kept is scaled up, so that the
mean stays; in eval mode nothing happens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from visiontune.models.anatomy import anatomy_of

KINDS = ("element", "channel", "position")
PLACES = ("head", "stages", "both")


def depth_probabilities(last: float, num_blocks: int) -> list[float]:
    """Chances to drop block 1, 2 ... num_blocks: they grow linearly up to `last` (Huang et al. 2016, section 3)."""
    return [last * block / num_blocks for block in range(1, num_blocks + 1)]


def branch_drop(probability: float) -> nn.Module:
    """torchvision's, which drops a residual branch for each picture by itself; nothing where none is ever dropped.

    torchvision brings torch's compiler along, 1.3 s, so it is imported only where a branch is dropped.
    """
    if probability == 0:
        return nn.Identity()
    from torchvision.ops import StochasticDepth

    return StochasticDepth(probability, "row")  # type: ignore[no-any-return]


def drop(x: Tensor, probability: float, shape: tuple[int, ...], is_training: bool) -> Tensor:
    """x times a mask of that shape, which is broadcast: 0 with the probability, else 1 / (1 - probability)."""
    if not is_training or probability == 0:
        return x
    return F.dropout(x, probability) if shape == tuple(x.shape) else x * F.dropout(x.new_ones(shape), probability)


def mask_shape(shape: tuple[int, ...], kind: str) -> tuple[int, ...]:
    """The shape of the mask for x of a shape (Keras' noise_shape): channel (N, C, 1, 1), position (N, 1, H, W), element as x.

    Flat features have no positions: each is an element, whatever the kind. Raises ValueError for another kind.
    """
    if kind not in KINDS:
        raise ValueError(f"dropout_kind must be one of {', '.join(KINDS)}, got {kind!r}")
    if kind == "element" or len(shape) < 4:
        return shape
    return (*shape[:2], 1, 1) if kind == "channel" else (shape[0], 1, *shape[2:])


def add_dropout(network: nn.Module, probability: float, kind: str = "element", place: str = "head") -> None:
    """Drop what goes into the head, what each stage gives, or both; 0 changes nothing.

    With `both` the last stage is left out, as what it gives goes into the head. These are hooks, not modules: names of
    parameters stay, so that weights and checkpoints serve with and without dropout. A frozen stage in eval mode drops nothing.
    Raises ValueError for another place.
    """
    if place not in PLACES:
        raise ValueError(f"dropout_place must be one of {', '.join(PLACES)}, got {place!r}")
    dropout = _Dropout(probability, kind)
    if probability == 0:
        return
    anatomy = anatomy_of(network)
    if place != "head" and not anatomy.is_chain:
        raise ValueError(f"dropout_place {place} needs stages that hand on pictures, which this network has not; nearest is head")
    if place != "stages":
        network.get_submodule(anatomy.head).register_forward_pre_hook(dropout.before)
    for stage in {"head": (), "stages": anatomy.stages, "both": anatomy.stages[:-1]}[place]:
        network.get_submodule(stage[-1]).register_forward_hook(dropout.after)


@dataclass(frozen=True)
class _Dropout:
    probability: float
    kind: str

    def before(self, module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        return (self._drop(args[0], module.training), *args[1:])

    def after(self, module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
        return self._drop(output, module.training)

    def _drop(self, x: Tensor, is_training: bool) -> Tensor:
        return drop(x, self.probability, mask_shape(tuple(x.shape), self.kind), is_training)
