"""A split opened for a device: what fits stays there, as features or as bytes; the rest is made batch by batch."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from visiontune.augmentation.to_device import to_device
from visiontune.training.input.batches import Pictures
from visiontune.training.input.epoch_order import IntArray
from visiontune.training.input.loader import Loader
from visiontune.training.input.loader_workers import Maker
from visiontune.training.input.preprocessing import Preprocessing, Scaling

if TYPE_CHECKING:
    from visiontune.augmentation.policy import Policy
    from visiontune.data.store.store import Store
    from visiontune.models.frozen_body import Body

# Each process on a node keeps its own copy, so a CPU's limit is small; beyond it, batches come from the shared memory map.
_RESIDENT_BYTES = {"cpu": 128 << 20, "cuda": 4 << 30}
# Where four times as many fit as bytes, and scaling a batch is one more kernel.
_KEPT_AS_BYTES = {"cuda"}
# By rule and not by measurement: warped pictures differ in their last digits from those of the CPU's engine, and a trial must not
# train on others because a clock said so. On a CPU the device engine is the slower one (benchmarks/augmentation.py).
_AUGMENTING = {"cuda"}
_log = logging.getLogger(__name__)


def open_pictures(
    store: Store,
    index_N: IntArray,
    device: torch.device,
    *,
    preprocessing: Preprocessing,
    policy: Policy | None = None,
    seed: int = 0,
    body: Body | None = None,
    body_batch: int = 0,
    num_workers: int | None = None,
) -> Pictures:
    """A split, made resident where it is small enough for the device, and augmented there where that is a GPU.

    `preprocessing` moves to the device, in place. `body` is a network's frozen first part, on the device already; its outputs take the
    place of pictures, and those of a split that fits are computed once for all trials of this process that freeze the same.
    `num_workers` processes make what is not resident; 0: this one does; None: the first pictures' times decide, for at most as many
    as torch has threads here. A GPU also augments pictures that do not fit there, after those ops of the policy that it lacks (device.py).
    """
    first, there = _parts(device, store, policy)
    loader = Loader(Maker(store, first, seed), device, num_workers)
    pictures = Pictures(store, index_N, device, preprocessing.to(device), loader, body, body_batch, policy=there, seed=seed)
    if policy is None:
        return _made_resident(pictures)
    return _kept_as_bytes(pictures) if first is None and _fits_as_bytes(pictures) else pictures


def _parts(device: torch.device, store: Store, policy: Policy | None) -> tuple[Policy | None, Policy | None]:
    """What the CPU does of a policy and what the device does after it; why the CPU does any of it is said."""
    if policy is None or device.type not in _AUGMENTING:
        return policy, None
    from visiontune.augmentation.policy import on_device

    first, there, lacking = on_device(policy, num_first=int(_is_cropped_whole(store, policy)))
    if first is not None:
        why = f"there is no form for a GPU of {', '.join(lacking)}" if lacking else "crops are taken out of whole pictures"
        rest = "" if there is None else f", and the GPU {', '.join(there.names)}"
        _log.info("%s: the CPU does %s%s", why, ", ".join(first.names), rest)
    return first, there


def _is_cropped_whole(store: Store, policy: Policy) -> bool:
    """Whether crops are taken out of whole pictures, of which a device has but the part in the frame."""
    return policy.crop is not None and store.croppable_N2(store.train_idx[:1]) is not None


def _made_resident(pictures: Pictures) -> Pictures:
    """All of them where they fit; otherwise as they are."""
    device, body = pictures.device, pictures.body
    if device.type in _KEPT_AS_BYTES and body is None and isinstance(pictures.preprocessing.values, Scaling):
        return _kept_as_bytes(pictures) if _fits_as_bytes(pictures) else pictures
    first, _ = pictures.load(pictures.index_N[:1])
    if len(pictures) * first.nbytes > _RESIDENT_BYTES.get(device.type, 0):
        return pictures
    if body is None:
        return replace(pictures, resident=pictures.load(pictures.index_N))
    from visiontune.models.frozen_body import cached

    key = (
        pictures.store.digest,
        pictures.index_N.tobytes(),
        pictures.preprocessing.digest(),
        str(device),
        body.digest(),
        pictures.body_batch,
    )
    features, y_N = cached(key, pictures.load_in_chunks)
    return replace(pictures, resident=(features, y_N))


def _fits_as_bytes(pictures: Pictures) -> bool:
    return len(pictures) * pictures.picture_bytes <= _RESIDENT_BYTES.get(pictures.device.type, 0)


def _kept_as_bytes(pictures: Pictures) -> Pictures:
    """Kept for later trials of this process too: nobody writes to them."""
    from visiontune.models.frozen_body import cached

    store, index_N, device = pictures.store, pictures.index_N, pictures.device

    def read() -> tuple[Tensor, Tensor]:
        return to_device(store.read(index_N, store.image_size), device), to_device(store.labels_N[index_N], device)

    images_NHWC, y_N = cached(("bytes", store.digest, index_N.tobytes(), str(device)), read)
    return replace(pictures, resident=(images_NHWC, y_N))
