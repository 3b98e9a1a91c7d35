"""The networks of a trial that has several: their seeds, and the names of what each of them measured."""

from __future__ import annotations

from collections.abc import Mapping

from visiontune.spec.declarations.fingerprint import keyed_seed


def seed_of_repeat(seed: int, number: int) -> int:
    """The first network has the recipe's own."""
    return keyed_seed(seed, "repeat", number) if number else seed


def own_name(metric: str, number: int) -> str:
    """Of a network's own metric beside the mean.

    >>> own_name("val_top1", 2)
    'val_top1_2'
    """
    return f"{metric}_{number}"


def values_of(metrics: Mapping[str, float], metric: str) -> list[float]:
    """Of the networks of a trial by number, out of what it reports; none of a trial with one."""
    found: list[float] = []
    while (name := own_name(metric, len(found))) in metrics:
        found.append(metrics[name])
    return found
