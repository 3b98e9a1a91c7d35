"""Ray Tune's part: it places legs on the cluster's workers and carries reports back. It decides nothing.

A leg is one Ray trial; the warm actor that ran it takes the next one. Ray Tune could pause and resume its own trials
instead, but then a trial that waits, one that is promoted and one that a dead driver left behind would be three things
with three lives (and a paused trial keeps Tune from ending); as legs they are one. Nothing that Ray writes is read.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.air._internal import usage
from ray.tune.error import TuneError
from ray.tune.execution import class_cache
from ray.tune.progress_reporter import TrialProgressCallback
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from visiontune.tuning.cluster.environment import environment
from visiontune.tuning.cluster.leg_searcher import IDLE, LegSearcher
from visiontune.tuning.cluster.ray_nodes import node_of, nodes_beside
from visiontune.tuning.cluster.ray_worker import LegWorker
from visiontune.tuning.records.leg import Report
from visiontune.tuning.records.snapshot import Snapshot
from visiontune.tuning.search.search_run import SearchRun

_FIXED = {
    "TUNE_MAX_PENDING_TRIALS_PG": "100000",  # the search run decides how many legs are out
    "RAY_AIR_NEW_OUTPUT": "0",  # Tune's newer output takes no reporter of ours, and none in a notebook
}
# Tune would give its workers a runtime environment. Those that Ray starts beforehand do not have it, so that as many more are started (each
# 1.5 s of a core), and AWS's keys would be in it, which Ray writes into logs that every user of the machine can read.
class_cache.DEFAULT_ENV_VARS, class_cache.ENV_VARS_TO_PROPAGATE = {}, set()
# Its usage statistics count callbacks even where they are switched off, for which it imports all of MLflow.
usage.tag_callbacks = lambda callbacks: None


class LegScheduler(FIFOScheduler):  # type: ignore[misc]
    """Carries reports to the search run and its answer back."""

    def __init__(self, run: SearchRun, searcher: LegSearcher) -> None:
        super().__init__()
        self._run, self._searcher = run, searcher

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Go on with the leg, or end its Ray trial, so that the worker takes another."""
        report: Report = result["report"]
        key = self._searcher.keys.get(trial.trial_id)
        if key is None:  # its worker was given up, and another has the leg
            return str(TrialScheduler.STOP)
        goes_on = self._searcher.may_idle(trial.trial_id) if key == IDLE else self._run.report(key, report)
        return str(TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP)

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """Tune says what happened here, and that it happened to the searcher.

        The text lies in the driver's own folder: `trial.get_error()` looks for it where it is to be copied to later, and finds none.
        """
        with suppress(OSError):
            self._searcher.errors[trial.trial_id] = Path(trial.error_file or "").read_text().strip() or "the worker process died"

    def choose_trial_to_run(self, tune_controller: Any) -> None:
        """Nobody: Tune then gives a free actor to a new leg. Stranded legs are taken back here, where Tune gives its controller, and those
        that have ended are forgotten.

        FIFO would choose the oldest pending leg, whose own actor is still starting, and end that actor: with epochs
        shorter than the start of a process the search would stay at one worker.
        """
        tune_itself = tune_controller._tune_controller
        for trial in [one for one in tune_itself._staged_trials if self._searcher.is_stranded(one.trial_id)]:
            # Or Tune expects an actor for it for good, and keeps no other one warm.
            tune_itself._unstage_trial_with_resources(trial)
            tune_itself.stop_trial(trial)
        _forget_ended(tune_itself)


def _forget_ended(tune_itself: Any) -> None:
    """Tune keeps each Ray trial with its config and metrics to its end, for a checkpoint of its own that nobody asks for."""
    ended = tune_itself._stopped_trials
    if ended:
        tune_itself._trials[:] = [trial for trial in tune_itself._trials if trial not in ended]
        tune_itself._trials_to_cache.clear()
        ended.clear()


class LoopEnded(BaseException):
    """Ends Tune's loop at once. Tune's own end waits up to 15 s for actors that end with Ray anyway."""


class LoopCallback(tune.Callback):  # type: ignore[misc]
    """After every step of Tune's loop: ends it when the search is over, looks at budget, machines and workers, shows a snapshot."""

    def __init__(self, run: SearchRun, searcher: LegSearcher, screen: Callable[[Snapshot], None], look: Callable[[], None]) -> None:
        self._run, self._searcher, self._screen, self._look = run, searcher, screen, look
        self._shown_s = 0.0

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """The leg has left the queue for a worker."""
        actor = trial.temporary_state.ray_actor
        self._searcher.placed(trial.trial_id, node_of(actor), nodes_beside(actor) if trial.config["num_workers"] > 1 else ())

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Ends the loop, or looks and shows a snapshot, at most four times a second."""
        if self._run.is_finished or self._run.is_stopping:
            self._run.save()
            raise LoopEnded
        now_s = time.monotonic()
        if now_s - self._shown_s > 0.25:
            self._shown_s = now_s
            self._run.check_budget()
            self._look()
            self._end_silent(trials)
            self._screen(self._run.snapshot())

    def _end_silent(self, trials: list[Any]) -> None:
        """A frozen process does nothing by itself, not even end: Ray kills it, and Tune then sees that it has died."""
        silent = self._run.silent()
        for trial in trials if silent else []:
            silent_s = silent.get(self._searcher.keys.get(trial.trial_id, ""))
            if silent_s is not None and (actor := trial.temporary_state.ray_actor) is not None:
                self._searcher.ended[trial.trial_id] = f"no sign of life for {silent_s:.0f} s, so its process was ended"
                ray.kill(actor)


class NoReporter(tune.ProgressReporter):  # type: ignore[misc]
    """Shows nothing. Tune's own, which it picks in a notebook, would clear the output of the user's cell."""

    def should_report(self, trials: list[Any], done: bool = False) -> bool:
        """Never: `LoopCallback` shows snapshots."""
        return False


class NoProgress(TrialProgressCallback):  # type: ignore[misc]
    """In place of Tune's own, which prints nothing here either, and keeps each Ray trial and its last result to the end."""

    def log_result(self, trial: Any, result: dict[str, Any], error: bool = False) -> None:
        """Not even remembered."""

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Nor that it has ended."""


def run_tune(
    run: SearchRun,
    *,
    base: dict[str, Any],
    look: Callable[[], None],
    screen: Callable[[Snapshot], None],
) -> None:
    """Run the legs of the search run until it is finished or stopping. `base` is what every worker gets beside its leg.

    `look` is called before each leg is handed out and while they are at work, to see which machines there are. Raises what these raise.
    """
    searcher = LegSearcher(run, look)
    scratch_folder = tempfile.TemporaryDirectory(prefix="visiontune-ray-", ignore_cleanup_errors=True)
    with environment(_FIXED), scratch_folder as scratch, suppress(LoopEnded):
        try:
            tune.run(
                LegWorker,
                config=base,
                search_alg=searcher,
                scheduler=LegScheduler(run, searcher),
                num_samples=-1,
                reuse_actors=True,
                callbacks=[LoopCallback(run, searcher, screen, look), NoProgress()],
                storage_path=scratch,
                trial_dirname_creator=lambda trial: trial.trial_id,
                raise_on_failed_trial=False,
                progress_reporter=NoReporter(),
                verbose=0,
            )
        except TuneError as error:  # its text is the traceback of what was raised in Tune's loop
            raise (error.__context__ or error) from None
