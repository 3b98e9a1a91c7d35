"""The importance of a study's params as text, as JSON and as rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from visiontune.errors import plural
from visiontune.results.screens.text import aligned, number
from visiontune.results.tables.leaderboard import short_names
from visiontune.results.tables.strict_json import strict
from visiontune.tuning.importance.importance import Importance, Interaction, ParamImportance

BAR = 20
"""Characters of a share of 100 %."""


@dataclass(frozen=True)
class Why:
    """What mattered in a study: the importance of its params, and `next_search`, at most three sentences. `print(why)` is the table.

    `table` has a row for each param, `curves` one for each value of it or piece of its range, both as pandas.
    """

    importance: Importance
    next_search: tuple[str, ...]

    @property
    def table(self) -> Any:
        """Largest share first: share, low, high, total, effect, verdict, num_trials, given; the index is the param's name."""
        import pandas as pd

        keys = ("share", "low", "high", "total", "effect", "verdict", "num_trials")
        rows = [{"param": one.name, **{key: getattr(one, key) for key in keys}, "given": given(one)} for one in self.importance.params]
        return pd.DataFrame(rows, columns=["param", *keys, "given"]).set_index("param")

    @property
    def curves(self) -> Any:
        """The mean objective at `importance.epoch` over all else: param, value, mean, low, high, num_trials."""
        import pandas as pd

        rows = [{"param": one.name, **asdict(point)} for one in self.importance.params for point in one.curve]
        return pd.DataFrame(rows, columns=["param", "value", "mean", "low", "high", "num_trials"])

    def to_dict(self) -> dict[str, Any]:
        """For JSON; null where there is no figure."""
        return {**strict(asdict(self.importance)), "next_search": list(self.next_search)}

    def __str__(self) -> str:
        return "\n".join([*importance_lines(self.importance), *self.next_search])


def importance_lines(found: Importance) -> list[str]:
    """A head, a line for each param with a bar, and one for each pair."""
    others = plural(found.num_with_others, "trial")
    told = [f"{others} took weights that were trained with other params, so nothing is due to theirs"] if found.num_with_others else []
    if not found.params:
        has = f"{plural(found.num_values, 'trial')} {'has' if found.num_values == 1 else 'have'} a value of {found.metric}"
        return ["; ".join([f"{found.study}: {has} to go by", *told])]
    left = f", one in {1 + round(found.num_left_out / found.num_values)}" if found.num_left_out else ""
    head = (
        f"{found.study}: shares of the variance of {found.metric} at epoch {found.epoch}, "
        f"from {plural(found.num_values, 'trial')} of all rungs{left}; of unseen trials {max(0.0, found.fit):.0%} of it is predicted"
    )
    names = short_names([one.name for one in found.params])
    rows: list[tuple[str, ...]] = [("param", "share", "90 %", "", "effect", "trials", "best", "")]
    rows += [_row(one, names[one.name], found.mode) for one in found.params]
    return [head, *told, *aligned(rows), *_pair_lines(found.interactions, names)]


def _row(one: ParamImportance, name: str, mode: str) -> tuple[str, ...]:
    told = one.verdict if one.verdict != "matters" else ""
    where = f"under {given(one)}" if one.given else ""
    bar = "█" * round(BAR * one.share) + "░" * (round(BAR * one.high) - round(BAR * one.share))
    spread = f"{100 * one.low:.0f}-{100 * one.high:.0f}%"
    best = number(best_value(one, mode)) if one.verdict == "matters" else "-"
    return name, f"{one.share:.0%}", spread, bar, number(one.effect), str(one.num_trials), best, ", ".join(filter(None, (told, where)))


def _pair_lines(pairs: Sequence[Interaction], names: dict[str, str]) -> Iterator[str]:
    for pair in pairs:
        yield f"together: {names[pair.first]} and {names[pair.second]} {pair.share:.0%} ({100 * pair.low:.0f}-{100 * pair.high:.0f}%)"


def best_value(one: ParamImportance, mode: str) -> Any:
    """Where the param's curve is best; of a range the middle of a piece of it."""
    sign = 1 if mode == "max" else -1
    return max((point for point in one.curve if point.mean is not None), key=lambda point: sign * (point.mean or 0.0)).value


def given(one: ParamImportance) -> str:
    """The choices in whose branches a param exists, such as "model.name=cnn"."""
    return ", ".join(f"{name}={number(value)}" for name, value in one.given.items())
