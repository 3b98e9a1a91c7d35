"""Pictures of a store under a policy: a crop is taken out of whole pictures where the store has them, else out of what the frame shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from visiontune.augmentation.apply_ops import IntArray

if TYPE_CHECKING:
    from visiontune.augmentation.policy import Policy
    from visiontune.data.store.store import Store


def augmented(policy: Policy, store: Store, index_N: IntArray, key_N: IntArray, *, seed: int, epoch: int) -> NDArray[np.uint8]:
    """(N, height, width, C) at the store's training size: rows `index_N`, changed by the keys `key_N`."""
    size, crop = store.image_size, policy.crop
    shape_N2 = None if crop is None else store.croppable_N2(index_N)
    if crop is None or shape_N2 is None:
        return policy(store.read(index_N, size), seed=seed, epoch=epoch, index_N=key_N)
    box_N4 = crop.boxes(policy.ops, shape_N2, key_N, seed=seed, epoch=epoch)
    return policy.after_crop()(store.read_crops(index_N, box_N4, size), seed=seed, epoch=epoch, index_N=key_N)
