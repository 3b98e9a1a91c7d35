"""A search from its first leg to its last: trials, then confirmations, within the budget, with a snapshot at any time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from visiontune.filesystem.study_folder import StudyFolder
from visiontune.spec.study_spec import StudySpec
from visiontune.tuning.confirmation_events import confirmation_event, crashed_event
from visiontune.tuning.confirmations import confirm_best
from visiontune.tuning.constraints import CostsOf
from visiontune.tuning.kept_checkpoints import KeptCheckpoints
from visiontune.tuning.mlflow_events import now_ms
from visiontune.tuning.placement import Placement
from visiontune.tuning.records import Leg, Put, Report, Snapshot, TrialRecord
from visiontune.tuning.retraining_queue import RetrainingPolicy, RetrainingQueue
from visiontune.tuning.search_clock import SearchClock
from visiontune.tuning.spending import Spending
from visiontune.tuning.standing import Standing
from visiontune.tuning.start_recipes import StartRecipes
from visiontune.tuning.study_storage import Storage
from visiontune.tuning.trial_queue import TrialQueue

Say = Callable[[str], None]
MakePolicy = Callable[[StudySpec, Storage, StudyFolder, Sequence[TrialRecord]], RetrainingPolicy | None]
"""What is trained again of these trials, once no more of them go on; None where there is nothing."""


class SearchRun:
    """One driver's work on a study: hands out legs, at most `num_slots` at a time, and takes what comes back.

    Elapsed time counts from `start_s` (time.monotonic), now by default. What `make_policy` wants is trained when no trial goes on;
    without `has_trials` it is all that is done, and the search stays as it is.
    """

    def __init__(
        self,
        spec: StudySpec,
        storage: Storage,
        folder: StudyFolder,
        put: Put,
        start_s: float | None = None,
        make_policy: MakePolicy = confirm_best,
        *,
        has_trials: bool = True,
    ) -> None:
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
        self._num_found = self._queue.trials.num_begun
        self._epochs_found = sum(trial.epoch for trial in self._queue.trials.records.values())
        self._put = put
        self._make_policy, self.has_trials = make_policy, has_trials
        self._retrainings: RetrainingQueue | None = None
        self._legs: dict[str, Leg] = {}
        self._placed: set[str] = set()
        self._trained: dict[str, int] = {}
        self.placement = Placement()
        self.say: Say = lambda text: None

    @property
    def starts(self) -> StartRecipes:
        """What is tried before the sampler proposes."""
        return self._queue.starts

    def refuse_by(self, costs_of: CostsOf) -> None:
        """Ask this what a recipe costs before it becomes a trial; without, nothing is known of it before a worker has it."""
        self._queue.costs_of = costs_of

    @property
    def num_slots(self) -> int:
        """Legs that may be out at a time."""
        return self.spending.num_slots

    @num_slots.setter
    def num_slots(self, number: int) -> None:
        self.spending.num_slots = number

    @property
    def num_new_trials(self) -> int:
        """Trials that this driver started, without those that cost too much."""
        return self._queue.trials.num_begun - self._num_found

    def interrupt(self) -> None:
        """Let the workers go, once they have written what they trained (`save`)."""
        self.is_interrupted = True

    @property
    def is_stopping(self) -> bool:
        """Whether the workers should be let go."""
        return self.is_interrupted or bool(self.fatal)

    def next_leg(self) -> Leg | None:
        """Work for a free worker; None when there is nothing now, and for good once `is_finished`."""
        if self.is_finished or self.is_stopping or len(self._legs) >= self.num_slots:
            return None
        leg = self._next_trial() if self._retrainings is None and self.has_trials else None
        if leg is None and not self._queue.on_worker:
            leg = self._next_retraining()
        if leg is not None:
            self._legs[leg.key] = leg
            self.clock.leg_started()
        return leg

    def is_out(self, key: str) -> bool:
        """Whether this leg is still wanted: a spent budget ends legs that no worker has fetched yet."""
        return key in self._legs

    def placed(self, key: str, node: str = "") -> None:
        """A worker of that node has begun with this leg; until then it waits for resources of the cluster."""
        self._placed.add(key)
        self.placement.began(key, node)

    def report(self, key: str, report: Report) -> bool:
        """Take a report on a leg; whether its worker should go on with it."""
        leg = self._legs.get(key)
        if leg is None:
            return False
        if report.failure == "storage":  # nobody's fault: the trial goes on when the disk does
            self.fatal = report.reason
            return False
        if report.failure == "crashed":
            self.lost(key, report.reason, is_gone=False)
            return False
        self._trained[key] = report.epoch
        self.placement.reported(key)
        if leg.is_confirmation and report.epoch and report.time_ms >= self._started_ms:  # said again, it was counted before
            self.spending.measured(report)
        retrainings = self._retrainings if leg.is_confirmation else None
        trial = self._trial_of(leg) if retrainings else None
        if trial is not None and (event := confirmation_event(leg, report, trial, self._spec.objective.metric)) is not None:
            self._put(event)
        goes_on = retrainings.report(key, report) if retrainings else self._queue.report(leg.number, report)
        if not goes_on:
            self._forget(key)
        self.check_budget()
        if self._queue.has_reached_target and not leg.is_confirmation:
            self._let_go_of_trials()
        return goes_on and key in self._legs

    def lost(self, key: str, what: str, *, node: str = "", is_begun: bool = True, is_gone: bool = True) -> None:
        """The worker of a leg died or broke, on that node; `is_begun`: the leg was at work by then, so that it may be the reason.

        `is_gone`: the worker is; else it is sound and only its leg has crashed.
        """
        leg = self._legs.pop(key, None)
        self._placed.discard(key)
        self._trained.pop(key, None)
        if leg is None or self.is_stopping:
            return
        loss = self.placement.lost(key, node, is_begun=is_begun)
        if self.placement.is_hopeless():
            self.fatal = f"workers are lost or crash one after the other without a report, the last one{loss.where}: {what}"
            return
        end = "lost its worker" if is_gone else "crashed"
        self.say(f"{'retraining' if leg.is_confirmation else 'trial'} {leg.number} has {end}{loss.where}: {what}")
        if leg.is_confirmation and self._retrainings:
            self._retrainings.lost(key, what, is_given_up=loss.is_given_up)
            if loss.is_given_up and (trial := self._trial_of(leg)) is not None:
                self._put(crashed_event(leg, what, trial))
        else:
            self._queue.lost(leg.number, what, node=self.placement.name(loss.node), is_given_up=loss.is_given_up)

    def snapshot(self) -> Snapshot:
        """How the search stands."""
        num_placed, num_out = len(self._placed & self._legs.keys()), len(self._legs)
        parts = Standing(self._spec, self._queue.trials, self.spending, self.clock, self._num_confirmed_epochs(), self._queue.lowest_rung)
        again = self._retrainings
        phase = parts.phase(num_out=num_out, num_placed=num_placed, again=again.phase if again else "")
        time_left_s = 0.0 if self.is_finished else parts.time_left_s(self._epochs_found, again.num_wanted if again else None)
        phase = "stopping" if self.is_interrupted else "finished" if self.is_finished else phase
        return parts.snapshot(phase, num_placed, num_out - num_placed, time_left_s)

    def _num_confirmed_epochs(self) -> int:
        return self._retrainings.num_epochs if self._retrainings else 0

    def _next_trial(self) -> Leg | None:
        self.check_budget()
        return None if self._retrainings is not None or self.is_finished else self._queue.next_leg()

    def _next_retraining(self) -> Leg | None:
        """Once no trial may go on, the best that were trained in full are trained again."""
        if self._retrainings is None:
            trials = tuple(self._queue.trials.records.values())
            policy = None if self.is_finished else self._make_policy(self._spec, self._storage, self._folder, trials)
            if policy is None:
                self._finish()
                return None
            self._retrainings = RetrainingQueue(self._storage, self._spec.objective, policy, self._has_room)
        leg = self._retrainings.next_leg()
        if leg is None and not self._retrainings.out:
            self._finish()
        return leg

    def _has_room(self, leg: Leg, then: Sequence[Leg], num_out: int) -> bool:
        """What was begun goes on first, whatever it takes."""
        if self._folder.checkpoint(leg.key).exists():
            return True
        numbers = [self._trial_of(one) for one in (leg, *then)]
        return self.spending.has_room(numbers, 0 if leg.averaged else self._spec.budget.max_epochs, num_out)

    def _trial_of(self, leg: Leg) -> int | None:
        """The number of the trial that this leg trains again; its key names the recipe."""
        return next((trial.number for trial in self._queue.trials.records.values() if trial.fingerprint in leg.key), None)

    def check_budget(self) -> None:
        """Write down what was spent; once nothing is left of it the workers are let go, and what they have on disk is kept."""
        if self.is_finished:
            return
        self.spending.note()
        if self.spending.is_used_up():
            self._let_go_of_legs()
            self._finish()

    def _let_go_of_trials(self) -> None:
        """The target is reached: what has not is left as it is."""
        self._queue.let_go()
        self._let_go_of_legs()

    def _let_go_of_legs(self) -> None:
        for key in self._legs:
            self.placement.ended(key)
        self._legs.clear()
        self._placed.clear()

    def save(self) -> None:
        """Have workers write what they reported of legs that did not end; not where the disk is at fault."""
        if not self.fatal:
            self._checkpoints.ask_for(self._trained)

    def sweep(self) -> None:
        """Once no worker is left, remove checkpoints that nobody goes on from: a worker may write one while its trial is ended."""
        going_on = [f"{trial.number:05d}" for trial in self._queue.trials.records.values() if trial.state in ("waiting", "running")]
        self._checkpoints.keep_only({*going_on, *(self._retrainings.keys_left if self._retrainings else ())})

    def _finish(self) -> None:
        if not self.is_finished:
            self.is_finished, self.ended_by = True, self.spending.refused
            self.spending.note(is_last=True)
            self._queue.trials.let_wait()

    def _forget(self, key: str) -> None:
        leg = self._legs.pop(key)
        self.placement.ended(key)
        self._placed.discard(key)
        self._trained.pop(key, None)
        if leg.is_confirmation:
            self._checkpoints.drop(key)
