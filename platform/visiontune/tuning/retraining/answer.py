"""The answer of a search in a few lines of Markdown: the description of its experiment in MLflow."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from visiontune.errors import plural
from visiontune.spec.reading.value_reader import listed
from visiontune.tuning.ranking.front import front_of_study
from visiontune.tuning.records.records import StudyRecord, TrialRecord, test_figures_of


def answer(study: StudyRecord, winner: TrialRecord | None) -> str:
    """Who won, what it is worth on fresh seeds, what the search spent, and the winner's params."""
    head = f"Study {study.name}: "
    if winner is None:
        return f"{head}none of {plural(len(study.trials), 'trial')} gave a finite {study.objective.metric}, so there is no winner."
    value = f"{study.objective.metric} {winner.value:.4g} after {plural(winner.epoch, 'epoch')}"
    said = f"trial {winner.number} of {len(study.trials)} has won, {value}."
    if study.objective.costs:
        numbers = listed([str(one.number) for one in front_of_study(study)])
        said += f" On the front of {listed(study.objective.names)}: {numbers or 'none yet'}."
    rows = "\n".join(f"| {key} | {_cell(value)} |" for key, value in winner.params.items())
    return "\n\n".join([head + said, _worth(study), _spent(study), f"| searched | winner |\n|---|---|\n{rows}" if rows else ""]).strip()


def _worth(study: StudyRecord) -> str:
    good = [one for one in study.confirmations if not one.failure]
    if not good:
        return "It was not trained again, so this is the best of many and no measure of what it is worth."
    val = _spread([one.val_value for one in good])
    name, found = test_figures_of(study.tested)
    test = f"test {name} {_spread(found)}" if found else "not tested yet"
    is_with_val = study.with_val is not None and study.with_val.is_tested
    of_test = f"; once more with the validation pictures too: {test}" if is_with_val else f", {test}"
    return f"Trained again in full on {plural(len(good), 'fresh seed')}: {study.objective.metric} {val}{of_test}."


def _spent(study: StudyRecord) -> str:
    parts = [f"{value:.3g} {key.replace('_', ' ')}" for key, value in study.spent.items() if value]
    return f"The search spent {', '.join(parts)}." if parts else ""


def _spread(values: Sequence[float]) -> str:
    mean = f"{statistics.fmean(values):.4g}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.2g}"


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value).replace("|", "\\|")
