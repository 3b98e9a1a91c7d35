"""The parts of a network by which freezing, layer-wise rates, dropout, gradient checkpointing and transfer name what they act on.

A builder marks its network; whatever runs on any network finds stages and head by their dotted module names. Contract: forward
runs all modules of the stages one after the other, and then what is left. So a network whose first
stages are `nn.Identity`, fed with what these stages gave, ends in the same logits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from visiontune.errors import near_names

Fit = Callable[[nn.Module, dict[str, Tensor]], dict[str, Tensor]]
"""Weights that another library's network had for another picture size, as that library fits them to this one."""


@dataclass(frozen=True)
class Anatomy:
    """`stages` are groups of module names in running order, the stem first; `head` gives the class scores.

    `aux` are auxiliary classifiers, whose losses count `aux_weight` times; modules under `keep` are gates whose activations stay.
    Where the contract does not hold, as for tokens, `is_chain` is false: the stages have an order, but the network can't be cut between
    them. Activations that are `shared` act in several places.
    """

    stages: tuple[tuple[str, ...], ...]
    head: str
    aux_weight: float = 0.0
    aux: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    is_chain: bool = True
    shared: tuple[str, ...] = ()
    fit: Fit | None = None


def mark(
    network: nn.Module,
    *,
    stages: tuple[tuple[str, ...], ...],
    head: str,
    aux_weight: float = 0.0,
    aux: tuple[str, ...] = (),
    keep: tuple[str, ...] = (),
) -> nn.Module:
    """Give the network its anatomy. Raises ValueError for a name that it has not."""
    for name in (*(name for group in stages for name in group), head, *aux, *keep):
        try:
            network.get_submodule(name)
        except AttributeError:
            known = [known for known, _ in network.named_modules() if known]
            raise ValueError(f"{type(network).__name__} is marked with {name!r}, but has no such module{near_names(name, known)}") from None
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
    """The stage of each parameter, by its dotted name; len(stages) for the head and all that comes after the last stage.

    What a module around stages has itself, as class tokens and position embeddings, goes in with the picture: the first stage.
    """
    anatomy = anatomy_of(network)
    stages = [(f"{name}.", number) for number, group in enumerate(anatomy.stages) for name in group]

    def depth(name: str) -> int:
        owner, _, _ = name.rpartition(".")
        around = (0 for prefix, _ in stages if prefix.startswith(f"{owner}." if owner else ""))
        return next((number for prefix, number in stages if name.startswith(prefix)), next(around, len(anatomy.stages)))

    return {name: depth(name) for name, _ in network.named_parameters()}
