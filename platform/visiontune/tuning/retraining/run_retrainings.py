"""The last part of a search: recipes that are trained again in full, told to MLflow and in the log of events as trials are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from visiontune.filesystem.checkpoint_files import states_in
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.spec.space.study_spec import StudySpec
from visiontune.tuning.budget.spending import Spending
from visiontune.tuning.legs.placement import Loss
from visiontune.tuning.records.leg import Leg, Report
from visiontune.tuning.records.records import Put, TrialRecord
from visiontune.tuning.retraining.confirmation_events import confirmation_event, crashed_event
from visiontune.tuning.retraining.mlflow_events import now_ms
from visiontune.tuning.retraining.retraining_queue import RetrainingPolicy, RetrainingQueue
from visiontune.tuning.study.event_log import EventLog
from visiontune.tuning.study.read_confirmations import AVERAGED
from visiontune.tuning.study.study_storage import Storage

MakePolicy = Callable[[StudySpec, Storage, StudyFolder, Sequence[TrialRecord]], RetrainingPolicy | None]
"""What is trained again of these trials, once no more of them go on; None where there is nothing."""


class Retrainings:
    """Those that `make_policy` wants of the `trials` as they are when it begins. `queue` is None until then."""

    def __init__(
        self,
        spec: StudySpec,
        storage: Storage,
        folder: StudyFolder,
        spending: Spending,
        trials: Mapping[int, TrialRecord],
        put: Put,
        log: EventLog,
        make_policy: MakePolicy,
    ) -> None:
        self._spec, self._storage, self._folder, self._spending = spec, storage, folder, spending
        self._trials, self._put, self._log, self._make_policy = trials, put, log, make_policy
        self._started_ms = now_ms()
        self.queue: RetrainingQueue | None = None

    def begin(self) -> bool:
        """Whether there is anything to train again, now that no trial goes on."""
        policy = self._make_policy(self._spec, self._storage, self._folder, tuple(self._trials.values()))
        if policy is not None:
            self._log.write("search", None, "no trial goes on: the best are trained again")
            self.queue = RetrainingQueue(self._storage, self._spec.objective, policy, self._has_room)
        return policy is not None

    @property
    def num_epochs(self) -> int:
        """That this driver had trained."""
        return self.queue.num_epochs if self.queue else 0

    def next_leg(self) -> Leg | None:
        """None when there is none now, for good once none is out."""
        leg = self.queue.next_leg() if self.queue else None
        if leg is not None:
            self._note(leg, f"starts {_what(leg)}")
        return leg

    def let_go(self) -> list[str]:
        """The budget is used up: keys of legs whose workers are let go, so that the winner so far can meet the test."""
        assert self.queue is not None
        if gone := self.queue.let_go():
            self._log.write("retraining", None, f"lets go of {len(gone)}: the budget is used up, and the winner so far is tested")
        return gone

    def report(self, leg: Leg, report: Report) -> bool:
        """Take a worker's report; whether it should go on with this leg."""
        assert self.queue is not None
        if report.epoch and report.time_ms >= self._started_ms:  # said again, it was counted before
            self._spending.measured(report)
        number = self.trial_of(leg)
        if number is not None and (event := confirmation_event(leg, report, number, self._spec.objective.metric)) is not None:
            self._put(event)
        goes_on = self.queue.report(leg.key, report)
        if not goes_on:
            self._note(leg, f"ends {_what(leg)}" + (f": {report.failure}: {report.reason}" if report.failure else ""))
        return goes_on

    def lost(self, leg: Leg, what: str, loss: Loss) -> None:
        """The worker of a leg died or broke."""
        assert self.queue is not None
        self.queue.lost(leg.key, what, is_given_up=loss.is_given_up)
        if loss.is_given_up and (number := self.trial_of(leg)) is not None:
            self._put(crashed_event(leg, what, number))

    def trial_of(self, leg: Leg) -> int | None:
        """The number of the trial that this leg trains again, whose own number is that of a seed; its key names the recipe."""
        return next((trial.number for trial in self._trials.values() if trial.fingerprint in leg.key), None)

    def _has_room(self, leg: Leg, then: Sequence[Leg], num_out: int) -> bool:
        """What was begun goes on first, whatever it takes, while anything is left."""
        if self._spending.is_used_up():
            return False
        if states_in(self._folder.checkpoint(leg.key)):
            return True
        numbers = [self.trial_of(one) for one in (leg, *then)]
        return self._spending.has_room(numbers, 0 if leg.averaged else self._spec.budget.max_epochs, num_out)

    def _note(self, leg: Leg, text: str) -> None:
        self._log.write("retraining", self.trial_of(leg), text)


def _what(leg: Leg) -> str:
    if leg.is_test:
        of = "" if AVERAGED in leg.weights else f", {_seed(leg)}"
        return f"its test{of}"
    if leg.averaged:
        return "the mean of its weights"
    return f"on {_seed(leg)}"


def _seed(leg: Leg) -> str:
    return f"seed {leg.recipe.training['seed']}{', val included' if leg.use_val else ''}"
