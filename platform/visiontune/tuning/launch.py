"""One call of a search: lock, storage, data, Ray, the session, and what is left when it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from visiontune.errors import UserError
from visiontune.spec.recipe import StudySpec, TrialRecipe
from visiontune.spec.yaml_writer import dump_recipe
from visiontune.tuning.driver_lock import driver_lock
from visiontune.tuning.preflight import preflight
from visiontune.tuning.ray_cluster import cluster, slot_counter, trial_resources
from visiontune.tuning.read_study import view_of
from visiontune.tuning.records import Outcome, Put, Snapshot, StudyView
from visiontune.tuning.search_run import Session
from visiontune.tuning.study_pictures import keep_pictures
from visiontune.tuning.study_storage import Storage, create_or_resume, mend_journal
from visiontune.tuning.trial_queue import now_ms
from visiontune.tuning.winner_sheet import draw_winner

if TYPE_CHECKING:
    from visiontune.data.ingest.run_ingest import Progress
    from visiontune.data.store.store import Store

WINNER = "winner.yaml"
PATIENCE_S = 12.0
"""How long an interrupted search waits for Tune's loop."""


class SearchFailed(Exception):
    """The search can't go on, through no fault of the file: one sentence that says why."""


def run_search(
    spec: StudySpec,
    folder: Path,
    *,
    tracker: Callable[[], AbstractContextManager[Put]],
    screen: Callable[[Snapshot], None],
    address: str | None = None,
) -> Outcome:
    """Search until the study in `folder` is finished, or go on where an earlier call stopped.

    `tracker` is entered once the study is locked and has work left. Raises UserError for a changed space, a second
    driver or a folder that can't be written, SearchFailed and cluster.NoCluster otherwise.
    """
    start_s = time.monotonic()
    _make_folder(folder)
    with driver_lock(folder):
        mend_journal(folder)
        storage = create_or_resume(folder, spec)
        if _is_finished(storage, spec):
            return Outcome("finished", view_of(storage, spec.study), _winner_path(folder), 0)
        storage.set_attribute("num_trials", spec.budget.num_trials)
        screen(_starting(spec))
        with tracker() as put:
            is_new = not storage.trials()  # a study with trials has passed the preflight
            with ThreadPoolExecutor(1) as pool:
                told = _ingest_screen(spec, screen, start_s)
                with _set_at_end() as stop, cluster(address):
                    ready = pool.submit(_get_ready, spec, folder.parent / ".data", is_new, told, stop)  # its imports overlap Ray's start
                    wanted = trial_resources(spec.resources, address)
                    count_slots = slot_counter(spec.resources, wanted)
                    store = ready.result()
                    keep_pictures(storage, store, spec.study)
                    put(_study_event(spec, storage, store))
                    session = Session(spec, storage, folder, put, start_s)
                    _run(session, spec, folder, store, wanted, count_slots, screen)
            return _conclude(session, spec, storage, folder, store, put)


@contextmanager
def _set_at_end() -> Iterator[threading.Event]:
    """An event for a thread that is waited for afterwards: an interruption must not wait for all pictures."""
    stop = threading.Event()
    try:
        yield stop
    finally:
        stop.set()


def _ingest_screen(spec: StudySpec, screen: Callable[[Snapshot], None], start_s: float) -> Callable[[Progress], None]:
    def told(progress: Progress) -> None:
        phase = f"{progress.stage} {progress.num_done:,} of {progress.num:,} pictures"
        screen(replace(_starting(spec), phase=phase, elapsed_s=time.monotonic() - start_s))

    return told


def _get_ready(spec: StudySpec, cache: Path, is_checking: bool, tell: Callable[[Progress], None], stop: threading.Event) -> Store:
    """What is wrong with models, policies or pictures comes out here, before any trial; then the pictures are on disk."""
    from visiontune.data.prepare import prepare
    from visiontune.data.store.store import Store

    if is_checking:
        preflight(spec)
    return Store.open(prepare(spec.data, cache, tell=tell, stop=stop))


def _run(
    session: Session,
    spec: StudySpec,
    folder: Path,
    store: Store,
    wanted: dict[str, float],
    count_slots: Callable[[], int],
    screen: Callable[[Snapshot], None],
) -> None:
    from visiontune.data.store.remote_cache import remote_cache
    from visiontune.tuning.ray_adapter import run_tune

    base: dict[str, Any] = {
        "store": str(store.path.resolve()),
        "remote_cache": remote_cache(),
        "folder": str(folder.resolve()),
        "num_threads": spec.resources.cpus_per_trial,
    }
    base["use_gpu"] = wanted["gpu"] > 0
    with _signals(session):
        run_tune(session, resources=wanted, base=base, num_slots=count_slots, screen=screen)
    screen(session.snapshot())


def _starting(spec: StudySpec) -> Snapshot:
    return Snapshot(spec.budget.num_trials, 0, 0, 0, 0, 0, 0, None, 0.0, None, 0.0, "starting")


