"""What a worker does with a leg: claim its checkpoints, train (train_leg.py), and tell what it failed of. No Ray.

What fails is typed here: by the recipe or for want of memory it is infeasible, by its figures diverged; what a machine does is raised
(MachineFault), and the process that met it ends, so that the next trial has a sound one.
"""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections.abc import Callable, Collection, Generator, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from visiontune.data.store.store import Store
from visiontune.errors import Diverged, LostRank, MachineFault, NotAtHand, Superseded, UserError, first_line
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.spec.kept_files import load_files
from visiontune.training.checkpoint_writer import CheckpointWriter
from visiontune.training.gpu import GpuShare, is_gpu_error, is_out_of_memory, machine_fault, release_all
from visiontune.training.heartbeat import HEARTBEAT
from visiontune.training.loop import train
from visiontune.training.step import half_at_once
from visiontune.tuning.legs.train_leg import Train, failure, train_leg
from visiontune.tuning.ranking.constraints import problem_of_costs
from visiontune.tuning.records.leg import Leg, Report
from visiontune.tuning.records.records import CONSTRAINT, NO_MEMORY
from visiontune.tuning.study.disk_room import FULL

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
            self._keep_to_share()
            parts: dict[str, Any] = {"share": self._share, "train": self._train, **saving}
            reports = run_leg(leg, self._store, self._folder, device, **parts)
            for report in reports:  # the first alone says where
                yield replace(report, place=place_of(device))
                break
            yield from reports
        except MachineFault:
            _end_soon()
            raise

    def _keep_to_share(self) -> None:
        if self._num_gpus:
            self._share = self._share or GpuShare.take(self._num_gpus)
            self._share.give_back()


def _end_soon() -> None:
    late = threading.Timer(LINGER_S, os._exit, (1,))
    late.daemon = True
    late.start()


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
        for report in _reports(leg, store, folder, device, rungs, checkpoint_every_s, train):
            leg = replace(leg, known_epochs=max(leg.known_epochs, report.epoch))
            yield report
    except MachineFault:
        raise
    except Exception as error:
        _raise_faults(error)
        if not is_out_of_memory(error):
            yield failure(*_typed(error))
            return
        want, is_its_own = first_line(error), share is None or share.was_whole()  # Linux refuses a CPU only what no machine has
    if want:  # the error is gone, and with it what held the network
        release_all()
        yield from _with_less(leg, again, want, is_its_own=is_its_own)


def _reports(
    leg: Leg, store: Store, folder: StudyFolder, device: str, rungs: Collection[int], checkpoint_every_s: float, train: Train
) -> Iterator[Report]:
    """Those of a leg whose checkpoints are claimed; of one that costs too much only that."""
    folder.leaving(leg.key).unlink(missing_ok=True)  # said to the worker before
    with CheckpointWriter(folder.checkpoint(leg.key), checkpoint_every_s, partial(_is_asked, folder, leg.key)) as writer:
        HEARTBEAT.begin(writer.attempt.file)
        costs = _costs(leg, store, device)
        if problem := problem_of_costs(costs, leg.bounds):
            yield replace(failure(CONSTRAINT, problem), costs=costs)
            return
        for report in train_leg(leg, store, folder, device, rungs, writer, train):
            yield replace(report, micro_batch=leg.micro_batch, costs=costs)


def _raise_faults(error: Exception) -> None:
    """Raise MachineFault for what is no recipe's doing."""
    if isinstance(error, LostRank) and not is_out_of_memory(error):  # its node may be gone: the leg looks for other places
        raise machine_fault(first_line(error), is_begun=error.is_begun) from error
    if is_gpu_error(error):
        raise machine_fault(first_line(error)) from error
    if isinstance(error, NotAtHand | Superseded):  # the driver had it, or `check` would have said so; or the leg is another's by now
        raise machine_fault(first_line(error), is_begun=False) from error


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
    if leg.micro_batch == 0 and (half := half_at_once(leg.recipe.training)):
        yield from run(replace(leg, micro_batch=half))
    elif is_its_own:
        yield failure("infeasible", f"{NO_MEMORY}: {want}")
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
