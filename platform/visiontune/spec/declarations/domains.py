"""What one parameter may be: `Float`, `Int` or `Choice`, both ends inclusive, and when; and where its value comes from (`Suggest`)."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Protocol

from visiontune.errors import UserError
from visiontune.spec.declarations.declare import Arg
from visiontune.spec.declarations.fingerprint import keyed_seed
from visiontune.spec.declarations.when import When, plain_when

DOMAINS: Mapping[str, Mapping[str, Arg]] = {
    "float": {
        "log": Arg(bool, "equal chance for equal ratios; low must be above 0", False),
        "step": Arg(float, "distance between values; must divide the range", None),
    },
    "int": {
        "log": Arg(bool, "equal chance for equal ratios; low must be at least 1", False),
        "step": Arg(int, "distance between values; must divide the range", 1),
    },
    "choice": {},
}
"""The three kinds of domain, each with the keys that may stand beside it; `when` and `otherwise` may beside each."""


class Suggest(Protocol):
    """Where values come from: an Optuna trial, recorded params, or a random generator."""

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False) -> float: ...
    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int: ...
    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any: ...


@dataclass(frozen=True)
class Float:
    """Floats from low to high. Without a step there is no list of values: `values` raises UserError."""

    low: float
    high: float
    log: bool = False
    step: float | None = None
    when: When | None = None

    def ask(self, name: str, suggest: Suggest) -> float:
        return float(suggest.suggest_float(name, self.low, self.high, step=self.step, log=self.log))

    def num_values(self) -> int | None:
        """How many values there are; None where there is no step."""
        return None if self.step is None else int((exact(self.high) - exact(self.low)) / exact(self.step)) + 1

    def values(self) -> list[float]:
        """As decimal numbers: 0.1 + 2 * 0.1 is 0.3. Raises UserError where there is no step."""
        if self.step is None:
            raise UserError(f"a float from {self.low} to {self.high} without a step has no list of values")
        return [self.nth(k) for k in range(self.num_values() or 0)]

    def nth(self, k: int) -> float:
        """low + k * step without the rounding of binary floats."""
        return float(exact(self.low) + k * exact(self.step or 0))

    def ends(self) -> list[float]:
        return [self.low, self.high]

    def to_plain(self) -> dict[str, Any]:
        return {"float": [self.low, self.high], "log": self.log, "step": self.step, **plain_when(self.when)}


@dataclass(frozen=True)
class Int:
    """Integers from low to high."""

    low: int
    high: int
    log: bool = False
    step: int = 1
    when: When | None = None

    def ask(self, name: str, suggest: Suggest) -> int:
        return int(suggest.suggest_int(name, self.low, self.high, step=self.step, log=self.log))

    def num_values(self) -> int | None:
        return (self.high - self.low) // self.step + 1

    def values(self) -> range:
        return range(self.low, self.high + 1, self.step)

    def ends(self) -> list[int]:
        return [self.low, self.high]

    def to_plain(self) -> dict[str, Any]:
        return {"int": [self.low, self.high], "log": self.log, "step": self.step, **plain_when(self.when)}


@dataclass(frozen=True)
class Choice:
    """One of `choices`; `branches` holds, by choice, the tree of what exists only under it."""

    choices: tuple[Any, ...]
    branches: Mapping[Any, Mapping[str, Any]] = field(default_factory=dict)
    when: When | None = None

    def ask(self, name: str, suggest: Suggest) -> Any:
        return suggest.suggest_categorical(name, self.choices)

    def num_values(self) -> int | None:
        return len(self.choices)

    def values(self) -> tuple[Any, ...]:
        return self.choices

    def ends(self) -> tuple[Any, ...]:
        return self.choices


Domain = Float | Int | Choice


@dataclass(frozen=True)
class FixedParams:
    """A Suggest that replays recorded params; raises UserError for one that was not recorded."""

    params: Mapping[str, Any]

    def _get(self, name: str) -> Any:
        if name not in self.params:
            raise UserError(f"no value for {name!r} among the recorded params")
        return self.params[name]

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False) -> float:
        return float(self._get(name))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return int(self._get(name))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._get(name)


@dataclass(frozen=True)
class RandomParams:
    """A Suggest that draws at random; each value is a function of seed, name and domain alone."""

    seed: int

    def _rng(self, name: str) -> random.Random:
        return random.Random(keyed_seed(self.seed, "param", name))

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False) -> float:
        rng = self._rng(name)
        if step is not None:
            stepped = Float(low, high, step=step)
            return stepped.nth(rng.randrange(stepped.num_values() or 1))
        value = math.exp(rng.uniform(math.log(low), math.log(high))) if log else rng.uniform(low, high)
        return min(max(value, low), high)

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        rng = self._rng(name)
        if log:
            value = round(math.exp(rng.uniform(math.log(low - 0.5), math.log(high + 0.5))))
            return min(max(value, low), high)
        return rng.randrange(low, high + 1, step)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._rng(name).choice(choices)


@dataclass(frozen=True)
class HeldParams(RandomParams):
    """Random params, but for those that are held fixed."""

    held: Mapping[str, Any] = field(default_factory=dict)

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False) -> float:
        return float(self.held[name]) if name in self.held else super().suggest_float(name, low, high, step=step, log=log)

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return int(self.held[name]) if name in self.held else super().suggest_int(name, low, high, step=step, log=log)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self.held[name] if name in self.held else super().suggest_categorical(name, choices)


@dataclass(frozen=True)
class EndParams:
    """A Suggest that gives `given` where it has a value, else the first or the last end of every domain."""

    given: Mapping[str, Any]
    use_last: bool = False

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False) -> float:
        return float(self.given.get(name, high if self.use_last else low))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return int(self.given.get(name, high if self.use_last else low))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self.given.get(name, choices[-1 if self.use_last else 0])


def exact(number: float) -> Fraction:
    """The decimal number that was written, exactly."""
    return Fraction(repr(number))
