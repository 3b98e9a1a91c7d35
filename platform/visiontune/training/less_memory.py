"""Training without a study where memory runs out: once it goes on with half the micro-batch, as a search's leg does; then it is told."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from visiontune.errors import UserError, first_line, plural, shortened
from visiontune.spec.complete_recipe import completed
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.training.checkpoint_writer import copied
from visiontune.training.gpu import is_out_of_memory, release_all
from visiontune.training.loop import Epoch
from visiontune.training.step import half_at_once, num_at_once

_log = logging.getLogger(__name__)


def train_within_memory(
    run: Callable[..., Iterator[Epoch]], recipe: TrialRecipe, resume: Mapping[str, Any] | None = None
) -> Iterator[Epoch]:
    """The epochs of `run(resume=..., micro_batch=...)`: from the last one that ended once more, where memory runs out, with half as many
    pictures at a time and the same gradients but for batch normalisation. That is logged as a warning.

    Raises UserError where it runs out again, and what `run` does. Each epoch's state is copied to the host, over the one before; where a
    copy breaks off, there is none to go on from.
    """
    training = completed(recipe).training
    num, half, said = num_at_once(training), half_at_once(training), ""
    copy, num_told = None, 0
    try:
        for epoch in run(resume=resume, micro_batch=0):
            yield epoch
            num_told = epoch.epoch
            if not epoch.is_last:
                spare, copy = copy, None
                copy = copied(epoch.state(), spare)
        return
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        said = shortened(first_line(error))
        if not half:
            raise _too_large(num, said) from error
    epoch = spare = None  # type: ignore[assignment]  # which holds the network, as the error did
    release_all()
    newest = copy or resume
    since = f"goes on after epoch {newest['epoch']}" if newest else "begins again"
    _log.warning("%d pictures at a time do not fit in memory: training %s with training.micro_batch: %d (%s)", num, since, half, said)
    try:
        yield from (epoch for epoch in run(resume=newest, micro_batch=half) if epoch.epoch > num_told)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise _too_large(half, shortened(first_line(error))) from error


def _too_large(num: int, said: str) -> UserError:
    rule = f"not even {plural(num, 'picture')} at a time fit in memory ({said})"
    return UserError(f"{rule}; nearest is a smaller training.micro_batch, data.image_size or model, or training.use_gradient_checkpointing")
