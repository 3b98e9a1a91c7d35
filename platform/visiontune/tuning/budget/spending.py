"""What a search has spent of its budget, what it keeps back to end well, and so whether another leg may start.

Time is planned, not cut. Kept back is what it takes to train the best trial in full, where none is yet, and to find the winner, at
the seconds per epoch that were measured. Where the whole budget is too small for that, less is aimed at: a lower rung, fewer
confirmations.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

from visiontune.spec.space.epoch_forecast import CONFIRM_S, MARGIN, num_in_turn, num_retrainings
from visiontune.spec.space.study_spec import StudySpec
from visiontune.tuning.budget.search_clock import START_S
from visiontune.tuning.records.leg import Report
from visiontune.tuning.records.records import TrialRecord
from visiontune.tuning.study.study_storage import Storage

NOTE_EVERY_S = 5.0
"""How often what was spent is written down; at most so much is given back by a kill."""

SHARE = 0.5
"""Of the whole budget, the most that training one trial in full, or confirming it, may take."""

UNITS = ("epochs", "hours", "gpu_hours")


class Spending:
    """All drivers' together, in epochs of one network, of which a trial may have several.

    `start_s` is this one's (time.monotonic); `num_gpus` are a trial's, `num_slots` trials run at once."""

    def __init__(self, spec: StudySpec, storage: Storage, start_s: float) -> None:
        self.num_gpus, self.num_slots = 0.0, 1
        self.num_new_epochs = 0
        self.refused = ""
        self._spec, self._storage = spec, storage
        self._start_s = self._noted_s = start_s
        self._limits = {unit: limit for unit, limit in spec.budget.limits.items() if unit in UNITS}
        self._before: Mapping[str, float] = storage.attributes().get("spent", {})
        self._gpu_s = 0.0
        self._ready_s: float | None = None
        self._epoch_s: dict[int, dict[int, float]] = {}
        self._all_s, self._num_measured = 0.0, 0

    def measured(self, report: Report, number: int | None = None) -> None:
        """An epoch was trained now, of this trial or of a confirmation; its metric `epoch_s` says how long it took."""
        epoch_s = float(report.metrics.get("epoch_s", 0.0))
        if self._ready_s is None:
            self._ready_s = max(0.0, self._elapsed_s - epoch_s)
        self.num_new_epochs += 1 if number is None else self._spec.num_repeats
        self._gpu_s += epoch_s * self.num_gpus
        if number is not None:
            self.known(number, {report.epoch: epoch_s})

    def failed(self) -> None:
        """A leg failed before the end of its epoch, which counts as one all the same: or trials that all fail would cost nothing."""
        self.num_new_epochs += self._spec.num_repeats
        self._gpu_s += max(1.0, self._typical_s(None) * self._spec.num_repeats) * self.num_gpus

    def trained_again(self, number: int, num_epochs: int) -> None:
        """Epochs that are known are trained once more, as the checkpoint went: no report will tell of them."""
        num_epochs *= self._spec.num_repeats
        self.num_new_epochs += num_epochs
        self._gpu_s += num_epochs * self._typical_s(number) * self.num_gpus

    def known(self, number: int, epoch_s: Mapping[int, float]) -> None:
        """Seconds of further epochs of a trial."""
        self._epoch_s.setdefault(number, {}).update(epoch_s)
        self._all_s, self._num_measured = self._all_s + sum(epoch_s.values()), self._num_measured + len(epoch_s)

    def seconds_of(self, number: int) -> Mapping[int, float]:
        """Seconds by epoch of a trial, as far as they were measured."""
        return self._epoch_s.get(number, {})

    @property
    def spent(self) -> dict[str, float]:
        """By the keys of the budget."""
        now = {"epochs": self.num_new_epochs, "hours": self._elapsed_s / 3600, "gpu_hours": self._gpu_s / 3600}
        return {unit: self._before.get(unit, 0.0) + now[unit] for unit in UNITS}

    @property
    def left(self) -> dict[str, float]:
        """By the keys of the budget that are given."""
        spent = self.spent
        return {unit: limit - spent[unit] for unit, limit in self._limits.items()}

    @property
    def hours_to_go_on(self) -> float:
        """Of the budget, with which another call trains too: it starts Ray and its workers anew, and that counts before any epoch does.

        Where no worker was there yet it may take so long, and as long again for an epoch of which nothing is known.
        """
        start_s = self._elapsed_s + 2 * START_S if self._ready_s is None else self._ready_s
        trial = self._of_trial("hours", self._spec.budget.max_epochs, None) + self._testing("hours", int(self._spec.confirm["num_seeds"]))
        return self.spent["hours"] + MARGIN * (start_s / 3600 + trial)

    @property
    def _elapsed_s(self) -> float:
        return time.monotonic() - self._start_s

    def note(self, *, is_last: bool = False) -> None:
        """Write down what was spent, now and then."""
        if is_last or time.monotonic() - self._noted_s > NOTE_EVERY_S:
            self._noted_s = time.monotonic()
            self._storage.set_attribute("spent", self.spent)

    def is_used_up(self) -> bool:
        """Whether nothing is left of one of the limits, which is then `refused`."""
        unit = next((unit for unit, left in self.left.items() if left <= 0), "")
        self.refused = unit or self.refused
        return bool(unit)

    def allows(
        self,
        trial: TrialRecord | None,
        num_epochs: int,
        find_best: Callable[[], TrialRecord | None],
        under_way: Callable[[], Mapping[int, int]],
    ) -> bool:
        """Whether so many epochs of a trial (None: of a new one) leave what is kept back for the best one as it stands now.

        `under_way` gives the epochs that trials on workers have to go, and is asked only where they count. Before anything was measured an
        epoch takes no time. A refusal leaves its limit in `refused`.
        """
        if not self._limits:
            return True
        best = find_best()  # not before, as it looks at every trial
        reached = num_epochs if best is None else best.epoch  # the first trial is itself what is to be trained in full
        if trial is not None and best is not None and trial.number == best.number:
            reached += num_epochs
        is_done = best is not None and best.state == "complete"
        rest = 0 if is_done else max(0, self.goal_epochs(best) - reached)
        num_again = self._num_fitting(best, num_retrainings(self._spec), {u: SHARE * limit for u, limit in self._limits.items()})
        for unit, left in self.left.items():
            needed = self._of_trial(unit, num_epochs, _number(trial)) + self._of_trial(unit, rest, _number(best))
            needed += self._confirming(unit, best, num_again)
            if unit != "hours":  # what is under way runs beside it, but spends of the same epochs
                needed += sum(self._of_trial(unit, epochs, number) for number, epochs in under_way().items())
            if needed * (1.0 if unit == "epochs" else MARGIN) > left:
                self.refused = unit
                return False
        return True

    def fits(self, trial: TrialRecord, num_epochs: int) -> bool:
        """Whether so many epochs fit into what is left, with nothing kept back. A refusal leaves its limit in `refused`."""
        unit = next((unit for unit, left in self.left.items() if self._of_trial(unit, num_epochs, trial.number) > left), "")
        self.refused = unit or self.refused
        return not unit

    def goal_epochs(self, trial: TrialRecord | None) -> int:
        """The highest rung that one trial can reach with SHARE of the whole budget, at least the first."""
        rungs = self._spec.rungs
        limits = self._limits.items()
        fitting = (n for n in rungs if all(self._of_trial(unit, n, _number(trial)) <= SHARE * limit for unit, limit in limits))
        return max(fitting, default=rungs[0])

    def has_room(self, numbers: Sequence[int | None], num_epochs: int, num_out: int) -> bool:
        """Whether the recipes of these trials can each be trained again for so many epochs, beside `num_out` that are on workers.

        And the winner tested after it. Where not, the limit is in `refused`.
        """
        in_turn = math.ceil((num_out + len(numbers)) / max(1, self.num_slots))
        for unit, left in self.left.items():
            prices = [self._price(unit, num_epochs, number) for number in numbers]
            needed = in_turn * max(prices) if unit == "hours" else sum(prices) + num_out * max(prices)
            if needed + self._testing(unit, int(self._spec.confirm["num_seeds"])) > left:
                self.refused = unit
                return False
        return True

    def _num_fitting(self, trial: TrialRecord | None, wanted: int, room: Mapping[str, float]) -> int:
        """Retrainings, at most `wanted`, that fit into this much of each limit."""
        fits = (n for n in range(wanted, 0, -1) if all(self._confirming(unit, trial, n) <= room[unit] for unit in room))
        return next(fits, 0)

    def confirming_s(self, trial: TrialRecord | None, num_epochs: int) -> float:
        """Seconds for so many epochs of confirmations, num_slots at once."""
        return num_epochs / max(1, self.num_slots) * self._typical_s(_number(trial))

    def _typical_s(self, number: int | None) -> float:
        """Seconds of an epoch of one network of this trial, of any for one that has not been measured."""
        own = self._epoch_s.get(number) if number is not None else None
        return (statistics.fmean(own.values()) if own else self._all_s / max(1, self._num_measured)) / self._spec.num_repeats

    def _of_trial(self, unit: str, num_epochs: int, number: int | None) -> float:
        """Of so many epochs of all networks of a trial."""
        return self._price(unit, num_epochs * self._spec.num_repeats, number)

    def _price(self, unit: str, num_epochs: int, number: int | None) -> float:
        if unit == "epochs":
            return float(num_epochs)
        return num_epochs * self._typical_s(number) / 3600 * (self.num_gpus if unit == "gpu_hours" else 1.0)

    def _confirming(self, unit: str, trial: TrialRecord | None, num: int) -> float:
        """Of so many retrainings in full, num_slots at once, and the winner's tests."""
        in_turn = num_in_turn(self._spec, num, self.num_slots) if unit == "hours" else num
        seeds = min(num, int(self._spec.confirm["num_seeds"]))
        return self._price(unit, in_turn * self._spec.budget.max_epochs, _number(trial)) + self._testing(unit, seeds)

    def _testing(self, unit: str, num_seeds: int) -> float:
        """Of so many networks, num_slots at once."""
        in_turn = math.ceil(num_seeds / max(1, self.num_slots)) if unit == "hours" else num_seeds
        return in_turn * CONFIRM_S / 3600 * {"epochs": 0.0, "hours": 1.0, "gpu_hours": self.num_gpus}[unit]


def _number(trial: TrialRecord | None) -> int | None:
    return None if trial is None else trial.number
