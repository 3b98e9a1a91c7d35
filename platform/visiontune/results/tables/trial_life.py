"""One trial's life: why it was proposed, how it stood at each rung, where it was trained, what became of its workers, why it ended."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from visiontune.errors import plural
from visiontune.results.screens.text import duration, number, recipe_line
from visiontune.results.tables.strict_json import strict
from visiontune.spec.declarations.brackets import first_rung
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.spec.space.study_spec import Objective
from visiontune.tracking.event_content import run_name
from visiontune.tuning.ranking.curves import Curves
from visiontune.tuning.ranking.ranking import full_epochs
from visiontune.tuning.records.records import StudyRecord, TrialRecord
from visiontune.tuning.study.lineage import Segment, begun, lineage
from visiontune.tuning.study.trial_history import Place, TrialHistory

_BARS = "▁▂▃▄▅▆▇█"
_MOST_BARS = 60


@dataclass(frozen=True)
class RungStanding:
    """How a trial stood at a rung: its place among the trials that are there by now, and whether it went on.

    ASHA decides whenever a worker is free, among those that were there by then: so one that went on may be behind `num_may` by now.
    `mark` is the value of the last of those that may go on by now, None while none may, and with several objectives.
    """

    epoch: int
    value: float
    place: int
    num_there: int
    num_may: int
    mark: float | None
    went_on: bool


@dataclass(frozen=True)
class TrialLife:
    """What a study has of one trial, `lineage` whose epochs made its weights. `print(life)` tells it."""

    study: str
    objective: Objective
    record: TrialRecord
    history: TrialHistory
    rungs: tuple[RungStanding, ...]
    lineage: tuple[Segment, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """For programs; times as ISO texts, and a value that is not finite as null."""
        history = asdict(self.history)
        history |= {key: history[key] and history[key].isoformat() for key in ("started", "ended")}
        lists = {"rungs": [asdict(one) for one in self.rungs], "lineage": [asdict(one) for one in self.lineage]}
        found = strict({"study": self.study, "objective": asdict(self.objective), **asdict(self.record), **history, **lists})
        assert isinstance(found, dict)
        return found

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> list[str]:
        """The life as text, in the order in which it went."""
        trial = self.record
        params = " ".join(f"{key}={number(value)}" for key, value in trial.params.items())
        head = [
            f"trial {trial.number} of study {self.study}: {trial.state}{f' ({trial.kind})' if trial.kind else ''}",
            f"proposed by {trial.proposed_by}" if trial.proposed_by else "",
            f"  {recipe_line(trial.recipe)}",
            f"  {params}" if params else "",
            f"  seed {trial.recipe['training']['seed']}, fingerprint {trial.fingerprint}",
        ]
        parts = (*self._curve(), *map(self._rung, self.rungs), *self._taken(), *self._work(), *self._end())
        return [line for line in (*head, *parts) if line]

    def _curve(self) -> Iterator[str]:
        values = {epoch: value for epoch, value in self.record.values.items() if math.isfinite(value)}
        if not values:
            yield "no epoch was trained to its end"
            return
        last, first = max(values), min(values)
        begin = f"{number(values[first])} after epoch {first}, " if first < last else ""
        yield f"{self.objective.metric} {sparkline(list(values.values()))} {begin}{number(values[last])} after epoch {last}"
        best = (max if self.objective.mode == "max" else min)(values, key=lambda epoch: values[epoch])
        if self.objective.is_better(values[best], values[last]):
            yield f"  its best was {number(values[best])} after epoch {best}; the last counts"

    def _rung(self, one: RungStanding) -> str:
        to = "" if one.mark is None else f", to {number(one.mark)}"
        may = f"the best {one.num_may} may go on{to}" if one.num_may else "none may go on yet"
        fate = "it went on" if one.went_on else "it waits" if self.record.state == "waiting" else "it did not go on"
        return f"rung {one.epoch}: {number(one.value)}, number {one.place} of the {one.num_there} that are there by now ({may}): {fate}"

    def _taken(self) -> Iterator[str]:
        """Whose weights it took, the params above being those since."""
        for phase in self.record.phases[1:]:
            yield f"after epoch {phase.epoch} it {phase}" if phase.source is not None else ""
        if len(self.lineage) > 1:
            epochs = ", ".join(f"trial {one.number} up to {one.high}" for one in self.lineage)
            yield f"epochs that made its weights: {epochs}"

    def _work(self) -> Iterator[str]:
        history = self.history
        if history.epoch_s:
            seconds = list(history.epoch_s.values())
            gpus = f" on {number(history.num_gpus)} GPU" if history.num_gpus else ""
            yield f"trained for {duration(sum(seconds))}{gpus}, {sum(seconds) / len(seconds):.3g} s an epoch"
        for place in _moves(history.places):
            where = place.gpu or f"CPU, {plural(place.num_threads, 'thread')}{self._in_place}"
            yield f"  from epoch {place.epoch} on {place.node} ({where}){place.note and f': {place.note}'}"
        for loss in history.losses:
            yield f"  lost its worker after {plural(loss.epoch, 'epoch')}{loss.node and f' on {loss.node}'}: {loss.what}"
        if self.record.micro_batch:
            yield f"  memory allowed {plural(self.record.micro_batch, 'picture')} at a time, and not a whole batch"

    @property
    def _in_place(self) -> str:
        """What a CPU computes in where the recipe asks for what only GPUs have."""
        precision = self.record.recipe["training"].get("precision")
        return f", in fp32 in place of {precision}" if precision in ("tf32", "auto") else ""

    def _end(self) -> Iterator[str]:
        trial, history = self.record, self.history
        if trial.state in ("complete", "pruned", "failed"):
            yield f"ended: {trial.reason or trial.state}"
        elif trial.reason:
            yield f"waits: {trial.reason}"
        if history.started is not None:
            until = f" to {history.ended:%Y-%m-%d %H:%M:%S}" if history.ended else ""
            yield f"from {history.started:%Y-%m-%d %H:%M:%S}{until}"
        yield f"in MLflow: run {run_name(trial.number, TrialRecipe(**begun(trial).recipe).flat())!r} of experiment {self.study}"


def trial_life(study: StudyRecord, trial: TrialRecord, history: TrialHistory) -> TrialLife:
    """The life of a trial of that study."""
    segments = lineage({one.number: one for one in study.trials}, trial.number, trial.epoch)
    return TrialLife(study.name, study.objective, trial, history, tuple(_standings(study, trial)), tuple(segments))


def _moves(places: Sequence[Place]) -> Iterator[Place]:
    """Without those where it went on as before: a trial of a population has a leg from each point to the next."""
    before = None
    for place in places:
        if place.note or before is None or replace(place, epoch=0) != replace(before, epoch=0, note=""):
            yield place
        before = place


def _standings(study: StudyRecord, trial: TrialRecord) -> Iterator[RungStanding]:
    """At each rung below the full budget that compares the trial with others."""
    curves, eta = Curves(study.objective), int(study.identity.get("budget.reduction_factor", 3))
    own, is_asha = first_rung(trial.number, study.brackets), study.identity.get("trial_scheduler.name") == "asha"
    for one in study.trials:
        if full_epochs(one) == full_epochs(trial) and first_rung(one.number, study.brackets) == own:
            curves.know_costs(one.number, one.costs)
            for epoch, value in one.values.items():
                if math.isfinite(value):
                    curves.record(one.number, epoch, value)
    for rung in study.rungs[own:-1]:
        ranked = curves.ranked(rung)
        if trial.number in ranked:
            num_may = max(int(is_asha and rung > study.rungs[own]), len(ranked) // eta)
            mark = curves.values[ranked[num_may - 1]][rung] if num_may and not study.objective.costs else None
            place = ranked.index(trial.number) + 1
            yield RungStanding(rung, trial.values[rung], place, len(ranked), num_may, mark, trial.epoch > rung)


def sparkline(values: Sequence[float]) -> str:
    """Finite values as bars from their lowest to their highest; of many, so many as fit a line, evenly.

    >>> sparkline([0.1, 0.5, 0.9]), sparkline([2.0])
    ('▁▅█', '▁')
    """
    low, high, num = min(values), max(values), min(len(values), _MOST_BARS)
    chosen = [values[round(place * (len(values) - 1) / max(1, num - 1))] for place in range(num)]
    span = (high - low) or 1.0
    return "".join(_BARS[round((value - low) / span * (len(_BARS) - 1))] for value in chosen)
