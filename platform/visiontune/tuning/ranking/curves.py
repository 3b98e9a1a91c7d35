"""What trials are compared by: the objective of each by epoch, kept in the order of the values at every epoch."""

from __future__ import annotations

import bisect
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from visiontune.errors import plural
from visiontune.spec.declarations.brackets import first_rung
from visiontune.spec.reading.value_reader import listed
from visiontune.spec.space.study_spec import Objective
from visiontune.tuning.ranking.several_objectives import fronts, losses_of, spread_out

ALL = -1
"""In the place of a bracket."""

Among = tuple[int, int]
"""Trials at an epoch: those of a bracket, by the rung at which it begins, or all."""


@dataclass
class Curves:
    """The objective of every trial by epoch: {number: {epoch: value}}, finite values only. `brackets` say whose places are among whom.

    With several objectives trials are compared by their values and costs, front by front (several_objectives.py).
    """

    objective: Objective
    values: dict[int, dict[int, float]] = field(default_factory=dict)
    brackets: tuple[int, ...] = (1,)
    _ranked: dict[Among, list[tuple[float, int]]] = field(default_factory=dict)
    _newest: dict[Among, list[tuple[float, int]]] = field(default_factory=dict)
    _costs: dict[int, Mapping[str, float]] = field(default_factory=dict)
    _fronts: dict[int, list[list[int]]] = field(default_factory=dict)

    def record(self, number: int, epoch: int, value: float) -> None:
        """Add one point; a point that is there already stays."""
        curve = self.values.setdefault(number, {})
        if epoch in curve:
            return
        newest = max(curve, default=0)
        curve[epoch] = value
        for bracket in (ALL, first_rung(number, self.brackets)) if len(self.brackets) > 1 else (ALL,):
            bisect.insort(self._ranked.setdefault((epoch, bracket), []), (self._cost(value), number))
            if epoch > newest:
                bisect.insort(self._newest.setdefault((epoch, bracket), []), (self._cost(value), number))
            if 0 < newest < epoch:
                there = self._newest[newest, bracket]
                del there[bisect.bisect_left(there, (self._cost(curve[newest]), number))]
        self._fronts.pop(epoch, None)

    def know_costs(self, number: int, costs: Mapping[str, float]) -> None:
        """What is known of a trial's costs now, those that are no objectives too."""
        if self.objective.costs:
            self._costs[number] = costs
            for epoch in self.values.get(number, {}):
                self._fronts.pop(epoch, None)

    def best(self, epoch: int, eta: int, at_least: int = 0) -> list[int]:
        """The best floor(n / eta) of the n trials with a value at `epoch`, or `at_least` so many; best first, of equals the older."""
        ranked = self.ranked(epoch)
        return ranked[: max(at_least, len(ranked) // eta)]

    def best_at(self, epoch: int, eta: int, waiting: Collection[int], bracket: int = ALL, at_least: int = 0) -> int | None:
        """Of the `best` at `epoch` the first that waits there and went no further; to be asked often, in logarithmic time.

        Of a `bracket`, one of several, alone.
        """
        if self.objective.costs:
            return next((one for one in self.best(epoch, eta, at_least) if one in waiting and max(self.values[one]) == epoch), None)
        found = next((one for one in self._newest.get((epoch, bracket), ()) if one[1] in waiting), None)
        if found is None:
            return None
        ranked = self._ranked[epoch, bracket]
        return found[1] if bisect.bisect_left(ranked, found) < max(at_least, len(ranked) // eta) else None

    def ranked(self, epoch: int) -> list[int]:
        """All trials with a value at `epoch`, best first."""
        if self.objective.costs:
            return [number for front in self._fronts_at(epoch) for number in front]
        return [number for _, number in self._ranked.get((epoch, ALL), [])]

    def num_at(self, epoch: int) -> int:
        """Trials with a value at `epoch`."""
        return len(self._ranked.get((epoch, ALL), ()))

    def leaders(self, epoch: int) -> list[int]:
        """The best at `epoch`, of several objectives all that no other dominates; nothing where no trial got there."""
        if self.objective.costs and (epoch, ALL) in self._ranked:
            return self._fronts_at(epoch)[0]
        return [number for _, number in self._ranked.get((epoch, ALL), [])[:1]]

    def _fronts_at(self, epoch: int) -> list[list[int]]:
        """Each spread out; behind them those of which a cost is not known."""
        if epoch not in self._fronts:
            there = self._ranked.get((epoch, ALL), [])
            found = {number: losses_of(self.values[number][epoch], self._costs.get(number, {}), self.objective) for _, number in there}
            losses = {number: one for number, one in found.items() if one is not None}
            unknown = [number for number, one in found.items() if one is None]
            self._fronts[epoch] = [*(spread_out(front, losses) for front in fronts(losses)), *([unknown] if unknown else [])]
        return self._fronts[epoch]

    def rank(self, number: int, epoch: int) -> tuple[int, int]:
        """(rank from 1, number of trials) at `epoch`, in the trial's bracket."""
        if self.objective.costs:
            members = self.ranked(epoch)
            return members.index(number) + 1, len(members)
        ranked = self._ranked[epoch, first_rung(number, self.brackets) if len(self.brackets) > 1 else ALL]
        return bisect.bisect_left(ranked, (self._cost(self.values[number][epoch]), number)) + 1, len(ranked)

    def _cost(self, value: float) -> float:
        return -value if self.objective.mode == "max" else value

    def place(self, number: int, epoch: int) -> str:
        """The rank as a sentence."""
        place, num_reached = self.rank(number, epoch)
        whose = " of its bracket" if len(self.brackets) > 1 else ""
        how = f", by {listed(self.objective.names)}" if self.objective.costs else ""
        return f"at epoch {epoch} number {place} of the {plural(num_reached, 'trial')}{whose} that got there{how}"
