"""What a network gives for one split of the pictures that it was trained with."""

from __future__ import annotations

from collections.abc import Callable
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

TRAINED_ON = "the network was trained on the validation pictures too (confirm.use_val), so it is better on them than on new ones"
"""To be said beside whatever is measured with them."""

CHOSEN_ON = "the thresholds of its classes were chosen on these very pictures, so precision, recall and F1 are better than on new ones"
"""The same of thresholds."""

_AT_ONCE = 256


def split_logits(
    classifier: Answers, store: Store, index_N: NDArray[np.int64], tell: Callable[[int], object] = int
) -> tuple[Tensor, NDArray[np.int64]]:
    """(N, K) logits and (N,) labels of those rows of the store; `tell` is called with how many are done."""
    logits = [torch.zeros(0, len(classifier.class_names))]
    for low in range(0, len(index_N), _AT_ONCE):
        tell(low)
        logits.append(classifier.logits(store.read(index_N[low : low + _AT_ONCE], classifier.image_size)))
    return torch.cat(logits), np.array(store.labels_N[index_N])


def temperature_of(classifier: Answers, store: Store) -> float:
    """Fitted to the validation pictures. Raises UserError where the store has other classes than the network."""
    refuse_other_classes(classifier, store)
    return fit_temperature(*split_logits(classifier, store, store.val_idx))


def refuse_trained_on(classifier: Answers) -> None:
    """Raise UserError where the validation pictures were among those of training: it is surer of them than of any others."""
    if classifier.metadata.use_val:
        rule = (
            "a temperature is fitted to validation pictures that the network has not seen, but it was trained on them too (confirm.use_val)"
        )
        raise UserError(f"{rule}; leave out `calibrated=True`")


def refuse_other_classes(classifier: Answers, store: Store) -> None:
    """Raise UserError where the store has other classes than the network."""
    if store.class_names != classifier.class_names:
        theirs, ours = (", ".join(names[:4]) for names in (store.class_names, classifier.class_names))
        raise UserError(f"the data have other classes ({theirs}, ...) than the network ({ours}, ...): they changed since it was trained")