def _conclude(session: Session, spec: StudySpec, storage: Storage, folder: Path, store: Store, put: Put) -> Outcome:
    view = view_of(storage, spec.study)
    if session.fatal:
        raise SearchFailed(f"study {spec.study} can't go on: {session.fatal}; once that is mended the same command does")
    if not session.is_finished:
        return Outcome("interrupted", view, None, session.num_new_trials)
    winner = view.best if view.best is not None and view.best.state == "complete" else None
    if winner is not None:
        header = (
            f"winner of study {spec.study}: trial {winner.number}, {view.objective.metric} {winner.value:.4f} after {winner.epoch} epochs"
        )
        recipe = TrialRecipe(**winner.recipe)
        dump_recipe(recipe, folder / WINNER, header=header)
        put(_winner_event(view, winner.number, folder, store))
        # After the event: the writer makes the model of it meanwhile.
        if (sheet := draw_winner(recipe, store, folder, header)) is not None:
            put({"event": "sheet", "path": str(sheet.resolve()), "time_ms": now_ms()})
    best = {f"best.{view.objective.metric}": winner.value} if winner is not None else {}
    put({"event": "study_end", "status": "FINISHED", "metrics": best, "tags": {}, "time_ms": now_ms()})
    limit_s = spec.budget.time_limit_s if session.is_over_time else None
    num_trials = len(view.rows) if session.is_over_time else spec.budget.num_trials
    done = {"num_trials": num_trials, "num_seeds": spec.confirm["num_seeds"], "time_limit_s": limit_s}
    storage.set_attribute("finished", done)
    status = "time_limit" if session.is_over_time else "finished"
    return Outcome(status, view, _winner_path(folder), session.num_new_trials)


def _is_finished(storage: Storage, spec: StudySpec) -> bool:
    done = storage.attributes().get("finished")
    if done is None or done["num_seeds"] < spec.confirm["num_seeds"]:
        return False
    limit_s, given_s = done.get("time_limit_s"), spec.budget.time_limit_s
    is_spent = limit_s is not None and given_s is not None and given_s <= limit_s
    return bool(is_spent or done["num_trials"] >= spec.budget.num_trials)


def _winner_path(folder: Path) -> str | None:
    return str(folder / WINNER) if (folder / WINNER).exists() else None


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".writable").touch()
        (folder / ".writable").unlink()
    except OSError as error:
        raise UserError(f"the study's folder {folder} can't be written: {error.strerror}") from None


def _study_event(spec: StudySpec, storage: Storage, store: Store) -> dict[str, Any]:
    data = {
        "name": spec.data["source"],
        "source": spec.data["source"],
        "digest": store.digest,
        "num_train": len(store.train_idx),
        "num_val": len(store.val_idx),
        "num_test": len(store.test_idx),
    }
    return {
        "event": "study",
        "study": spec.study,
        "key": storage.attributes()["key"],
        "params": spec.identity(),
        "tags": {"mlflow.source.git.commit": commit} if (commit := _git_commit()) else {},
        "data": data,
        "time_ms": now_ms(),
    }


def _git_commit() -> str:
    """Of the folder that the command was given in; empty outside a repository."""
    try:
        return subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def _winner_event(view: StudyView, number: int, folder: Path, store: Store) -> dict[str, Any]:
    tested = [one for one in view.confirmations if not one.failure]
    metrics = {"test_top1_mean": sum(one.test_top1 for one in tested) / len(tested)} if tested else {}
    data = {
        "num_classes": len(store.class_names),
        "channels": int(store.images_NHWC.shape[3]),
        "image_size": int(store.images_NHWC.shape[1]),
        "class_names": list(store.class_names),
        "mean": [float(value) for value in store.mean_C],
        "std": [float(value) for value in store.std_C],
    }
    weights = folder / "winner.safetensors"
    paths = {"recipe": str((folder / WINNER).resolve()), "weights": str(weights.resolve()) if weights.exists() else ""}
    return {"event": "winner", "number": number, **paths, "metrics": metrics, "data": data, "time_ms": now_ms()}


@contextmanager
def _signals(session: Session) -> Iterator[None]:
    """The first SIGINT or SIGTERM lets workers go after what they have on disk; a second one is Python's own affair."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        session.is_interrupted = True
        last_resort.start()
        for name, handler in before.items():
            signal.signal(name, handler)

    last_resort = threading.Timer(PATIENCE_S, _leave)
    last_resort.daemon = True
    before = {name: signal.signal(name, interrupt) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        last_resort.cancel()
        for name, handler in before.items():
            signal.signal(name, handler)


def _leave() -> None:
    """Tune's loop does not look up, as when its cluster is gone: everything is on disk, so nothing is lost by going."""
    print("interrupted, and Ray does not answer; the same command goes on", file=sys.stderr, flush=True)
    os._exit(1)
