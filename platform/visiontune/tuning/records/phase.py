"""What a population decided of a trial at a point: it stays with its own weights, or goes on from another's with a recipe of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

PHASES = "phases"
"""The attribute of a trial under which its decisions stand, in order."""


@dataclass(frozen=True)
class Phase:
    """From the end of `epoch` on. Without a `source` the trial goes on as before; with one, from the weights that this trial had then.

    `recipe` is then the source's with one phase more, `params` those from here on, `changes` says what of them is new, `micro_batch` is
    what memory allowed the source, None in studies of earlier versions. The first phase of a trial, after epoch 0, has what it was begun
    with.
    """

    epoch: int
    source: int | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    fingerprint: str = ""
    changes: str = ""
    micro_batch: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """As the storage has it."""
        known = {"epoch": self.epoch, "source": self.source}
        return known if self.source is None else asdict(self)

    def __str__(self) -> str:
        return f"goes on from trial {self.source}'s weights of epoch {self.epoch}" + (f", with {self.changes}" if self.changes else "")
