"""The parts of a network by which freezing, layer-wise rates, dropout, gradient checkpointing and transfer name what they act on.

A builder marks its network; whatever runs on any network finds stages and head by their dotted module names. Contract: forward
runs all modules of the stages one after the other, and then what is left. So a network whose first
stages are `nn.Identity`, fed with what these stages gave, ends in the same logits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class Anatomy:
    """`stages` are groups of module names in running order, the stem first; `head` gives the class scores.

    `aux` are auxiliary classifiers, whose losses count `aux_weight` times; modules under `keep` are gates whose activations stay.
    """

    stages: tuple[tuple[str, ...], ...]
    head: str
    aux_weight: float = 0.0
    aux: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()


def mark(
    network: nn.Module,
    *,
    stages: tuple[tuple[str, ...], ...],
    head: str,
    aux_weight: float = 0.0,
    aux: tuple[str, ...] = (),
    keep: tuple[str, ...] = (),
) -> nn.Module:
    """Give the network its anatomy. Raises AttributeError for a name that it has not."""
    for name in (*(name for group in stages for name in group), head, *aux, *keep):
        network.get_submodule(name)
    network.anatomy = Anatomy(stages, head, aux_weight, aux, keep)  # type: ignore[assignment]
    return network


def anatomy_of(network: nn.Module) -> Anatomy:
    """What `mark` gave it. Raises AttributeError for a network that was never marked."""
    anatomy: Anatomy = network.anatomy  # type: ignore[assignment]
    return anatomy


def replace(network: nn.Module, name: str, make: Callable[[nn.Module], nn.Module]) -> None:
    """Replace the module of that dotted name by make(old)."""
    parent, _, child = name.rpartition(".")
    setattr(network.get_submodule(parent), child, make(network.get_submodule(name)))


def depth_of(network: nn.Module) -> dict[str, int]:
    """The stage of each parameter, by its dotted name; len(stages) for the head and all that comes after the last stage."""
    anatomy = anatomy_of(network)
    stages = [(f"{name}.", number) for number, group in enumerate(anatomy.stages) for name in group]
    found = {name: [number for prefix, number in stages if name.startswith(prefix)] for name, _ in network.named_parameters()}
    return {name: numbers[0] if numbers else len(anatomy.stages) for name, numbers in found.items()}
