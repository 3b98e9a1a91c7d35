"""What a worker does with a leg: train from the newest checkpoint, report every epoch, write checkpoints when it is time. No Ray.

At a rung the checkpoint is on disk before the epoch is reported, as another worker may go on from there. Between rungs epochs are reported
that are on no disk yet: after a kill they are trained again and not reported again, since the leg says which the study knows. A
checkpoint holds the metrics of every epoch so far: what a killed driver did not record is read out of it.

What fails is typed here: by the recipe or for want of memory it is infeasible, by its figures diverged; what a machine does is raised
(MachineFault), and the process that met it ends, so that the next trial has a sound one.
"""

from __future__ import annotations

import errno
import os
import socket
import threading
import time
from collections.abc import Callable, Collection, Generator, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from visiontune.data.store.store import Store
from visiontune.errors import Diverged, LostRank, MachineFault, NotAtHand, Superseded, UserError, first_line
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.spec.kept_files import load_files
from visiontune.training.checkpoint import Found, find_newest
from visiontune.training.checkpoint_writer import CheckpointWriter
from visiontune.training.gpu import GpuShare, is_gpu_error, is_out_of_memory, machine_fault, release_all
from visiontune.training.heartbeat import HEARTBEAT
from visiontune.training.loop import Epoch, is_over, train
from visiontune.training.several_networks import train_repeats
from visiontune.tuning.confirm_leg import average, keep_weights, reopen, test_figures
from visiontune.tuning.constraints import problem_of_costs
from visiontune.tuning.disk_room import FULL
from visiontune.tuning.leg import Leg, Report
from visiontune.tuning.records import CONSTRAINT, NO_MEMORY

Train = Callable[..., Iterator[Epoch]]
UNWRITABLE = (errno.EROFS, errno.EACCES)
LINGER_S = 5.0
"""Seconds in which an error gets from a worker to its driver, before the worker's process ends."""


class Worker:
    """A process that runs legs, one after the other; `num_gpus` is what a trial gets of the node's GPUs.

    `train` is the loop's, or the same by several processes of which this is the first.
    """

    def __init__(self, store: Store, folder: StudyFolder, num_gpus: float = 0.0, train: Train = train) -> None:
        self._store, self._folder, self._num_gpus, self._train = store, folder, num_gpus, train
        self._share: GpuShare | None = None

    def run(self, leg: Leg, *, rungs: Collection[int] = (), checkpoint_every_s: float = 0.0) -> Generator[Report, None, None]:
        """What `run_leg` gives. Raises MachineFault, and then the process ends: a GPU's context that is lost never comes back."""
        device, saving = "cuda" if self._num_gpus else "cpu", {"rungs": rungs, "checkpoint_every_s": checkpoint_every_s}
        try:
            if self._num_gpus:
                self._share = self._share or GpuShare.take(self._num_gpus)
                self._share.give_back()
            parts: dict[str, Any] = {"share": self._share, "train": self._train, **saving}
            reports = run_leg(leg, self._store, self._folder, device, **parts)
            for report in reports:  # the first alone says where
                yield replace(report, place=place_of(device))
                break
            yield from reports
        except MachineFault:
            late = threading.Timer(LINGER_S, os._exit, (1,))
            late.daemon = True
            late.start()
            raise


def place_of(device: str) -> dict[str, Any]:
    """Where this process trains, as far as its figures may depend on it."""
    gpu = torch.cuda.get_device_name() if device == "cuda" else ""
    return {"node": socket.gethostname(), "num_threads": torch.get_num_threads(), "gpu": gpu}


def _load_files(leg: Leg, folder: StudyFolder) -> None:
    """Those that the recipe needs, out of the study's folder. The driver has loaded them, so what is wrong here is the machine's fault."""
    try:
        load_files(leg.recipe, folder.path)
    except UserError as error:
        raise machine_fault(first_line(error), is_begun=False) from error


