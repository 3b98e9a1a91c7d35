"""A scrambled Sobol sequence over a space: the first points of a search are spread evenly where independent draws would leave holes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from visiontune.spec.declarations.domains import Float
from visiontune.spec.space.space import Space


def sobol_params(space: Space, seed: int, number: int) -> dict[str, Any]:
    """Params of point `number` from 0; every param of every branch has a dimension of its own (Sobol 1967, scrambled as in Owen 1998)."""
    from scipy.stats.qmc import Sobol

    names = [name for name, _, _ in space.domains()]
    if not names:
        return {}
    engine = Sobol(len(names), scramble=True, seed=seed)
    if number:
        engine.fast_forward(number)
    asked = UnitParams(dict(zip(names, (float(u) for u in engine.random(1)[0]), strict=True)))
    space.resolve(asked)
    return asked.given


_Value = TypeVar("_Value")


@dataclass(frozen=True)
class UnitParams:
    """A Suggest that takes each value at its place in [0, 1) of the domain; `given` has those that were asked for."""

    unit: Mapping[str, float]
    given: dict[str, Any] = field(default_factory=dict)

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False) -> float:
        unit = self.unit[name]
        if step is not None:
            stepped = Float(low, high, step=step)
            value = stepped.nth(int(unit * (stepped.num_values() or 1)))
        else:
            value = math.exp(math.log(low) + unit * (math.log(high) - math.log(low))) if log else low + unit * (high - low)
        return self._give(name, min(max(value, low), high))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        unit = self.unit[name]
        if log:
            value = round(math.exp(math.log(low - 0.5) + unit * (math.log(high + 0.5) - math.log(low - 0.5))))
            return self._give(name, min(max(value, low), high))
        return self._give(name, low + step * int(unit * ((high - low) // step + 1)))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._give(name, choices[int(self.unit[name] * len(choices))])

    def _give(self, name: str, value: _Value) -> _Value:
        self.given[name] = value
        return value
