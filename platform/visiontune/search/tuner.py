"""Ray Tune's part: it places legs on the cluster's workers and carries reports back. It decides nothing.

A leg is one Ray trial; the warm actor that ran it takes the next one. Ray Tune could pause and resume its own trials
instead, but then a trial that waits, one that is promoted and one that a dead driver left behind would be three things
with three lives (and a paused trial keeps Tune from ending); as legs they are one. Nothing that Ray writes is read.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

SETTINGS = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # no files for each trial
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # the driver has its own
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",  # the study is the state
    "TUNE_RESULT_BUFFER_LENGTH": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "NO_ALBUMENTATIONS_UPDATE": "1",
}
os.environ.update({name: value for name, value in SETTINGS.items() if name not in os.environ})

from ray import tune  # noqa: E402
from ray.tune.schedulers import FIFOScheduler, TrialScheduler  # noqa: E402
from ray.tune.search import Searcher  # noqa: E402

from visiontune.search.records import Leg, Report, Snapshot  # noqa: E402
from visiontune.search.session import Session  # noqa: E402
from visiontune.spec.recipe import TrialRecipe  # noqa: E402

REST = "rest"
REST_S = 0.1


def rest() -> Iterator[Report]:
    """What a worker does that has nothing to do."""
    while True:
        time.sleep(REST_S)
        yield Report(epoch=0, metrics={}, time_ms=0)


def _pack(leg: Leg | None) -> str:
    return "" if leg is None else json.dumps({**vars(leg), "recipe": leg.recipe.to_dict()})


def _unpack(text: str) -> Leg | None:
    if not text:
        return None
    content = json.loads(text)
    return Leg(**{**content, "recipe": TrialRecipe(**content["recipe"])})


class LegWorker(tune.Trainable):  # type: ignore[misc]
    """A warm worker: imports, data and device are paid for once, then it runs leg after leg."""

    def setup(self, config: dict[str, Any]) -> None:
        """Start the leg in `config`."""
        import torch

        from visiontune.data.store import Store
        from visiontune.search.worker import run_leg

        torch.set_num_threads(config["num_threads"])
        if getattr(self, "_store", None) is None:
            self._store = Store.open(Path(config["store"]))
        device = "cuda" if torch.cuda.is_available() else "cpu"
        leg = _unpack(config["leg"])
        self._reports = rest() if leg is None else run_leg(leg, self._store, Path(config["folder"]), device)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next leg without a new process."""
        self.setup(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """The next report."""
        return {"report": next(self._reports)}


class LegSearcher(Searcher):  # type: ignore[misc]
    """Asks the session for work; says which Ray trial is which leg.

    A worker for which there is no work now gets a rest, which reports until there is: Tune keeps at most one idle
    actor, and a new one pays for its imports again.
    """

    def __init__(self, session: Session, num_slots: Callable[[], int]) -> None:
        super().__init__()
        self._session, self._num_slots = session, num_slots
        self._next: Leg | None = None
        self.keys: dict[str, str] = {}

    def suggest(self, trial_id: str) -> Any:
        """A leg as one string, which Tune has no reason to flatten into file names."""
        self._session.num_slots = self._num_slots()
        leg = self.look()
        if leg is None:
            if self._session.is_finished or self._session.is_stopping:
                return Searcher.FINISHED
            if len(self.keys) >= self._session.num_slots:
                return None
        self._next = None
        self.keys[trial_id] = REST if leg is None else leg.key
        return {"leg": _pack(leg)}

    def look(self) -> Leg | None:
        """Take the next leg from the session and keep it for the worker that comes to fetch it."""
        if self._next is None:
            self._next = self._session.next_leg()
        return self._next

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """A worker that died hands its leg back."""
        key = self.keys.pop(trial_id, REST)
        if error and key != REST:
            self._session.lost(key, "the worker process died")

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the study is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the study is the state."""


class LegScheduler(FIFOScheduler):  # type: ignore[misc]
    """Carries reports to the session and its answer back."""

    def __init__(self, session: Session, searcher: LegSearcher) -> None:
        super().__init__()
        self._session, self._searcher = session, searcher

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Go on with the leg or give the worker to another."""
        report: Report = result["report"]
        key = self._searcher.keys[trial.trial_id]
        is_idle = key == REST and self._searcher.look() is None and not self._session.is_finished
        goes_on = is_idle if key == REST else self._session.report(key, report)
        return str(TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP)


class Pulse(tune.Callback):  # type: ignore[misc]
    """Shows a snapshot after every step of Tune's loop, and keeps the time limit while workers are silent."""

    def __init__(self, session: Session, screen: Callable[[Snapshot], None]) -> None:
        self._session, self._screen = session, screen
        self._shown_s = 0.0

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """At most four snapshots a second."""
        now_s = time.monotonic()
        if now_s - self._shown_s > 0.25:
            self._shown_s = now_s
            self._session.check_time()
            self._screen(self._session.snapshot())


class OnInterrupt(tune.Stopper):  # type: ignore[misc]
    """Ends Tune's loop once the session wants to stop."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def __getstate__(self) -> dict[str, Any]:
        """Tune snapshots its stopper; there is nothing to keep."""
        return {}

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Never by trial: the session's scheduler does that."""
        return False

    def stop_all(self) -> bool:
        """After a signal or when nothing can be written any more."""
        return self._session.is_stopping


def run_tune(
    session: Session, *, resources: dict[str, float], base: dict[str, Any], num_slots: Callable[[], int], screen: Callable[[Snapshot], None]
) -> None:
    """Run the session's legs until it is finished or stopping. `base` is what every worker gets beside its leg."""
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(max(1, num_slots()))
    searcher = LegSearcher(session, num_slots)
    with tempfile.TemporaryDirectory(prefix="visiontune-ray-") as scratch:
        tune.run(
            LegWorker,
            config=base,
            search_alg=searcher,
            scheduler=LegScheduler(session, searcher),
            num_samples=-1,
            resources_per_trial=resources,
            reuse_actors=True,
            callbacks=[Pulse(session, screen)],
            stop=OnInterrupt(session),
            storage_path=scratch,
            trial_dirname_creator=lambda trial: trial.trial_id,
            raise_on_failed_trial=False,
            verbose=0,
        )
