"""What a worker does with a leg: train from the newest checkpoint, report every epoch, write checkpoints when it is time. No Ray.

At a rung the checkpoint is on disk before the epoch is reported, as another worker may go on from there. Between rungs epochs are reported
that are on no disk yet: after a kill they are trained again and not reported again, since the leg says which the study knows. A
checkpoint holds the metrics of every epoch so far: what a killed driver did not record is read out of it.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Collection, Iterator

from visiontune.data.store.store import Store
from visiontune.errors import Diverged, UserError, first_line
from visiontune.filesystem.atomic_write import write_whole
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.training.checkpoint import load_newest
from visiontune.training.checkpoint_writer import CheckpointWriter
from visiontune.training.evaluate import evaluate
from visiontune.training.loop import Epoch, is_over, train
from visiontune.training.train_recipe import examine
from visiontune.training.weights_file import save_weights
from visiontune.tuning.records import Leg, Report

MEMORY_MESSAGES = ("out of memory", "can't allocate memory", "not enough memory")


def run_leg(
    leg: Leg, store: Store, folder: StudyFolder, device: str, *, rungs: Collection[int] = (), checkpoint_every_s: float = 0.0
) -> Iterator[Report]:
    """One report for each epoch that the study does not have (the last epoch of a trial always); a failure where the leg can't go on.

    `rungs` are the epochs after which it may end; checkpoint_every_s 0 writes a checkpoint before every report.
    """
    try:
        with CheckpointWriter(folder.checkpoint(leg.key), checkpoint_every_s, folder.stopping.exists) as writer:
            yield from _reports(leg, store, folder, device, rungs, writer)
    except Diverged as error:
        yield _failure("diverged", str(error))
    except (UserError, ValueError) as error:  # what torch or a builder says of a network that can't be
        yield _failure("infeasible", first_line(error))
    except MemoryError as error:
        yield _failure("infeasible", f"does not fit in memory: {first_line(error)}")
    except OSError as error:
        yield _failure(
            "storage" if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES) else "crashed", first_line(error)
        )
    except Exception as error:  # the trial is handed out again, and given up if it goes on so
        is_memory = any(message in str(error).lower() for message in MEMORY_MESSAGES)
        yield _failure("infeasible" if is_memory else "crashed", first_line(error))


def _reports(
    leg: Leg, store: Store, folder: StudyFolder, device: str, rungs: Collection[int], writer: CheckpointWriter
) -> Iterator[Report]:
    state = load_newest(folder.checkpoint(leg.key))
    if state is not None and state["fingerprint"] != leg.recipe.fingerprint:
        state = None
    history = state["history"] if state else []
    losses = [past["metrics"]["val_loss"] for past in history]
    for past in history:
        is_last = is_over(leg.recipe, losses[: past["epoch"]])  # said again if known: its driver died before it ended the trial
        if past["epoch"] > leg.known_epochs or is_last:
            yield Report(past["epoch"], past["metrics"], past["time_ms"], writer.size_bytes, is_last=is_last)
    for epoch in train(leg.recipe, store, device=device, resume=state):
        if leg.is_confirmation and epoch.is_last:
            yield Report(epoch.epoch, {**epoch.metrics, **_test(leg, epoch, store, folder)}, epoch.time_ms, is_last=True)
            return
        if epoch.is_last:
            writer.forget()
        elif epoch.epoch in rungs:
            writer.write(epoch.epoch, epoch.state())
        else:
            writer.keep(epoch.epoch, epoch.state())
        if epoch.epoch > leg.known_epochs or epoch.is_last:
            yield Report(epoch.epoch, epoch.metrics, epoch.time_ms, writer.size_bytes, is_last=epoch.is_last)


def _test(leg: Leg, epoch: Epoch, store: Store, folder: StudyFolder) -> dict[str, float]:
    """The test figures of a confirmation; the first one's weights and its table of classes become the study's."""
    if leg.number > 0:
        is_full = leg.recipe.training["use_full_metrics"]
        found = evaluate(
            epoch.model, store, "test", preprocessing=epoch.preprocessing, arithmetic=epoch.arithmetic, use_full_metrics=is_full
        )
        return {f"test_{name}": value for name, value in found.items()}
    save_weights(epoch.model, folder.winner_weights, preprocessing=epoch.preprocessing)
    figures, classes = examine(epoch, store)
    write_whole(folder.winner_test, json.dumps({"metrics": figures, **classes.to_dict()}))
    return figures


def _failure(kind: str, reason: str) -> Report:
    return Report(epoch=0, metrics={}, time_ms=0, failure=kind, reason=reason)
