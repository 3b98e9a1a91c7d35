"""What a search prints at its end: the leaderboard, how it ended, the winner, its confirmations, and the next commands."""

from __future__ import annotations

import shlex
import statistics
from collections.abc import Mapping, Sequence

from visiontune.errors import plural
from visiontune.filesystem.json_text import read_mapping
from visiontune.results.screens.text import amount, number
from visiontune.results.study import Study
from visiontune.results.tables.leaderboard import failures
from visiontune.results.tables.used import used_line
from visiontune.results.tables.winner_lines import race_lines
from visiontune.tuning.ranking.constraints import MAX_REFUSED
from visiontune.tuning.records.records import Confirmation, Ending, StudyRecord, test_figures_of
from visiontune.tuning.retraining.winner import epochs_of, winner_of


def summary(study: Study, *, go_on: str, ui_command: str, report_command: str = "", num_rows: int = 10, width: int | None = None) -> str:
    """The text that a search prints at its end. `go_on` is the command that continues it, `ui_command` opens MLflow."""
    folder, record = study.folder, study.record
    lines = [study.leaderboard(num_rows, width), "", _ending(study) + _news(study)]
    if study.best is None and study.status != "interrupted":
        why = f"no trial gave a finite {record.objective.metric}"
        if all(trial.state == "failed" for trial in record.trials) and any(trial.epoch for trial in record.trials):
            why = f"every trial failed ({', '.join(f'{num} {kind}' for kind, num in failures(record).items())})"
        elif not any(trial.epoch or trial.state == "failed" for trial in record.trials):
            why = "no epoch of any trial came to its end"
        lines.append(f"{why}, so there is no winner")
    if study.best is not None and record.ending is not None and winner_of(record) is not None and folder.winner.exists():
        winner = winner_of(record) or study.best
        lines.append(f"winner: trial {winner.number} after {epochs_of(winner, record)}, recipe in {folder.winner}")
        if record.objective.costs:
            lines.append(f"it is the best in {record.objective.metric}; recipes of the whole front in {folder.front}")
        if folder.winner_sheet.exists():
            lines.append(f"what it does to pictures: {folder.winner_sheet}")
    lines += winner_lines(record)
    if (used := used_line(record, folder)) and study.num_new_epochs:
        lines.append(used)
    if (
        study.status == "budget"
        and study.best is not None
        and record.ending is not None
        and len(record.confirmations) < record.ending.num_seeds
    ):
        lines.append(f"of {plural(record.ending.num_seeds, 'confirmation')} the budget had room for {len(record.confirmations)}")
        if not record.confirmations:
            lines.append("so the winner has no test figure and no weights yet, and its value is the best of many")
    if folder.registered.exists():
        found = read_mapping(folder.registered, "name", "said")
        lines.append(f"registered as {found['name']}: {found['said']}")
    if report_command and study.best is not None:
        lines.append(f"the answer as a page, with what it gets wrong: {report_command}")
    lines.append(f"look at the trials: {ui_command}")
    if study.status == "budget" and record.ending is not None:
        who = "trials that wait go on" if any(trial.state == "waiting" for trial in record.trials) else "it goes on"
        lines.append(f"{who} with more of it: {_with_more(go_on, record.ending, record.spent)}")
    elif study.status != "finished":
        lines.append(f"go on: {go_on}")
    return "\n".join(lines)


def _ending(study: Study) -> str:
    if study.status == "budget" and study.record.ending is not None:
        ending = study.record.ending
        return f"the budget of {amount(ending.limits[ending.by], ending.by)} has no room for more"
    if study.status == "finished" and study.record.ending is not None:
        ending, metric = study.record.ending, study.record.objective.metric
        goals = {
            "stop_at": f"the search is finished: {metric} reached {ending.limits.get('stop_at', 0.0):g}",
            "constraints": f"the search is finished: the newest {MAX_REFUSED} recipes cost more than its constraints allow",
            "patience": f"the search is finished: none of the newest {ending.limits.get('patience', 0):g} trials was the best at a rung",
        }
        return goals.get(ending.by, "the search is finished")
    return {"finished": "the search is finished", "interrupted": "interrupted; what is done is kept"}.get(study.status, study.status)


def _with_more(go_on: str, ending: Ending, spent: Mapping[str, float]) -> str:
    """The command with twice as much of what ended the search, in place of what it said of that; enough for another call in any case."""
    key = f"budget.{ending.by}="
    kept = [word for word in shlex.split(go_on) if not word.startswith(key)]
    more = max(2 * ending.limits[ending.by], 2 * spent.get(ending.by, 0.0), ending.hours_to_go_on)
    return f"{shlex.join(kept)} {key}{more:.4g}"


def _news(study: Study) -> str:
    if study.status != "interrupted" and study.num_new_epochs == 0 and study.num_new_trials == 0:
        return "; nothing was trained" if study.status == "budget" else "; nothing was left to do"
    return f"; {plural(study.num_new_trials, 'trial')} and {plural(study.num_new_epochs, 'epoch')} were new"


def winner_lines(record: StudyRecord) -> list[str]:
    """How the race for the winner ended, and what its retraining gave."""
    num_test = int(record.pictures.get("splits", {}).get("test", 0))
    return [*race_lines(record), *confirmation_lines(record.confirmations, record.objective.metric, num_test)]


def confirmation_lines(confirmations: Sequence[Confirmation], metric: str, num_test: int = 0) -> list[str]:
    """Mean and sample standard deviation over the seeds of the winner's retraining; `num_test` pictures, 0 where that is not known."""
    good = [one for one in confirmations if one.is_tested]
    lines = [f"retraining on seed {one.seed} failed: {one.failure}" for one in confirmations if one.failure]
    if good:
        name, figures = test_figures_of(good)
        loss = spread([one.test_loss for one in good])
        val = spread([one.val_value for one in good])
        own = [one.test_value for one in good if one.test_value is not None]
        others = f", test {metric.removeprefix('val_')} {spread(own)}" if own and metric != f"val_{name}" else ""
        others += "".join(f", with {views} {spread(found)}" for views, found in by_views(good).items())
        seeds = "one fresh seed" if len(good) == 1 else f"{len(good)} fresh seeds (mean ± standard deviation)"
        tested = f" on {plural(num_test, 'test picture')}" if num_test else ""
        lines.append(f"retrained in full on {seeds}: test {name} {spread(figures)}{tested}, test loss {loss}{others}, {metric} {val}")
    return lines


def by_views(good: Sequence[Confirmation]) -> dict[str, list[float]]:
    """The test's accuracies with test-time augmentation, by what they were measured with."""
    found: dict[str, list[float]] = {}
    for one in good:
        if one.test_time_top1 is not None:
            found.setdefault(one.test_time, []).append(one.test_time_top1)
    return found


def spread(values: Sequence[float]) -> str:
    """
    >>> spread([0.5, 0.7]), spread([0.5])
    ('0.6 ± 0.1414', '0.5')
    """
    mean = number(float(statistics.fmean(values)))
    return mean if len(values) == 1 else f"{mean} ± {number(float(statistics.stdev(values)))}"
