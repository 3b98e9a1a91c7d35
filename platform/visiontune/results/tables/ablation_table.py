"""What each factor of a winner is worth, as it stands in a study: read without training, as text, for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from visiontune.results.screens.text import aligned, number, recipe_line
from visiontune.results.tables.winner_lines import Estimate
from visiontune.spec.factors import Factor
from visiontune.spec.space.study_spec import Objective
from visiontune.tuning.records.records import Confirmation
from visiontune.tuning.retraining.ablation import ALONE, CUMULATIVE, DEFAULTS, WINNER, WITHOUT, Plan, Variant


@dataclass(frozen=True)
class Row:
    """A recipe between the defaults and the winner. `value` is the objective over seeds, on val; `gain` what its factor is worth, better
    being positive: the paired differences of the winner and the recipe without it, of the recipe with it alone and the defaults, of one
    cumulative recipe and the one before, of the winner and the defaults; None where a side has no value. `failure` as a training says it.
    """

    kind: str
    factor: str
    value: Estimate | None
    gain: Estimate | None
    failure: str = ""


@dataclass(frozen=True)
class Ablation:
    """An ablation as far as it was trained; `print(ablation)` is its table. `left_out`: what its budget had no room for.

    `status` is that of the call which gave it: finished or interrupted; "" where it was only read.
    """

    name: str
    objective: Objective
    winner: int
    num_seeds: int
    budget: str
    factors: tuple[Factor, ...]
    rows: tuple[Row, ...]
    left_out: tuple[str, ...] = ()
    status: str = ""

    def row(self, kind: str, factor: str = "") -> Row | None:
        """The one of this kind; None where it is not known yet."""
        return next((row for row in self.rows if (row.kind, row.factor) == (kind, factor)), None)

    def to_dict(self) -> dict[str, Any]:
        """As JSON can carry it."""
        known = {"study": self.name, "metric": self.objective.metric, "mode": self.objective.mode, "winner": self.winner}
        asked = {"num_seeds": self.num_seeds, "budget": self.budget, "status": self.status}
        rows = [asdict(row) for row in self.rows]
        factors = [{"name": one.name, "before": dict(one.before), "after": dict(one.after)} for one in self.factors]
        return {**known, **asked, "factors": factors, "rows": rows, "left_out": list(self.left_out)}

    def __str__(self) -> str:
        return "\n".join(ablation_lines(self))


def ablation_of(name: str, plan: Plan, done: Mapping[str, Confirmation], budget: str) -> Ablation:
    """What is known of a plan's recipes."""
    variants = plan.variants(done)
    found = {(one.kind, one.factor): one for one in variants}
    rows, before = [], found[DEFAULTS, ""]
    for one in variants:
        pair = {
            WITHOUT: (found[WINNER, ""], one),
            ALONE: (one, found[DEFAULTS, ""]),
            CUMULATIVE: (one, before),
            WINNER: (one, found[DEFAULTS, ""]),
        }.get(one.kind)
        before = one if one.kind == CUMULATIVE else before
        rows.append(_row(plan, one, pair, done))
    left = tuple(dict.fromkeys(_title(one.kind, one.factor) for one in variants if not plan.is_done(one, done)))
    left += ("the factors one after another",) * (not plan.cumulative(done))
    return Ablation(name, plan.spec.objective, plan.winner.number, plan.num_seeds, budget, plan.factors, tuple(rows), left)


def _row(plan: Plan, variant: Variant, pair: tuple[Variant, Variant] | None, done: Mapping[str, Confirmation]) -> Row:
    results = plan.results(variant, done)
    failure = variant.refused or next((one.failure for one in results.values() if one.failure), "")
    gain = None
    if pair is not None:
        sign = 1.0 if plan.spec.objective.mode == "max" else -1.0
        of, beside = (_values(plan.results(one, done)) for one in pair)
        gain = Estimate.of([sign * (of[seed] - beside[seed]) for seed in of if seed in beside])
    return Row(variant.kind, variant.factor, Estimate.of([*_values(results).values()], plan.spec.objective.metric), gain, failure)


def _values(results: Mapping[int, Confirmation]) -> dict[int, float]:
    return {seed: one.val_value for seed, one in results.items() if not one.failure}


def _title(kind: str, factor: str) -> str:
    return {
        DEFAULTS: "the defaults",
        WINNER: "the winner",
        WITHOUT: f"the winner without {factor}",
        ALONE: f"the defaults with {factor}",
        CUMULATIVE: f"+ {factor}",
    }[kind]


def ablation_lines(ablation: Ablation) -> list[str]:
    """Both ends, a line for each factor, the way from one end to the other, what was left out."""
    metric, rows = ablation.objective.metric, ablation.rows
    better = "higher is better" if ablation.objective.mode == "max" else "lower is better; a gain is positive where it is lower"
    seeds = f"{ablation.num_seeds} paired seeds" if ablation.num_seeds > 1 else "one seed, so without intervals"
    lines = [f"study {ablation.name}: from the defaults to trial {ablation.winner}, {len(ablation.factors)} factors, {seeds}"]
    ends = [[_title(one.kind, ""), str(one.value or one.failure or "-")] for one in rows if one.kind in (DEFAULTS, WINNER)]
    lines += aligned([["", f"{metric} on val, mean ± deviation (95 % interval); {better}"], *ends])
    table = [["factor", "worth to the winner", "worth to the defaults", "defaults -> winner"]]
    for factor in ablation.factors:
        cells = [gain_text(ablation.row(kind, factor.name)) for kind in (WITHOUT, ALONE)]
        table.append([factor.name, *cells, f"{shown(factor, factor.before)} -> {shown(factor, factor.after)}"])
    lines += ["", *aligned(table)]
    if steps := [one for one in rows if one.kind == CUMULATIVE]:
        table = [["one after another", metric, "gain"]]
        table += [[_title(one.kind, one.factor), number(one.value and one.value.mean), gain_text(one)] for one in steps]
        lines += ["", *aligned(table)]
    if ablation.left_out:
        why = f"of its budget, {ablation.budget}" if ablation.budget else "so far"
        lines += ["", f"left out {why}: {_few(ablation.left_out)}"]
    return lines


def gain_text(row: Row | None) -> str:
    """What a factor is worth, with its interval; why it has none, where that is known."""
    if row is None or row.gain is None:
        return row.failure if row is not None and row.failure else "-"
    gain = row.gain
    interval = "" if gain.low is None else f" ({gain.low:+.4f} to {gain.high:+.4f})"
    return f"{gain.mean:+.4f}{interval}" + (", some seeds failed" if row.failure else "")


def _few(texts: Sequence[str]) -> str:
    more = [f"{len(texts) - 4} more"] if len(texts) > 5 else []
    return ", ".join([*texts[: 4 if more else 5], *more])


def shown(factor: Factor, part: Mapping[str, Any]) -> str:
    """One side of a factor in a few words: names bare, arguments that are not the table's own; "none" of an op that is not there."""
    if not part:
        return "none"
    said = recipe_line({factor.section: part}) if len(part) > 1 or isinstance(next(iter(part.values())), Mapping) else ""
    return said or number(next(iter(part.values())))
