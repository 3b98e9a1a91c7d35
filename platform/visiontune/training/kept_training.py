"""Training for a file of weights, which a kill does not lose: checkpoints lie beside the file until it is there.

The same call goes on from the newest that is whole, if recipe and pictures are the same.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

from visiontune.data.store.store import Store
from visiontune.errors import Superseded, UserError
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.training.checkpoint import load_newest
from visiontune.training.checkpoint_writer import CheckpointWriter
from visiontune.training.loop import Epoch

EVERY_S = 60.0
"""Of training is lost at most, beside the epoch that is being trained."""


def train_kept(
    run: Callable[..., Iterator[Epoch]], recipe: TrialRecipe, store: Store, to: Path, say: Callable[[str], object]
) -> Generator[Epoch, None, None]:
    """The epochs of `run(resume=...)` that are not known yet, for the weights `to`; `say` is told where it goes on.

    To be closed, so that an interruption loses nothing. Raises UserError where no checkpoint can be written, or another process trains for
    the same file, and what `run` does.
    """
    folder = _folder(to) / f"{recipe.fingerprint}-{store.digest[:12]}"
    with _told(to):
        state, writer = load_newest(folder), CheckpointWriter(folder, EVERY_S)
    if state is not None:
        say(f"training: goes on after epoch {state['epoch']}, from {_folder(to)}")
    with writer:
        for epoch in run(resume=state):
            with _told(to):
                writer.forget() if epoch.is_last else writer.keep(epoch.epoch, epoch.state())
            yield epoch


def forget_training(to: Path) -> None:
    """The weights are there: what lies beside them goes."""
    shutil.rmtree(_folder(to), ignore_errors=True)


def _folder(to: Path) -> Path:
    return to.with_name(f"{to.name}.checkpoints")


@contextmanager
def _told(to: Path) -> Iterator[None]:
    try:
        yield
    except Superseded as error:
        raise UserError(f"another process trains for {to} by now; give this one another file") from error
    except OSError as error:
        raise UserError(f"a checkpoint can't be written to {_folder(to)}: {error.strerror or error}") from error
