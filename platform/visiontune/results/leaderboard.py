"""A study as a table and as JSON: who is best, who passed each rung, what failed and how.

Order: those that got furthest first, by value within; what failed or never gave a finite value last. Values of different
epochs are not comparable, so a lucky first epoch never stands above a trial that was trained to the end.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from visiontune.results.text import aligned, number, recipe_line
from visiontune.tuning.records import StudyView, TrialRow


def ranked(view: StudyView) -> list[TrialRow]:
    """Rows, best first."""
    sign = -1.0 if view.objective.mode == "max" else 1.0

    def key(row: TrialRow) -> tuple[bool, int, float, int]:
        value = math.inf if row.value is None or not math.isfinite(row.value) else sign * row.value
        return row.state == "failed" or value == math.inf, -row.epoch, value, row.number

    return sorted(view.rows, key=key)


def leaderboard(view: StudyView, n: int = 10, width: int | None = None) -> str:
    """The `n` best trials with the params in which trials differ, rungs, failures, best recipe; rows are cut at `width`."""
    if not view.rows:
        return f"study {view.name}: no trials yet"
    rows = ranked(view)
    names = short_names(differing(view.rows))
    header = ("trial", "state", view.objective.metric, "epoch", "reason", "params")
    table = aligned([header, *(_cells(row, names) for row in rows[:n])])
    lines = [f"study {view.name}: {_counts(view)}", *(_cut(line, width) for line in table)]
    if len(rows) > n:
        lines.append(f"... and {len(rows) - n} more")
    lines += ["", *rung_lines(view), *failure_lines(view)]
    if view.best is not None:
        lines.append(f"best: trial {view.best.number}, {view.objective.metric} {number(view.best.value)} after {view.best.epoch} epochs")
        lines.append(f"  {recipe_line(view.best.recipe)}")
    return "\n".join(lines)


def _cut(line: str, width: int | None) -> str:
    return line if width is None or len(line) <= width else line[: width - 1] + "…"


def _cells(row: TrialRow, names: Mapping[str, str]) -> tuple[str, ...]:
    params = " ".join(f"{short}={number(row.params[key])}" for key, short in names.items() if key in row.params)
    return str(row.number), row.state, number(row.value), str(row.epoch), row.reason or "-", params


def _counts(view: StudyView) -> str:
    states = Counter(row.state for row in view.rows)
    parts = [f"{states[state]} {state}" for state in ("complete", "running", "waiting", "pruned", "failed") if states[state]]
    return f"{len(view.rows)} of {view.num_trials} trials: " + ", ".join(parts)


def differing(rows: Iterable[TrialRow]) -> list[str]:
    """Keys of params that not all trials share with one value, in the order in which they first appear."""
    rows = list(rows)
    keys = dict.fromkeys(key for row in rows for key in row.params)
    return [key for key in keys if any(row.params.get(key, _ABSENT) != rows[0].params.get(key, _ABSENT) for row in rows)]


_ABSENT = object()


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """Each dotted key with its shortest tail that no other key ends in.

    >>> short_names(["optimizer.lr", "model.name", "optimizer.name"])
    {'optimizer.lr': 'lr', 'model.name': 'model.name', 'optimizer.name': 'optimizer.name'}
    """

    def tails(key: str) -> list[str]:
        parts = key.split(".")
        return [".".join(parts[-length:]) for length in range(1, len(parts) + 1)]

    seen = Counter(tail for key in keys for tail in tails(key))
    return {key: next((tail for tail in tails(key) if seen[tail] == 1), key) for key in keys}


def passed(view: StudyView) -> list[tuple[int, int, int]]:
    """(rung's epoch, trials that reached it, trials that went on beyond it) for every rung below the full budget."""
    furthest = [row.epoch for row in view.rows]
    return [(rung, sum(epoch >= rung for epoch in furthest), sum(epoch > rung for epoch in furthest)) for rung in view.rungs[:-1]]


def rung_lines(view: StudyView) -> list[str]:
    """One line for each rung; the last one is the full budget."""
    lines = [f"rung {rung}: {reached} reached it, {on} passed" for rung, reached, on in passed(view)]
    full = sum(row.epoch >= view.rungs[-1] for row in view.rows)
    return [*lines, f"full budget of {view.rungs[-1]} epochs: {full} reached it"]


def failures(view: StudyView) -> dict[str, int]:
    """Failed trials by kind, most frequent first."""
    return dict(Counter(row.kind or "crashed" for row in view.rows if row.state == "failed").most_common())


def failure_lines(view: StudyView) -> list[str]:
    """Nothing when none failed, else one line."""
    found = failures(view)
    return ["failures: " + ", ".join(f"{count} {kind}" for kind, count in found.items())] if found else []


def to_json(view: StudyView) -> dict[str, Any]:
    """The view as JSON can carry it, rows best first; a value that is not finite becomes null."""
    content: dict[str, Any] = {
        "study": view.name,
        "objective": asdict(view.objective),
        "num_trials": view.num_trials,
        "best": view.best.number if view.best is not None else None,
        "rungs": [{"epochs": rung, "num_reached": reached, "num_passed": on} for rung, reached, on in passed(view)],
        "failures": failures(view),
        "confirmations": [asdict(one) for one in view.confirmations],
        "trials": [asdict(row) for row in ranked(view)],
    }
    clean = _finite(content)
    assert isinstance(clean, dict)
    return clean


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
