"""What a search prints at its end: the leaderboard, how it ended, the winner, its confirmations, and the next commands."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from visiontune.results.study import Study
from visiontune.results.text import number
from visiontune.tuning.records import Confirmation

ENDINGS = {
    "finished": "the search is finished",
    "time_limit": "the time limit ended the search",
    "interrupted": "interrupted; what is done is kept",
}


def summary(study: Study, *, go_on: str, ui_command: str, num_rows: int = 10, width: int | None = None) -> str:
    """The text that a search prints at its end. `go_on` is the command that continues it, `ui_command` opens MLflow."""
    folder, record = study.folder, study.record
    lines = [study.leaderboard(num_rows, width), ""]
    lines.append(ENDINGS.get(study.status, study.status) + _news(study))
    if study.best is None and study.status == "finished":
        lines.append(f"no trial gave a finite {record.objective.metric}, so there is no winner")
    if study.best is not None and folder.winner.exists():
        lines.append(f"winner: trial {study.best.number}, recipe in {folder.winner}")
        if folder.winner_sheet.exists():
            lines.append(f"what it does to pictures: {folder.winner_sheet}")
    lines += confirmation_lines(record.confirmations, record.objective.metric)
    lines.append(f"look at the trials: {ui_command}")
    if study.status != "finished":
        lines.append(f"go on: {go_on}")
    return "\n".join(lines)


def _news(study: Study) -> str:
    if study.status == "finished" and study.num_new_trials == 0:
        return "; nothing was left to do"
    return f"; {study.num_new_trials} trials were new"


def confirmation_lines(confirmations: Sequence[Confirmation], metric: str) -> list[str]:
    """Mean and sample standard deviation over the seeds of the winner's retraining."""
    good = [one for one in confirmations if not one.failure]
    lines = [f"retraining on seed {one.seed} failed: {one.failure}" for one in confirmations if one.failure]
    if good:
        test = spread([one.test_top1 for one in good])
        loss = spread([one.test_loss for one in good])
        val = spread([one.val_value for one in good])
        own = [one.test_value for one in good if one.test_value is not None]
        others = f", test {metric.removeprefix('val_')} {spread(own)}" if own else ""
        seeds = "one fresh seed" if len(good) == 1 else f"{len(good)} fresh seeds (mean ± standard deviation)"
        lines.append(f"retrained in full on {seeds}: test top1 {test}, test loss {loss}{others}, {metric} {val}")
    return lines


def spread(values: Sequence[float]) -> str:
    """
    >>> spread([0.5, 0.7]), spread([0.5])
    ('0.6 ± 0.1414', '0.5')
    """
    mean = number(float(statistics.fmean(values)))
    return mean if len(values) == 1 else f"{mean} ± {number(float(statistics.stdev(values)))}"
