"""What a network gives for one split of the pictures that it was trained with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from visiontune.errors import UserError
from visiontune.inference.calibration import fit_temperature

if TYPE_CHECKING:
    from visiontune.data.store.store import Store
    from visiontune.inference.predict import Answers

_AT_ONCE = 256


def split_logits(classifier: Answers, store: Store, index_N: NDArray[np.int64]) -> tuple[Tensor, NDArray[np.int64]]:
    """(N, K) logits and (N,) labels of those rows of the store."""
    parts = [index_N[low : low + _AT_ONCE] for low in range(0, len(index_N), _AT_ONCE)]
    logits = [classifier.logits(store.read(part, classifier.image_size)) for part in parts]
    return torch.cat(logits or [torch.zeros(0, len(classifier.class_names))]), np.array(store.labels_N[index_N])


def temperature_of(classifier: Answers, store: Store) -> float:
    """Fitted to the validation pictures. Raises UserError where the store has other classes than the network."""
    if store.class_names != classifier.class_names:
        theirs, ours = (", ".join(names[:4]) for names in (store.class_names, classifier.class_names))
        raise UserError(f"the data have other classes ({theirs}, ...) than the network ({ours}, ...): they changed since it was trained")
    return fit_temperature(*split_logits(classifier, store, store.val_idx))
