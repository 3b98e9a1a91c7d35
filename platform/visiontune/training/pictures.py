"""Pictures of a split on their way to a network, a batch at a time.

In: images_NHWC uint8 0 to 255 from the store's memory map. Out: x_NCHW float32, augmented, then preprocessed, in channels_last
memory (1.2 times the speed for LeNet-5 and 1.6 for the CNN on one CPU thread), or what a frozen `body` of the network makes of
it; and y_N int64; on the device. Order, augmentation and values are a function of (seed, epoch, index, copy) alone: how
pictures are grouped changes none of them. A copy is a picture's second or later place in an epoch's order.
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

from visiontune.training.preprocessing import Preprocessing

if TYPE_CHECKING:
    from visiontune.augmentation.policy import Policy
    from visiontune.data.store import Store
    from visiontune.models.split import Body

IntArray = NDArray[np.int64]

# Each process on a node keeps its own copy, so a CPU's limit is small; beyond it, batches come from the shared memory map.
_RESIDENT_BYTES = {"cpu": 128 << 20, "cuda": 4 << 30}
_CHUNK_PICTURES_BYTES = 8 << 20


@dataclass(frozen=True)
class Pictures:
    """One split. `resident` holds all of it as (features, y_N) on the device; None where it is made batch by batch.

    Features are x_NHWC, or body's outputs, those with four dimensions as NHWC too.
    """

    store: Store
    index_N: IntArray
    device: torch.device
    preprocessing: Preprocessing
    policy: Policy | None = None
    seed: int = 0
    body: Body | None = None
    resident: tuple[Tensor, Tensor] | None = None

    def __len__(self) -> int:
        return len(self.index_N)

    def batches(self, order_N: IntArray, bounds: Sequence[int], epoch: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """(x_NCHW, y_N) for each pair of neighbouring `bounds` into `order_N`, which counts within the split and may repeat."""
        if self.resident is not None:
            features, y_N = self.resident
            order = torch.from_numpy(order_N).to(self.device)
            for low, high in pairwise(bounds):
                rows = order[low:high]
                yield _channels_second(features.index_select(0, rows)), y_N.index_select(0, rows)
            return
        index_N = self.index_N[order_N]
        key_N = index_N + copies(order_N) * len(self.store.labels_N) if self.policy is not None else index_N
        for chunk in _chunks(bounds, self._num_at_once):
            part = slice(chunk[0], chunk[-1])
            features, y_N = self._load(index_N[part], key_N[part], epoch)
            for low, high in pairwise(bound - chunk[0] for bound in chunk):
                yield _channels_second(features[low:high]), y_N[low:high]

    @property
    def _num_at_once(self) -> int:
        return max(1, _CHUNK_PICTURES_BYTES // int(4 * self.store.images_NHWC[0].size))

    def _load(self, index_N: IntArray, key_N: IntArray, epoch: int) -> tuple[Tensor, Tensor]:
        images_NHWC = self.store.images_NHWC[index_N]
        if self.policy is not None:
            images_NHWC = self.policy(images_NHWC, seed=self.seed, epoch=epoch, index_N=key_N)
        y_N = torch.from_numpy(self.store.labels_N[index_N]).to(self.device)
        # Whoever evaluates with autocast has it around this generator too, and a whitening in bf16 would be another one.
        with torch.autocast(self.device.type, enabled=False):
            x_NHWC = self.preprocessing(torch.from_numpy(images_NHWC).to(self.device))
            return x_NHWC if self.body is None else _features(self.body, x_NHWC), y_N

    def _made_resident(self) -> Pictures:
        """All of it where it fits; otherwise as it is."""
        first, _ = self._load(self.index_N[:1], self.index_N[:1], epoch=0)
        if len(self) * first.nbytes > _RESIDENT_BYTES.get(self.device.type, 0):
            return self
        if self.body is None:
            return replace(self, resident=self._load(self.index_N, self.index_N, epoch=0))
        from visiontune.models.split import cached

        key = (self.store.digest, self.index_N.tobytes(), self.preprocessing.digest(), str(self.device), self.body.digest())
        features, y_N = cached(key, self._all)
        return replace(self, resident=(features, y_N))

    def _all(self) -> tuple[Tensor, Tensor]:
        """Chunk by chunk: a network holds more than its pictures while it works."""
        chunks = [self.index_N[low : low + self._num_at_once] for low in range(0, len(self), self._num_at_once)]
        features, y_N = zip(*(self._load(index_N, index_N, epoch=0) for index_N in chunks), strict=True)
        return torch.cat(features), torch.cat(y_N)


def open_pictures(
    store: Store,
    index_N: IntArray,
    device: torch.device,
    *,
    preprocessing: Preprocessing,
    policy: Policy | None = None,
    seed: int = 0,
    body: Body | None = None,
) -> Pictures:
    """A split, made resident where it is not augmented and small enough for the device. `preprocessing` moves there, in place.

    `body` is a network's frozen first part, on the device already; its outputs take the place of pictures, and those of a
    split that fits are computed once for all trials of this process that freeze the same.
    """
    pictures = Pictures(store, index_N, device, preprocessing.to(device), policy, seed, body)
    return pictures if policy is not None else pictures._made_resident()


def copies(order_N: IntArray) -> IntArray:
    """How many times each entry stood in the order before.

    >>> copies(np.array([3, 1, 3, 3, 1])).tolist()
    [0, 0, 1, 2, 1]
    """
    place_N = np.argsort(order_N, kind="stable")
    is_first_N = np.diff(order_N[place_N], prepend=-1) != 0
    starts = np.flatnonzero(is_first_N)
    copy_N = np.empty(len(order_N), np.int64)
    copy_N[place_N] = np.arange(len(order_N)) - starts[np.cumsum(is_first_N) - 1]
    return copy_N


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


def _features(body: Body, x_NHWC: Tensor) -> Tensor:
    features: Tensor = body(x_NHWC.permute(0, 3, 1, 2))
    return features.permute(0, 2, 3, 1).contiguous() if features.ndim == 4 else features


def _channels_second(features: Tensor) -> Tensor:
    return features.permute(0, 3, 1, 2) if features.ndim == 4 else features


def _chunks(bounds: Sequence[int], num_at_once: int) -> Iterator[list[int]]:
    """`bounds` cut into runs of whole batches of about `num_at_once` pictures; neighbouring runs share a bound."""
    chunk = [bounds[0]]
    for bound in bounds[1:]:
        if len(chunk) > 1 and bound - chunk[0] > num_at_once:
            yield chunk
            chunk = [chunk[-1]]
        chunk.append(bound)
    yield chunk
