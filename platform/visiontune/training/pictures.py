"""Pictures of a split on their way to a network, a batch at a time.

In: images_NHWC uint8 0 to 255 from the store's memory map. Out: x_NCHW float32, (x / 255 - mean) / std by channel, in
channels_last memory (1.2 times the speed for LeNet-5 and 1.6 for the CNN on one CPU thread), and y_N int64, on the device.
Order, augmentation and values are a function of (seed, epoch, index) alone: how pictures are grouped changes none of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

if TYPE_CHECKING:
    from visiontune.augmentation.policy import Policy
    from visiontune.data.store import Store

IntArray = NDArray[np.int64]

# Each process on a node keeps its own copy, so a CPU's limit is small; beyond it, batches come from the shared memory map.
_RESIDENT_BYTES = {"cpu": 128 << 20, "cuda": 4 << 30}
_CHUNK_PICTURES_BYTES = 8 << 20


@dataclass(frozen=True)
class Pictures:
    """One split. `resident` holds all of it, normalised, as (x_NHWC, y_N) on the device; None where it is made batch by batch."""

    store: Store
    index_N: IntArray
    device: torch.device
    policy: Policy | None = None
    seed: int = 0
    resident: tuple[Tensor, Tensor] | None = None

    def __len__(self) -> int:
        return len(self.index_N)

    def batches(self, order_N: IntArray, bounds: Sequence[int], epoch: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """(x_NCHW, y_N) for each pair of neighbouring `bounds` into `order_N`, which counts within the split."""
        if self.resident is not None:
            x_NHWC, y_N = self.resident
            order = torch.from_numpy(order_N).to(self.device)
            for low, high in pairwise(bounds):
                rows = order[low:high]
                yield x_NHWC.index_select(0, rows).permute(0, 3, 1, 2), y_N.index_select(0, rows)
            return
        for chunk in _chunks(bounds, self._num_at_once):
            x_NHWC, y_N = self._load(order_N[chunk[0] : chunk[-1]], epoch)
            for low, high in pairwise(bound - chunk[0] for bound in chunk):
                yield x_NHWC[low:high].permute(0, 3, 1, 2), y_N[low:high]

    @property
    def _num_at_once(self) -> int:
        return max(1, _CHUNK_PICTURES_BYTES // int(4 * self.store.images_NHWC[0].size))

    def _load(self, order_N: IntArray, epoch: int) -> tuple[Tensor, Tensor]:
        index_N = self.index_N[order_N]
        images_NHWC = self.store.images_NHWC[index_N]
        if self.policy is not None:
            images_NHWC = self.policy(images_NHWC, seed=self.seed, epoch=epoch, index_N=index_N)
        y_N = torch.from_numpy(self.store.labels_N[index_N]).to(self.device)
        return self._normalise(images_NHWC), y_N

    def _normalise(self, images_NHWC: NDArray[np.uint8]) -> Tensor:
        width = images_NHWC.shape[2]
        # Repeated along a row of pixels: over three channels alone the addition would not be vectorised.
        scale_WC = torch.from_numpy(1 / (255 * self.store.std_C)).to(self.device).repeat(width, 1)
        shift_WC = torch.from_numpy(self.store.mean_C / self.store.std_C).to(self.device).repeat(width, 1)
        return torch.from_numpy(images_NHWC).to(self.device).float().mul_(scale_WC).sub_(shift_WC)


def open_pictures(store: Store, index_N: IntArray, device: torch.device, policy: Policy | None = None, seed: int = 0) -> Pictures:
    """A split, made resident where it is not augmented and small enough for the device."""
    pictures = Pictures(store, index_N, device, policy, seed)
    num_bytes = 4 * len(index_N) * store.images_NHWC[0].size
    if policy is not None or num_bytes > _RESIDENT_BYTES.get(device.type, 0):
        return pictures
    return replace(pictures, resident=pictures._load(np.arange(len(index_N)), epoch=0))


def batch_bounds(num: int, batch_size: int) -> list[int]:
    """Where batches begin and end. The last one may be short, but a single picture left over joins the batch before it.

    Alone it would break batch normalisation, and dropping it would leave a picture out of every epoch.
    """
    bounds = [*range(0, num, batch_size), num]
    if batch_size > 1 and len(bounds) > 2 and bounds[-1] - bounds[-2] == 1:
        del bounds[-2]
    return bounds


def shuffled(num: int, seed: int, epoch: int) -> IntArray:
    """The order of an epoch, keyed."""
    return np.random.default_rng([seed, epoch]).permutation(num)


def _chunks(bounds: Sequence[int], num_at_once: int) -> Iterator[list[int]]:
    """`bounds` cut into runs of whole batches of about `num_at_once` pictures; neighbouring runs share a bound."""
    chunk = [bounds[0]]
    for bound in bounds[1:]:
        if len(chunk) > 1 and bound - chunk[0] > num_at_once:
            yield chunk
            chunk = [chunk[-1]]
        chunk.append(bound)
    yield chunk
