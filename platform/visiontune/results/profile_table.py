"""`visiontune profile`: a network's layers as a table, and its totals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from visiontune.models.profile import Layer, Profile
from visiontune.results.screens.text import aligned
from visiontune.spec.declarations.image_size import pixels

HEADER = ("layer", "kind", "output", "parameters", "multiply-adds", "activations", "sees px")
_TEXT_COLUMNS = 3
OPTIMIZERS = {"plain SGD": 0, "momentum": 1, "Adam": 2}
"""Moments that an optimizer keeps for each parameter."""


def profile_lines(name: str, profile: Profile) -> list[str]:
    """The table and, below it, the totals."""
    rows = [HEADER, *map(_row, profile.layers)]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    table = aligned([[*row[:_TEXT_COLUMNS], *map(str.rjust, row[_TEXT_COLUMNS:], widths[_TEXT_COLUMNS:])] for row in rows])
    smallest = "none up to 1,024 px" if profile.smallest_picture is None else f"{profile.smallest_picture} px"
    steps = ", ".join(f"{amount(profile.step_bytes(moments))} with {optimizer}" for optimizer, moments in OPTIMIZERS.items())
    pictures = (
        f"{pixels(profile.image_size)} px, {profile.in_channels} channels, {profile.num_classes} classes, batches of {profile.batch_size}"
    )
    totals = [
        (name, pictures),
        ("parameters", f"{profile.parameters:,}"),
        ("multiply-adds", f"{profile.multiply_adds:,} for each picture"),
        ("activations", f"{amount(profile.activation_bytes)} kept for the backward pass, float32"),
        ("training step", steps),
        ("smallest picture", smallest),
    ]
    return [*table, "", *aligned(totals)]


def to_json(name: str, profile: Profile) -> Mapping[str, Any]:
    """Everything, in bytes and plain numbers; the memory of a step by the number of the optimizer's moments."""
    return {"model": name, **asdict(profile), "step_bytes": {str(moments): profile.step_bytes(moments) for moments in OPTIMIZERS.values()}}


def amount(num_bytes: int) -> str:
    """
    >>> amount(1_234_567), amount(12_345_678_901), amount(5_120), amount(0)
    ('1.2 MB', '12,345.7 MB', '5.1 kB', '0')
    """
    if num_bytes < 1e5:
        return f"{num_bytes / 1e3:.1f} kB" if num_bytes else "0"
    return f"{num_bytes / 1e6:,.1f} MB"


def _row(layer: Layer) -> tuple[str, ...]:
    shape = " x ".join(str(length) for length in layer.shape)
    numbers = (f"{layer.parameters:,}", f"{layer.multiply_adds:,}", amount(layer.activation_bytes), str(layer.receptive_field or "-"))
    return (layer.name or "(network)", layer.kind, shape, *numbers)
