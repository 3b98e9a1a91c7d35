"""A search from its first leg to its last: trials, then confirmations, within the budget, with a snapshot at any time."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

from visiontune.filesystem.study_folder import StudyFolder
from visiontune.spec.space.study_spec import StudySpec
from visiontune.tuning.budget.full_disk import FullDisk
from visiontune.tuning.budget.kept_checkpoints import KeptCheckpoints
from visiontune.tuning.budget.search_clock import SearchClock
from visiontune.tuning.budget.spending import Spending
from visiontune.tuning.legs.legs_out import LegsOut
from visiontune.tuning.legs.silent_workers import SilentWorkers
from visiontune.tuning.proposals.start_recipes import StartRecipes
from visiontune.tuning.ranking.constraints import CostsOf
from visiontune.tuning.records.leg import Leg, Report
from visiontune.tuning.records.records import Put
from visiontune.tuning.records.snapshot import Snapshot
from visiontune.tuning.retraining.confirmations import confirm_best
from visiontune.tuning.retraining.run_retrainings import MakePolicy, Retrainings
from visiontune.tuning.search.lost_legs import LostLegs
from visiontune.tuning.search.standing import Standing
from visiontune.tuning.search.trial_queue import TrialQueue
from visiontune.tuning.study.event_log import EventLog
from visiontune.tuning.study.study_storage import Storage

Say = Callable[[str], None]


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
        self.is_replaced = False
        self.is_finished = False
        self.ended_by = ""
        self.fatal = ""
        self._spec = spec
        self.clock = SearchClock(start_s)
        self.spending = Spending(spec, storage, self.clock.start_s)
        self._folder = folder
        self._checkpoints = KeptCheckpoints(folder, int(spec.storage["max_checkpoint_mb"]))
        self._disk = FullDisk(folder, self._checkpoints, self.log)
        put = self._disk.patient(put)
        storage.when_full(self._disk.met_here)
        self._queue = TrialQueue(spec, storage, put, self._checkpoints, self.spending)
        self._disk.give_up = self._queue.make_room
        self._num_found = self._queue.trials.num_begun
        self._epochs_found = sum(trial.epoch for trial in self._queue.trials.records.values())
        self._silent = SilentWorkers(folder, spec.resources.hang_s)
        self.has_trials = has_trials
        self.out = LegsOut()
        self.say: Say = lambda text: None
        self._log = EventLog(folder.events)
        self._queue.note = self._log.write
        self._again = Retrainings(spec, storage, folder, self.spending, self._queue.trials.records, put, self._log, make_policy)
        self._lost = LostLegs(self, folder, self._queue, self._again, self._disk, self._log)

    def log(self, kind: str, text: str, *, is_said: bool = False) -> None:
        """Write an event that is of no trial; `is_said`: also to whoever looks on."""
        self._log.write(kind, None, text)
        if is_said:
            self.say(text)

    @property
    def starts(self) -> StartRecipes:
        """What is tried before the sampler proposes."""
        return self._queue.new.starts

    def refuse_by(self, costs_of: CostsOf) -> None:
        """Ask this what a recipe costs before it becomes a trial; without, nothing is known of it before a worker has it."""
        self._queue.new.costs_of = costs_of

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
        self.is_interrupted = True  # a signal's handler: nothing is written here

    def stop_for(self, holder: str) -> None:
        """Another driver has the study: nothing more is written by this one."""
        self.is_replaced = True
        self.fatal = f"it is now driven by {holder}"

    @property
    def is_stopping(self) -> bool:
        """Whether the workers should be let go."""
        return self.is_interrupted or bool(self.fatal)

    def next_leg(self) -> Leg | None:
        """Work for a free worker; None when there is nothing now, and for good once `is_finished`."""
        if self.is_finished or self.is_stopping or len(self.out) >= self.num_slots or self._disk.is_waited_for():
            return None
        leg = self._next_trial() if self._again.queue is None and self.has_trials else None
        if leg is None and not self._queue.on_worker:
            leg = self._next_retraining()
        if leg is not None:
            leg = replace(leg, has_checkpoint=self._checkpoints.is_there(leg.key))
            self.out.add(leg)
            self.clock.leg_started()
        return leg

    def report(self, key: str, report: Report) -> bool:
        """Take a report on a leg; whether its worker should go on with it."""
        leg = self.out.get(key)
        if leg is None:
            return False
        if report.failure == "full":
            self._lost.met_full_disk(key, report.reason)
            return False
        if report.failure == "storage" and len(self.out.placement.nodes) > 1:  # one machine's disk may be at fault
            self.lost(key, report.reason, is_begun=False, is_gone=False)
            return False
        if report.failure == "storage":  # nobody's fault: the trial goes on when the disk does
            self.fatal = report.reason
            return False
        if report.failure == "crashed":
            self.lost(key, report.reason, is_gone=False)
            return False
        report = self.out.placed_by_name(key, report)
        self.out.reported(key, report.epoch)
        if report.note:
            self._log.write("restored", self._again.trial_of(leg) if leg.is_confirmation else leg.number, report.note)
        goes_on = self._again.report(leg, report) if leg.is_confirmation else self._queue.report(leg.number, report)
        if not goes_on:
            self._forget(leg)
        if report.failure and not leg.is_confirmation:
            self._lost.stop_where_all_fail()
        self.check_budget()
        if self._queue.has_reached_target and not leg.is_confirmation:
            self._let_go_of_trials()
        return goes_on and key in self.out

    def lost(self, key: str, what: str, *, node: str = "", rank: int = 0, is_begun: bool = True, is_gone: bool = True) -> None:
        """As `LostLegs.lost`."""
        self._lost.lost(key, what, node=node, rank=rank, is_begun=is_begun, is_gone=is_gone)

    def preempted(self, key: str, what: str, *, node: str = "") -> None:
        """As `LostLegs.preempted`."""
        self._lost.preempted(key, what, node=node)

    def ask_to_leave(self, key: str) -> None:
        """Have the worker of a leg write what it has trained, and end: its machine is about to go."""
        self._checkpoints.ask_to_leave(key)

    def silent(self) -> dict[str, float]:
        """Legs whose workers have given no sign of life for too long, and for how many seconds: their processes are to be ended."""
        if not self._silent.is_time():
            return {}
        return self._silent.look(self.out.placement.at_work, self.out.trained, self._epochs_s)

    def _epochs_s(self, key: str) -> Collection[float]:
        leg = self.out.get(key)
        number = self._again.trial_of(leg) if leg is not None and leg.is_confirmation else None if leg is None else leg.number
        return () if number is None else self.spending.seconds_of(number).values()

    def snapshot(self) -> Snapshot:
        """How the search stands."""
        num_placed, num_out, again = self.out.num_placed, len(self.out), self._again.queue
        parts = Standing(self._spec, self._queue.trials, self.spending, self.clock, self._again.num_epochs, self._queue.lowest_rung)
        phase = parts.phase(num_out=num_out, num_placed=num_placed, again=again.phase if again else "")
        time_left_s = 0.0 if self.is_finished else parts.time_left_s(self._epochs_found, again.num_wanted if again else None)
        phase = "waiting for room on the disk" if self._disk.is_full else phase
        phase = "stopping" if self.is_interrupted else "finished" if self.is_finished else phase
        shot = parts.snapshot(phase, num_placed, num_out - num_placed, time_left_s, self.out.placement.nodes.values())
        running, staged = (tuple(self.out.trials(are_placed=are_placed)) for are_placed in (True, False))
        return replace(shot, busy_share=self.out.placement.busy_share, running_trials=running, staged_trials=staged)

    def _next_trial(self) -> Leg | None:
        self.check_budget()
        return None if self.is_finished else self._queue.next_leg()

    def _next_retraining(self) -> Leg | None:
        """Once no trial may go on, the best that were trained in full are trained again."""
        if self._again.queue is None and (self.is_finished or not self._again.begin()):
            self._finish()
            return None
        leg = self._again.next_leg()
        if leg is None and self._again.queue is not None and not self._again.queue.out:
            self._finish()
        return leg

    def check_budget(self) -> None:
        """Write down what was spent; once nothing is left of it the workers are let go, and what they have on disk is kept.

        Of a race that was under way the winner so far meets the test all the same, on workers as they end their epochs.
        """
        if self.is_finished:
            return
        self.spending.note()
        if self.spending.is_used_up() and self._again.queue is not None:
            self.out.let_go(self._again.let_go())
        elif self.spending.is_used_up():
            self.out.let_go()
            self._finish()

    def _let_go_of_trials(self) -> None:
        """The target is reached: what has not is left as it is."""
        self._queue.let_go()
        self.out.let_go()

    def save(self) -> None:
        """Have workers write what they reported of legs that did not end; not where the disk is at fault."""
        if not self.fatal:
            self._checkpoints.ask_for(self.out.trained)

    def sweep(self) -> None:
        """Once no worker is left, write down what was spent, and remove checkpoints that nobody goes on from: a worker may write one while
        its trial is ended. Not of a study that another driver has, whose new trials this one does not know.
        """
        if self.is_replaced:
            return
        going_on = [f"{trial.number:05d}" for trial in self._queue.trials.records.values() if trial.state in ("waiting", "running")]
        self._checkpoints.keep_only({*going_on, *(self._again.queue.keys_left if self._again.queue else ())})
        if not self.fatal:
            self.spending.note(is_last=True)  # a search that was interrupted has spent what it trained

    def _finish(self) -> None:
        if not self.is_finished:
            self._log.write("search", None, f"ends: {self.spending.refused or 'nothing is left to do'}")
            self.is_finished, self.ended_by = True, self.spending.refused
            self.spending.note(is_last=True)
            self._queue.trials.let_wait()

    def _forget(self, leg: Leg) -> None:
        self.out.ended(leg.key)
        if leg.is_confirmation:
            self._checkpoints.drop(leg.key)
