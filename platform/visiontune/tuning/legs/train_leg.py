"""Trains a leg from its newest checkpoint: reports every epoch, and has checkpoints written when it is time. No Ray.

At a rung the checkpoint is on disk before the epoch is reported, as another worker may go on from there. Between rungs epochs are reported
that are on no disk yet: after a kill they are trained again and not reported again, since the leg says which the study knows. A
checkpoint holds the metrics of every epoch so far: what a killed driver did not record is read out of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any

from visiontune.data.store.store import Store
from visiontune.errors import NotAtHand
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.training.checkpoint import Found, find_newest
from visiontune.training.checkpoint_writer import CheckpointWriter
from visiontune.training.heartbeat import HEARTBEAT
from visiontune.training.loop import Epoch, is_over
from visiontune.training.several_networks import train_repeats
from visiontune.tuning.legs.confirm_leg import average, keep_weights, reopen, test_figures
from visiontune.tuning.records.leg import Leg, Report

Train = Callable[..., Iterator[Epoch]]


def train_leg(
    leg: Leg, store: Store, folder: StudyFolder, device: str, rungs: Collection[int], writer: CheckpointWriter, train: Train
) -> Iterator[Report]:
    """A report for each epoch that the study does not have, the last of a trial always. Raises NotAtHand, and what training does."""
    if (report := _of_weights(leg, store, folder, device)) is not None:
        yield report
        return
    state, note = _resumed(leg, folder)
    history = state["history"] if state else []
    HEARTBEAT.begin(writer.attempt.file, [past["metrics"]["epoch_s"] for past in history])
    epochs = _epochs(leg, store, device, state, train)
    for report in chain(_of_history(leg, history, writer), _of_epochs(leg, epochs, store, folder, rungs, writer)):
        yield replace(report, note=note)
        note = ""


def _of_history(leg: Leg, history: Sequence[Mapping[str, Any]], writer: CheckpointWriter) -> Iterator[Report]:
    """What a checkpoint knows and the study does not; the last epoch also if known: its driver died before it ended the trial."""
    losses = [past["metrics"]["val_loss"] for past in history]
    for past in history:
        is_last = is_over(leg.recipe, losses[: past["epoch"]])
        if past["epoch"] > leg.known_epochs or is_last:
            yield Report(past["epoch"], past["metrics"], past["time_ms"], writer.size_bytes, is_last=is_last)


def _epochs(leg: Leg, store: Store, device: str, state: Mapping[str, Any] | None, train: Train) -> Iterator[Epoch]:
    more: dict[str, Any] = {"use_val": True} if leg.use_val else {}
    if leg.num_repeats > 1:
        train, more = partial(train_repeats, train=train), {"num": leg.num_repeats, "is_folded": leg.is_folded}
    return train(leg.recipe, store, device=device, resume=state, micro_batch=leg.micro_batch, **more)


def _of_epochs(
    leg: Leg, epochs: Iterator[Epoch], store: Store, folder: StudyFolder, rungs: Collection[int], writer: CheckpointWriter
) -> Iterator[Report]:
    """As they are trained; a checkpoint is written or kept before its epoch is reported."""
    for epoch in epochs:
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
            yield Report(epoch.epoch, epoch.metrics, epoch.time_ms, writer.size_bytes, is_last=epoch.is_last)


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
    known = found.state
    state = known if known is not None and known["fingerprint"] == leg.recipe.up_to(known["epoch"]).fingerprint else None
    then = f"it goes on from epoch {state['epoch']}" if state else "it is trained from its start"
    what = f"its checkpoint {found.damaged[0].name} is damaged" if found.damaged else "" if state else "no checkpoint of it is there"
    return state, f"{what}; {then}" if what and leg.known_epochs else ""


def _of_weights(leg: Leg, store: Store, folder: StudyFolder, device: str) -> Report | None:
    """What a leg reports that trains nothing; None for one that trains, too where the weights to be tested are gone."""
    figures = None
    if leg.averaged:
        figures = average(leg, store, folder, device)
        if figures is None:
            return failure("infeasible", "the weights to be averaged are gone")
    elif leg.is_test and (kept := reopen(leg, store, folder, device)) is not None:
        figures = test_figures(leg, kept, store, folder)
    return None if figures is None else Report(0, figures, time.time_ns() // 1_000_000, is_last=True)


def _confirmed(leg: Leg, epoch: Epoch, store: Store, folder: StudyFolder) -> Report:
    """The last report of a recipe that was trained again: its weights are kept first, where they have a name."""
    if leg.weights:
        keep_weights(leg, epoch, store, folder)
    figures = test_figures(leg, epoch, store, folder) if leg.is_test else {}
    return Report(epoch.epoch, {**epoch.metrics, **figures}, epoch.time_ms, is_last=True)


def failure(kind: str, reason: str) -> Report:
    """A leg's last report, where it can't go on."""
    return Report(epoch=0, metrics={}, time_ms=0, failure=kind, reason=reason)
