"""A study's trials as a table that pandas can write as Parquet."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from visiontune.tuning.records.records import TrialRecord

if TYPE_CHECKING:
    import pandas as pd

KEYS = ("number", "state", "value", "epoch", "reason", "kind", "fingerprint", "proposed_by", "repeats")


def trial_table(trials: Sequence[TrialRecord]) -> pd.DataFrame:
    """A row for each trial, by number: KEYS, and a column params.KEY for each param, NaN where a trial has none.

    Arrow's columns are of one type: a param whose values are of several kinds is text, as YAML has it.
    """
    import pandas as pd

    mixed = {key for trial in trials for key in trial.params if len({_kind(one.params[key]) for one in trials if key in one.params}) > 1}
    rows = [{**{key: getattr(trial, key) for key in KEYS}, **_params(trial, mixed)} for trial in trials]
    return pd.DataFrame(rows, columns=None if rows else list(KEYS)).set_index("number")


def param_table(trials: Sequence[TrialRecord]) -> pd.DataFrame:
    """Sampled values as they are: a row for each trial, a column for each dotted key."""
    import pandas as pd

    return pd.DataFrame([dict(trial.params) for trial in trials], index=pd.Index([trial.number for trial in trials], name="number"))


def _params(trial: TrialRecord, mixed: set[str]) -> dict[str, Any]:
    return {f"params.{key}": _text(value) if key in mixed else value for key, value in trial.params.items()}


def _kind(value: Any) -> str:
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def curve_table(trials: Sequence[TrialRecord]) -> pd.DataFrame:
    """The objective: a row for each epoch from 1, a column for each trial; NaN where a trial was not trained so far."""
    import pandas as pd

    columns = {trial.number: pd.Series(dict(trial.values), dtype=float) for trial in trials}
    return pd.DataFrame(columns).rename_axis(index="epoch", columns="number").sort_index()