def run_leg(
    leg: Leg,
    store: Store,
    folder: StudyFolder,
    device: str,
    *,
    rungs: Collection[int] = (),
    checkpoint_every_s: float = 0.0,
    share: GpuShare | None = None,
    train: Train = train,
) -> Iterator[Report]:
    """One report for each epoch that the study does not have (the last epoch of a trial always); a failure where the leg can't go on.

    `rungs` are the epochs after which it may end; checkpoint_every_s 0 writes a checkpoint before every report. Where memory runs out,
    the leg goes on once with half the micro-batch. `share` is the process's of its GPU, None on a CPU. Raises MachineFault.
    """
    _load_files(leg, folder)
    saving = {"rungs": rungs, "checkpoint_every_s": checkpoint_every_s}
    again = partial(run_leg, store=store, folder=folder, device=device, share=share, train=train, **saving)  # type: ignore[arg-type]
    want, is_its_own = "", True
    try:
        with CheckpointWriter(folder.checkpoint(leg.key), checkpoint_every_s, partial(_is_asked, folder, leg.key)) as writer:
            folder.leaving(leg.key).unlink(missing_ok=True)  # said to the worker before
            HEARTBEAT.begin(writer.attempt.file)
            costs = _costs(leg, store, device)
            if problem := problem_of_costs(costs, leg.bounds):
                yield replace(_failure(CONSTRAINT, problem), costs=costs)
                return
            for report in _reports(leg, store, folder, device, rungs, writer, train):
                leg = replace(leg, known_epochs=max(leg.known_epochs, report.epoch))
                yield replace(report, micro_batch=leg.micro_batch, costs=costs)
    except MachineFault:
        raise
    except Exception as error:
        is_lost = isinstance(error, LostRank) and not is_out_of_memory(error)  # its node may be gone: the leg looks for other places
        if is_lost or is_gpu_error(error):
            raise machine_fault(first_line(error)) from error
        if isinstance(error, NotAtHand | Superseded):  # the driver had it, or `check` would have said so; or the leg is another's by now
            raise machine_fault(first_line(error), is_begun=False) from error
        if not is_out_of_memory(error):
            yield _failure(*_typed(error))
            return
        want, is_its_own = first_line(error), share is None or share.was_whole()  # Linux refuses a CPU only what no machine has
    if want:  # the error is gone, and with it what held the network
        release_all()
        yield from _with_less(leg, again, want, is_its_own=is_its_own)


def _is_asked(folder: StudyFolder, key: str) -> bool:
    """Whether what was trained is to be written now: the driver leaves, or this process does."""
    if folder.leaving(key).exists():
        HEARTBEAT.is_leaving.set()
    return HEARTBEAT.is_leaving.is_set() or folder.stopping.exists()


def _costs(leg: Leg, store: Store, device: str) -> dict[str, float]:
    """What of the bounds has to be measured, of a trial that the study has no epoch of."""
    if not leg.bounds or leg.known_epochs:
        return {}
    from visiontune.inference.classifier import untrained
    from visiontune.inference.latency import latencies

    return latencies(untrained(leg.recipe, store).to(device), leg.bounds)


