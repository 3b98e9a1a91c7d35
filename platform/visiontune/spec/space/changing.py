"""What of a recipe may change while a network is trained: the one list, for population based training and for phases in a file.

Left out is what decides which tensors there are (architecture, optimizer, averages, parameter groups), what a schedule or an early end is
counted by, and batches: weights and moments of before would be those of another network, or of another length.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from visiontune.spec.declarations.domains import Choice, Domain
from visiontune.spec.space.space import Space
from visiontune.spec.space.tree_walk import recipe_key

CHANGING: Mapping[str, Collection[str]] = {
    "model": ("dropout", "inner_dropout", "stochastic_depth"),
    "regularization": ("l1", "l2", "clip_norm", "gradient_noise"),
    "loss": ("label_smoothing", "focal_gamma"),
    "optimizer": ("lr", "weight_decay", "momentum", "beta1", "beta2", "rho", "alpha", "eps"),
}
"""Keys by their section. Of the section augmentation all, as nothing of it stays in a network."""

NEVER_FROM_ZERO = ("optimizer.weight_decay", "optimizer.momentum")
"""At 0 an optimizer has other groups, or no moments at all, than above it: with 0 in its range such a param stays as it is."""


def may_change(key: str) -> bool:
    """Whether that key of a recipe may, by its dotted name."""
    section, _, rest = key.partition(".")
    return section == "augmentation" or rest in CHANGING.get(section, ())


def changing_params(space: Space) -> tuple[str, ...]:
    """Names of the params of a space that may change, in the order of the file; none on which it depends which others there are."""
    return tuple(
        name
        for name, domain, given in space.domains()
        if name not in space.deciding and may_change(key := recipe_key(name, given)) and not (key in NEVER_FROM_ZERO and has_zero(domain))
    )


def fixed_params(space: Space) -> tuple[str, ...]:
    """Names of the others."""
    changing = {*changing_params(space)}
    return tuple(name for name, _, _ in space.domains() if name not in changing)


def has_zero(domain: Domain) -> bool:
    """Whether 0 is one of its values."""
    return 0 in domain.choices if isinstance(domain, Choice) else domain.low <= 0 <= domain.high


def crosses_zero(key: str, before: Any, after: Any) -> bool:
    """Whether a change is one of NEVER_FROM_ZERO from 0 or to it."""
    return key in NEVER_FROM_ZERO and (before == 0) != (after == 0)
