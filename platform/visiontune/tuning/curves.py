"""What trials are compared by: the objective of each by epoch, kept in the order of the values at every epoch."""

from __future__ import annotations

import bisect
from collections.abc import Callable
from dataclasses import dataclass, field

from visiontune.spec.brackets import first_rung
from visiontune.spec.study_spec import Objective


@dataclass
class Curves:
    """The objective of every trial by epoch: {number: {epoch: value}}, finite values only. `brackets` say whose places are among whom."""

    objective: Objective
    values: dict[int, dict[int, float]] = field(default_factory=dict)
    brackets: tuple[int, ...] = (1,)
    _ranked: dict[int, list[tuple[float, int]]] = field(default_factory=dict)

    def record(self, number: int, epoch: int, value: float) -> None:
        """Add one point; a point that is there already stays."""
        curve = self.values.setdefault(number, {})
        if epoch in curve:
            return
        curve[epoch] = value
        cost = -value if self.objective.mode == "max" else value
        bisect.insort(self._ranked.setdefault(epoch, []), (cost, number))

    def best(self, epoch: int, eta: int, at_least: int = 0, among: Callable[[int], bool] | None = None) -> list[int]:
        """The best floor(n / eta) of the n trials with a value at `epoch`, or `at_least` so many; best first, of equals the older.

        `among`: of those trials alone.
        """
        ranked = self.ranked(epoch) if among is None else [number for number in self.ranked(epoch) if among(number)]
        return ranked[: max(at_least, len(ranked) // eta)]

    def ranked(self, epoch: int) -> list[int]:
        """All trials with a value at `epoch`, best first."""
        return [number for _, number in self._ranked.get(epoch, [])]

    def first(self, epoch: int) -> int | None:
        """The best at `epoch`; None where no trial got there."""
        ranked = self._ranked.get(epoch)
        return ranked[0][1] if ranked else None

    def rank(self, number: int, epoch: int) -> tuple[int, int]:
        """(rank from 1, number of trials) at `epoch`, in the trial's bracket."""
        if len(self.brackets) > 1:
            own = first_rung(number, self.brackets)
            members = [one for one in self.ranked(epoch) if first_rung(one, self.brackets) == own]
            return members.index(number) + 1, len(members)
        ranked, value = self._ranked[epoch], self.values[number][epoch]
        cost = -value if self.objective.mode == "max" else value
        return bisect.bisect_left(ranked, (cost, number)) + 1, len(ranked)

    def place(self, number: int, epoch: int) -> str:
        """The rank as a sentence."""
        place, num_reached = self.rank(number, epoch)
        whose = " of its bracket" if len(self.brackets) > 1 else ""
        return f"at epoch {epoch} number {place} of the {num_reached} trials{whose} that got there"
