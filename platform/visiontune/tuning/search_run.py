"""A search from its first leg to its last: trials, then confirmations, within the budget, with a snapshot at any time."""

from __future__ import annotations

from collections import Counter

from visiontune.filesystem.study_folder import StudyFolder
from visiontune.spec.epoch_forecast import cost
from visiontune.spec.study_spec import StudySpec
from visiontune.tuning.confirmation_queue import ConfirmationQueue
from visiontune.tuning.kept_checkpoints import KeptCheckpoints
from visiontune.tuning.mlflow_events import now_ms
from visiontune.tuning.ranking import best_of
from visiontune.tuning.records import Leg, Put, Report, Snapshot
from visiontune.tuning.search_clock import SearchClock
from visiontune.tuning.spending import Spending
from visiontune.tuning.start_recipes import StartRecipes
from visiontune.tuning.study_storage import Storage
from visiontune.tuning.trial_queue import TrialQueue

MAX_LOSSES = 8
"""Workers lost in a row, whatever their trials, before it is the machines that are at fault and not the trials."""


class SearchRun:
    """One driver's work on a study: hands out legs, at most `num_slots` at a time, and takes what comes back.

    Elapsed time counts from `start_s` (time.monotonic), now by default.
    """

    def __init__(self, spec: StudySpec, storage: Storage, folder: StudyFolder, put: Put, start_s: float | None = None) -> None:
        self.is_interrupted = False
        self.is_finished = False
        self.ended_by = ""
        self.fatal = ""
        self._spec, self._storage, self._folder = spec, storage, folder
        self._started_ms = now_ms()
        self.clock = SearchClock(start_s)
        self.spending = Spending(spec, storage, self.clock.start_s)
        self._checkpoints = KeptCheckpoints(folder, int(spec.storage["max_checkpoint_mb"]))
        self._queue = TrialQueue(spec, storage, put, self._checkpoints, self.spending)
        self._num_found = len(self._queue.trials.records)
        self._epochs_found = sum(trial.epoch for trial in self._queue.trials.records.values())
        self._confirmations: ConfirmationQueue | None = None
        self._legs: dict[str, Leg] = {}
        self._placed: set[str] = set()
        self._num_losses = 0

    @property
    def starts(self) -> StartRecipes:
        """What is tried before the sampler proposes."""
        return self._queue.starts

    @property
    def num_slots(self) -> int:
        """Legs that may be out at a time."""
        return self.spending.num_slots

    @num_slots.setter
    def num_slots(self, number: int) -> None:
        self.spending.num_slots = number

    @property
    def num_new_trials(self) -> int:
        """Trials that this driver started."""
        return len(self._queue.trials.records) - self._num_found

    def interrupt(self) -> None:
        """Let the workers go; what they have on disk is kept."""
        self.is_interrupted = True

    @property
    def is_stopping(self) -> bool:
        """Whether the workers should be let go."""
        return self.is_interrupted or bool(self.fatal)

    def next_leg(self) -> Leg | None:
        """Work for a free worker; None when there is nothing now, and for good once `is_finished`."""
        if self.is_finished or self.is_stopping or len(self._legs) >= self.num_slots:
            return None
        leg = self._next_trial() if self._confirmations is None else None
        if leg is None and not self._queue.on_worker:
            leg = self._next_confirmation()
        if leg is not None:
            self._legs[leg.key] = leg
            self.clock.leg_started()
        return leg

    def is_out(self, key: str) -> bool:
        """Whether this leg is still wanted: a spent budget ends legs that no worker has fetched yet."""
        return key in self._legs

    def placed(self, key: str) -> None:
        """A worker has begun with this leg; until then it waits for resources of the cluster."""
        self._placed.add(key)

    def report(self, key: str, report: Report) -> bool:
        """Take a report on a leg; whether its worker should go on with it."""
        leg = self._legs.get(key)
        if leg is None:
            return False
        if report.failure == "storage":  # nobody's fault: the trial goes on when the disk does
            self.fatal = report.reason
            return False
        if report.failure == "crashed":
            self.lost(key, report.reason)
            return False
        self._num_losses = 0
        if leg.is_confirmation and not report.failure and report.time_ms >= self._started_ms:  # said again, it was counted before
            self.spending.measured(report)
        part = self._confirmations if leg.is_confirmation and self._confirmations else self._queue
        goes_on = part.report(leg.number, report)
        if not goes_on:
            self._forget(key)
        self.check_budget()
        if self._queue.has_reached_target and not leg.is_confirmation:
            self._let_go_of_trials()
        return goes_on and key in self._legs

    def lost(self, key: str, what: str) -> None:
        """The worker of a leg died or broke."""
        leg = self._legs.pop(key, None)
        self._placed.discard(key)
        if leg is None or self.is_stopping:
            return
        self._num_losses += 1
        if self._num_losses >= MAX_LOSSES:
            self.fatal = f"{MAX_LOSSES} workers in a row were lost without a report, the last one: {what}"
        else:
            (self._confirmations if leg.is_confirmation and self._confirmations else self._queue).lost(leg.number, what)

    def snapshot(self) -> Snapshot:
        """How the search stands."""
        trials = self._queue.trials.records.values()
        states = Counter(trial.state for trial in trials)
        return Snapshot(
            num_trials=self._spec.budget.num_trials,
            limits=self._spec.budget.limits,
            spent=self.spending.spent,
            num_begun=len(trials),
            num_done=states["complete"],
            num_running=len(self._placed & self._legs.keys()),
            num_staged=len(self._legs.keys() - self._placed),
            num_waiting=states["waiting"],
            num_pruned=states["pruned"],
            num_failed=states["failed"],
            best=best_of(trials, self._spec.objective),
            epochs_per_minute=self._rate(),
            time_left_s=self._time_left_s(),
            elapsed_s=self.clock.elapsed_s,
            phase=self._phase(),
        )

    def _next_trial(self) -> Leg | None:
        self.check_budget()
        return None if self._confirmations is not None or self.is_finished else self._queue.next_leg()

    def _next_confirmation(self) -> Leg | None:
        """Once no trial may go on, the best one that was trained in full is confirmed."""
        if self._confirmations is None:
            winner = self._queue.trials.best()
            if self.is_finished or winner is None or winner.state != "complete":
                self._finish()
                return None
            self._confirmations = ConfirmationQueue(self._spec, self._storage, winner)
            begun = [key for key in self._confirmations.keys_todo if self._folder.checkpoint(key).exists()]
            num_new = self._confirmations.num_todo - len(begun)
            self._confirmations.limit(begun, self.spending.num_confirmations(winner, num_new))
            if not self._confirmations.num_done:  # weights and figures of an earlier winner must not pass for this one's
                for file in (self._folder.winner, self._folder.winner_weights, self._folder.winner_test):
                    file.unlink(missing_ok=True)
        leg = self._confirmations.next_leg()
        if leg is None and not self._confirmations.on_worker:
            self._finish()
        return leg

    def check_budget(self) -> None:
        """Write down what was spent; once nothing is left of it the workers are let go, and what they have on disk is kept."""
        if self.is_finished:
            return
        self.spending.note()
        if self.spending.is_used_up():
            self._legs.clear()
            self._placed.clear()
            self._finish()

    def _let_go_of_trials(self) -> None:
        """The target is reached: what has not is left as it is."""
        self._queue.let_go()
        self._legs.clear()
        self._placed.clear()

    def sweep(self) -> None:
        """Once no worker is left, remove checkpoints that nobody goes on from: a worker may write one while its trial is ended."""
        going_on = [f"{trial.number:05d}" for trial in self._queue.trials.records.values() if trial.state in ("waiting", "running")]
        self._checkpoints.keep_only({*going_on, *(self._confirmations.keys_left if self._confirmations else ())})

    def _finish(self) -> None:
        if not self.is_finished:
            self.is_finished, self.ended_by = True, self.spending.refused
            self.spending.note(is_last=True)
            self._queue.trials.let_wait()

    def _forget(self, key: str) -> None:
        leg = self._legs.pop(key)
        self._placed.discard(key)
        if leg.is_confirmation:
            self._checkpoints.drop(key)

    def _rate(self) -> float:
        """Epochs a minute since the first leg started."""
        return self.clock.rate(self._queue.trials.num_epochs + (self._confirmations.num_epochs if self._confirmations else 0))

    def _time_left_s(self) -> float | None:
        """What is left to train at the pace so far, confirmations included, or until the budget ends; None where neither is known."""
        if self.is_finished:
            return 0.0
        best = self._queue.trials.best()
        wanted = int(self._spec.confirm["num_seeds"]) * self._spec.budget.max_epochs
        confirming_s = self.spending.confirming_s(best, max(0, wanted - (self._confirmations.num_epochs if self._confirmations else 0)))
        found = [3600 * left for unit, left in self.spending.left.items() if unit == "hours"]
        rate, expected = self._rate(), cost(self._spec).expected_epochs
        if self._confirmations is not None:
            found.append(confirming_s)
        elif rate and expected is not None:
            done = self._epochs_found + self._queue.trials.num_epochs
            found.append(60.0 * max(0, expected - done) / rate + confirming_s)
        return min(found, default=None)

    def _phase(self) -> str:
        if self.is_interrupted:
            return "stopping"
        if self.is_finished:
            return "finished"
        if self._legs and not self._placed and (self._queue.trials.num_epochs or self.clock.is_late()):
            return "waiting for resources"
        if self._confirmations is not None:
            return "confirming"
        return "searching" if self._queue.trials.num_epochs else "starting"
