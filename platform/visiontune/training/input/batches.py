"""Pictures of a split on their way to a network, a batch at a time.

In: images_NHWC uint8 0 to 255 from the store's memory map. Out: x_NCHW float32, augmented, then preprocessed, in channels_last
memory (1.2 times the speed for LeNet-5 and 1.6 for the CNN on one CPU thread), or what a frozen `body` of the network makes of
it; and y_N int64; on the device. Order, augmentation and values are a function of (seed, epoch, index, copy) alone: how
pictures are grouped, and by how many processes they are made (loader.py), changes none of them (whitening and a frozen body are
matrix products, whose last digits follow the size of the batch). A copy is a picture's second or later place in an epoch's order.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from visiontune.augmentation.to_device import to_device
from visiontune.spec.declarations.image_size import ImageSize
from visiontune.training.arithmetic import exactly
from visiontune.training.input.epoch_order import IntArray, chunks_of, copies, share_of_rank
from visiontune.training.input.loader import Loader
from visiontune.training.input.picture_sizes import SizeOf
from visiontune.training.input.preprocessing import Preprocessing, resized
from visiontune.training.ranks import ONE_RANK, Ranks

if TYPE_CHECKING:
    from visiontune.augmentation.policy import Policy
    from visiontune.data.store.store import Store
    from visiontune.models.frozen_body import Body

# Of float32 pictures; fits a CPU's cache, and workers hand over such chunks in a quarter as much shared memory.
_CHUNK_PICTURES_BYTES = 8 << 20
# Where a device augments what lies there: each chunk costs draws and launches, which a GPU that is ahead would wait for.
_AUGMENTED_THERE_BYTES = {"cuda": 128 << 20}


@dataclass(frozen=True)
class Pictures:
    """One split. `resident` holds all of it as (features, y_N) on the device; None where it is made batch by batch.

    Features are x_NHWC, uint8 where they are still to be preprocessed, or body's outputs, those with four dimensions as NHWC too.
    `policy` is what the device does of the augmentation, on uint8, keyed by `seed`; the loader's is done before. `body` takes at most
    `body_batch` pictures at once; 0: a chunk. `size_of` gives an epoch's size; None: batches are as large as pictures come.
    """

    store: Store
    index_N: IntArray
    device: torch.device
    preprocessing: Preprocessing
    loader: Loader
    body: Body | None = None
    body_batch: int = 0
    resident: tuple[Tensor, Tensor] | None = None
    policy: Policy | None = None
    seed: int = 0
    ranks: Ranks = ONE_RANK
    size_of: SizeOf | None = None

    def __len__(self) -> int:
        return len(self.index_N)

    @property
    def how(self) -> str:
        """Who makes the pictures and why, as a sentence."""
        if self.resident is None:
            first = self.loader.maker.policy if self.policy else None
            after = f" after {', '.join(first.names)}" if first else ""
            there = f"; they are augmented on {self.device}" if self.policy else ""
            return f"{len(self):,} pictures are {self.loader.how}{there}{after}"
        as_what = "" if self.resident[0].is_floating_point() else " as bytes"
        return f"all {len(self):,} pictures stay on {self.device}{as_what}{'' if self.policy is None else ' and are augmented there'}"

    @property
    def waited_s(self) -> float:
        """Seconds that batches were waited for, since this was opened; without what `body` took."""
        return self.loader.waited_s

    def batches(self, order_N: IntArray, bounds: Sequence[int], epoch: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """(x_NCHW, y_N) for each pair of neighbouring `bounds` into `order_N`, which counts within the split and may repeat.

        Of several ranks each gets its share of every batch.
        """
        found = self._batches(order_N, bounds, epoch)
        return found if self.size_of is None else self._resized(found, self.size_of(epoch))

    def _batches(self, order_N: IntArray, bounds: Sequence[int], epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        is_taken = self.resident is not None and self.policy is None
        key_N = order_N if is_taken else self._keys(order_N)  # of the whole order: a share has not all copies
        if self.ranks.num > 1:
            position_N, bounds = share_of_rank(bounds, self.ranks.rank, self.ranks.num)
            order_N, key_N = order_N[position_N], key_N[position_N]
        if self.resident is None:
            return self.loader.timed(self._made(order_N, key_N, bounds, epoch))
        if self.policy is None:
            return self.loader.timed(self._taken(order_N, bounds, *self.resident))
        return self.loader.timed(self._augmented(order_N, key_N, bounds, epoch, self.policy, *self.resident))

    def _resized(self, batches: Iterator[tuple[Tensor, Tensor]], size: ImageSize) -> Iterator[tuple[Tensor, Tensor]]:
        for x_NCHW, y_N in batches:
            with exactly(self.device):
                smaller_NCHW = resized(x_NCHW, size)
            yield smaller_NCHW, y_N

    def _taken(self, order_N: IntArray, bounds: Sequence[int], features: Tensor, y_N: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        order = to_device(order_N, self.device)
        for low, high in pairwise(bounds):
            rows = order[low:high]
            taken = features.index_select(0, rows)
            yield _channels_second(taken if taken.is_floating_point() else self._preprocessed(taken)), y_N.index_select(0, rows)

    def _augmented(
        self, order_N: IntArray, key_N: IntArray, bounds: Sequence[int], epoch: int, policy: Policy, images_NHWC: Tensor, y_N: Tensor
    ) -> Iterator[tuple[Tensor, Tensor]]:
        for chunk in chunks_of(bounds, self._num_augmented_there):
            part = slice(chunk[0], chunk[-1])
            rows = to_device(order_N[part], self.device)
            x_NHWC = self._changed(images_NHWC.index_select(0, rows), policy, key_N[part], epoch)
            label_N = y_N.index_select(0, rows)
            with self.loader.off_the_clock():
                features = self._features(x_NHWC)
            for low, high in pairwise(bound - chunk[0] for bound in chunk):
                yield _channels_second(features[low:high]), label_N[low:high]

    def _made(self, order_N: IntArray, key_N: IntArray, bounds: Sequence[int], epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        index_N = self.index_N[order_N]
        y_N = to_device(self.store.labels_N[index_N], self.device)
        chunks = list(chunks_of(bounds, self._num_at_once))
        parts = [slice(chunk[0], chunk[-1]) for chunk in chunks]
        made = self.loader([(index_N[part], key_N[part], epoch) for part in parts])
        for chunk, part, images_NHWC in zip(chunks, parts, made, strict=True):
            x_NHWC = self._changed(to_device(images_NHWC, self.device), self.policy, key_N[part], epoch)
            with self.loader.off_the_clock():
                features = self._features(x_NHWC)
            for low, high in pairwise(chunk):
                yield _channels_second(features[low - chunk[0] : high - chunk[0]]), y_N[low:high]

    def _keys(self, order_N: IntArray) -> IntArray:
        """What augmentation goes by: the place in the store, another one for each further copy."""
        return self.index_N[order_N] + copies(order_N) * len(self.store.labels_N)

    @property
    def picture_bytes(self) -> int:
        """Of one as uint8."""
        return math.prod(self.store.images_NHWC.shape[1:])

    @property
    def _num_at_once(self) -> int:
        return max(1, _CHUNK_PICTURES_BYTES // (4 * self.picture_bytes))

    @property
    def _num_augmented_there(self) -> int:
        """Through a frozen body fewer, as it holds more than its pictures while it works."""
        num_bytes = _AUGMENTED_THERE_BYTES.get(self.device.type, 0) if self.body is None else 0
        return max(self._num_at_once, num_bytes // (4 * self.picture_bytes))

    def load(self, index_N: IntArray) -> tuple[Tensor, Tensor]:
        """Features and labels of those pictures of the store, made here and now, without augmentation."""
        x_NHWC = self._preprocessed(to_device(self.loader.maker[index_N, index_N, 0], self.device))
        return self._features(x_NHWC), to_device(self.store.labels_N[index_N], self.device)

    def _changed(self, images_NHWC: Tensor, policy: Policy | None, key_N: IntArray, epoch: int) -> Tensor:
        """Augmented and preprocessed. Ops hold up to 34 bytes for each value: a large batch of large pictures is changed in parts."""
        if policy is not None:
            num = self._num_augmented_there
            with exactly(self.device):
                parts = [
                    policy(part_NHWC, seed=self.seed, epoch=epoch, index_N=key_N[number * num :][:num])
                    for number, part_NHWC in enumerate(torch.split(images_NHWC, num))
                ]
            images_NHWC = torch.cat(parts)
        return self._preprocessed(images_NHWC)

    def _preprocessed(self, images_NHWC: Tensor) -> Tensor:
        # Whoever evaluates with autocast has it around this generator too, and a whitening in bf16 would be another one.
        with exactly(self.device):
            return self.preprocessing(images_NHWC)  # type: ignore[no-any-return]

    def _features(self, x_NHWC: Tensor) -> Tensor:
        if self.body is None:
            return x_NHWC
        with exactly(self.device):
            parts = torch.split(x_NHWC.permute(0, 3, 1, 2), self.body_batch or len(x_NHWC))
            features = torch.cat([self.body(part) for part in parts])
        return features.permute(0, 2, 3, 1).contiguous() if features.ndim == 4 else features

    def load_in_chunks(self) -> tuple[Tensor, Tensor]:
        """All of it; a network holds more than its pictures while it works."""
        chunks = [self.index_N[low : low + self._num_at_once] for low in range(0, len(self), self._num_at_once)]
        features, y_N = zip(*(self.load(index_N) for index_N in chunks), strict=True)
        return torch.cat(features), torch.cat(y_N)


def _channels_second(features: Tensor) -> Tensor:
    return features.permute(0, 3, 1, 2) if features.ndim == 4 else features
