"""One training by several processes, its ranks: each makes and learns from its share of every batch, and the group adds up what they find.

Rank r of K takes positions r, r + K, ... of each batch, so that a step is over the same pictures as one process's, mixed with the same
partners, whatever K is. DistributedDataParallel adds up gradients in the backward pass; penalties, noise, clipping and averages come
after it, from the same keys, so that weights stay alike. Only rank 0 is asked for epochs: the others wait until it is.
"""

from __future__ import annotations

import inspect
import io
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

from visiontune.augmentation.mixing import Batch, Mixed, Mixing, unmixed
from visiontune.errors import UserError
from visiontune.training.heartbeat import HEARTBEAT

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

# A rank that hangs becomes an error of the others, as a loader's worker does.
_TIMEOUT = timedelta(seconds=600)
_UNTIL_ASKED = timedelta(days=365)
_NAMES = inspect.signature(DistributedDataParallel).parameters
_WITHOUT_BUFFERS: dict[str, Any] = {next(name for name in ("forward_sync_buffers", "broadcast_buffers") if name in _NAMES): False}
_BACKENDS = {"cpu": "gloo", "cuda": "cpu:gloo,cuda:nccl"}


class Ranks:
    """This process, `rank` of `num`, in torch's default process group; one alone needs none. `store` is the group's."""

    def __init__(self, rank: int = 0, num: int = 1, store: Store | None = None) -> None:
        self.rank, self.num, self._store = rank, num, store
        self._num_asked = 0

    @property
    def key(self) -> tuple[int, ...]:
        """What sets this rank's draws apart from those of the others; rank 0 draws as one process alone."""
        return (self.rank,) if self.rank else ()

    def goes_on(self) -> bool:
        """Whether another epoch is wanted: rank 0 says so by this call, the others wait for that, or for `end`."""
        self._num_asked += 1
        if self._store is None:
            return True
        if self.rank == 0:
            self._store.set(f"asked/{self._num_asked}", "go on")
            return True
        with HEARTBEAT.paused():
            self._store.wait([f"asked/{self._num_asked}"], _UNTIL_ASKED)
        return bool(self._store.get(f"asked/{self._num_asked}") == b"go on")

    def end(self) -> None:
        """Rank 0 says that no other epoch is wanted."""
        if self._store is not None:
            self._store.set(f"asked/{self._num_asked + 1}", "end")

    def parallel(self, network: nn.Module) -> nn.Module:
        """The network with the others' gradients in its backward pass, and rank 0's weights; itself where there are no others."""
        if self.num == 1:
            return network
        # Statistics are those of all ranks already, so buffers need no broadcast before every forward pass.
        return DistributedDataParallel(network, **_WITHOUT_BUFFERS)

    def alone(self, network: nn.Module, *, is_last: bool) -> AbstractContextManager[Any]:
        """For a forward and backward pass of what `parallel` gave: gradients stay here, unless it is the batch's last."""
        if isinstance(network, DistributedDataParallel) and not is_last:
            return network.no_sync()
        return nullcontext()

    def mixed(self, mixing: Mixing, x_NCHW: Tensor, y_N: Tensor, step: int, num: int) -> Batch:
        """This rank's share of a mixed batch of `num` pictures. A partner may be another rank's, so the pictures go around."""
        if self.num == 1 or mixing is unmixed:
            return mixing(x_NCHW, y_N, step)
        is_map = x_NCHW.ndim == 4
        x_NHWC = x_NCHW.permute(0, 2, 3, 1) if is_map else x_NCHW  # as they lie in memory
        all_NHWC = self.gathered(x_NHWC, num)
        x_NCHW, targets = mixing(all_NHWC.permute(0, 3, 1, 2) if is_map else all_NHWC, self.gathered(y_N, num), step)
        own = slice(self.rank, None, self.num)
        if isinstance(targets, Mixed):
            return x_NCHW[own], Mixed(targets.y_N[own], targets.other_N[own], targets.share)
        return x_NCHW[own], targets[own]

    def gathered(self, own_N: Tensor, num: int) -> Tensor:
        """All `num` rows of a batch in order, given this rank's share of them."""
        if self.num == 1:
            return own_N
        padded_N = own_N.new_zeros((-(-num // self.num), *own_N.shape[1:]))
        padded_N[: len(own_N)] = own_N
        parts = [torch.empty_like(padded_N) for _ in range(self.num)]
        dist.all_gather(parts, padded_N)
        return torch.stack(parts, 1).flatten(0, 1)[:num]

    def summed(self, value: Tensor) -> Tensor:
        """The sum over the ranks, the same on each."""
        if self.num > 1:
            value = value.clone()
            dist.all_reduce(value)
        return value

    def from_first(self, content: Any) -> Any:
        """What rank 0 has, tensors on the CPU: mappings, lists, numbers, strings and tensors; no pickle of anything else is read."""
        if self.num == 1:
            return content
        buffer = io.BytesIO()
        torch.save(content if self.rank == 0 else None, buffer)
        packed = torch.frombuffer(bytearray(buffer.getvalue()), dtype=torch.uint8)
        size = torch.tensor(len(packed))
        dist.broadcast(size, 0)
        packed = packed if self.rank == 0 else torch.empty(int(size), dtype=torch.uint8)
        dist.broadcast(packed, 0)
        return content if self.rank == 0 else torch.load(io.BytesIO(packed.numpy().tobytes()), map_location="cpu", weights_only=True)


ONE_RANK = Ranks()


@contextmanager
def joined(rank: int, num: int, store: Store, device: torch.device) -> Iterator[Ranks]:
    """This process in a group of `num` for as long as the block runs; waits for the others. Raises UserError in another group."""
    if dist.is_initialized():
        raise UserError("several workers form torch's process group, but this process is in one already; train in another process")
    if device.type == "cuda":
        torch.cuda.set_device(device.index or 0)  # refuses a device without index: that is the first one which the process sees
    dist.init_process_group(_BACKENDS[device.type], store=store, rank=rank, world_size=num, timeout=_TIMEOUT)
    try:
        yield Ranks(rank, num, store)
    finally:
        dist.destroy_process_group()


def problem_of_ranks(num: int, *, batch_size: int, use_compile: bool) -> str | None:
    """Why so many ranks can't train so, as one sentence; None if they can."""
    if num > batch_size:
        return f"each of {num} workers needs a picture of every batch, but training.batch_size is {batch_size}; nearest is {num}"
    if num > 1 and use_compile:  # torch's compiler does not trace what ranks add up inside a network
        return f"training.use_compile works with one worker, but there are {num}; nearest is false"
    return None