def _with_less(leg: Leg, run: Callable[[Leg], Iterator[Report]], want: str, *, is_its_own: bool) -> Iterator[Report]:
    """The rest of a leg that ran out of memory, unless its micro-batch was halved before or can't be."""
    half = -(-(leg.recipe.training["micro_batch"] or leg.recipe.training["batch_size"]) // 2)
    if leg.micro_batch == 0 and half > 1:
        yield from run(replace(leg, micro_batch=half))
    elif is_its_own:
        yield _failure("infeasible", f"{NO_MEMORY}: {want}")
    else:
        raise machine_fault(f"other processes hold what a trial should have of its GPU: {want}")


def _typed(error: Exception) -> tuple[str, str]:
    """The kind of a failure that neither memory nor a GPU is the reason of, and what it says."""
    if isinstance(error, Diverged):
        return "diverged", str(error)
    if isinstance(error, UserError | ValueError):  # what torch or a builder says of a network that can't be
        return "infeasible", first_line(error)
    if isinstance(error, OSError) and error.errno in FULL:
        return "full", first_line(error)
    if isinstance(error, OSError) and error.errno in UNWRITABLE:
        return "storage", first_line(error)
    return "crashed", f"{type(error).__name__}: {first_line(error)}"  # it is handed out again, and given up if it goes on so


def _reports(
    leg: Leg, store: Store, folder: StudyFolder, device: str, rungs: Collection[int], writer: CheckpointWriter, train: Train
) -> Iterator[Report]:
    if (report := _of_weights(leg, store, folder, device)) is not None:
        yield report
        return
    state, note = _resumed(leg, folder)
    history = state["history"] if state else []
    HEARTBEAT.begin(writer.attempt.file, [past["metrics"]["epoch_s"] for past in history])
    losses = [past["metrics"]["val_loss"] for past in history]
    for past in history:
        is_last = is_over(leg.recipe, losses[: past["epoch"]])  # said again if known: its driver died before it ended the trial
        if past["epoch"] > leg.known_epochs or is_last:
            yield Report(past["epoch"], past["metrics"], past["time_ms"], writer.size_bytes, is_last=is_last, note=note)
            note = ""
    more: dict[str, Any] = {"use_val": True} if leg.use_val else {}
    if leg.num_repeats > 1:
        train, more = partial(train_repeats, train=train), {"num": leg.num_repeats, "is_folded": leg.is_folded}
    for epoch in train(leg.recipe, store, device=device, resume=state, micro_batch=leg.micro_batch, **more):
        HEARTBEAT.epoch_ended(epoch.metrics["epoch_s"])
        if leg.is_confirmation and epoch.is_last:
            yield _confirmed(leg, epoch, store, folder)
            return
        if epoch.is_last:
            writer.forget()
        elif epoch.epoch in rungs:
            writer.write(epoch.epoch, epoch.state())
        else:
            writer.keep(epoch.epoch, epoch.state())
        if epoch.epoch > leg.known_epochs or epoch.is_last:
            yield Report(epoch.epoch, epoch.metrics, epoch.time_ms, writer.size_bytes, is_last=epoch.is_last, note=note)
            note = ""


def _resumed(leg: Leg, folder: StudyFolder) -> tuple[dict[str, Any] | None, str]:
    """The state to go on from, and what is to be said of it. Raises NotAtHand where this machine does not see what the driver saw."""
    try:
        found = find_newest(folder.checkpoint(leg.key))
    except OSError as error:
        raise NotAtHand(f"the checkpoint of trial {leg.number} can't be read: {error.strerror or error}") from error
    if leg.has_checkpoint and found == Found(None):
        raise NotAtHand(f"the study's folder {folder.path} has a checkpoint of trial {leg.number} that this machine does not see")
    for path in found.damaged:
        path.unlink(missing_ok=True)
    state = found.state if found.state is not None and found.state["fingerprint"] == leg.recipe.fingerprint else None
    then = f"it goes on from epoch {state['epoch']}" if state else "it is trained from its start"
    what = f"its checkpoint {found.damaged[0].name} is damaged" if found.damaged else "" if state else "no checkpoint of it is there"
    return state, f"{what}; {then}" if what and leg.known_epochs else ""


def _of_weights(leg: Leg, store: Store, folder: StudyFolder, device: str) -> Report | None:
    """What a leg reports that trains nothing; None for one that trains, too where the weights to be tested are gone."""
    figures = None
    if leg.averaged:
        figures = average(leg, store, folder, device)
        if figures is None:
            return _failure("infeasible", "the weights to be averaged are gone")
    elif leg.is_test and (kept := reopen(leg, store, folder, device)) is not None:
        figures = test_figures(leg, kept, store, folder)
    return None if figures is None else Report(0, figures, time.time_ns() // 1_000_000, is_last=True)


def _confirmed(leg: Leg, epoch: Epoch, store: Store, folder: StudyFolder) -> Report:
    """The last report of a recipe that was trained again: its weights are kept first, where they have a name."""
    if leg.weights:
        keep_weights(leg, epoch, store, folder)
    figures = test_figures(leg, epoch, store, folder) if leg.is_test else {}
    return Report(epoch.epoch, {**epoch.metrics, **figures}, epoch.time_ms, is_last=True)


def _failure(kind: str, reason: str) -> Report:
    return Report(epoch=0, metrics={}, time_ms=0, failure=kind, reason=reason)
