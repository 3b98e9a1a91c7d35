"""A process's part of one GPU: whether it is there and sound, how much memory is its own, and what an error of it means.

Several trials may share a GPU (`gpus_per_trial` below 1). Each process then keeps to its share, so that none is told to be too large
because of its neighbours.
"""

from __future__ import annotations

import gc
import os
import socket
import sys
from dataclasses import dataclass

import torch

from visiontune.errors import MachineFault, UnfitMachine, first_line
from visiontune.models.frozen_body import forget, kept_bytes

CONTEXT_BYTES = 512 << 20
"""Of a share, what is left to CUDA itself: context, kernels and libraries lie outside of torch's allocator, in each process anew. Not
measured here; NVIDIA's tools show 250 to 500 MiB for torch's processes."""
WORKSPACE_BYTES = 128 << 20
"""What may stay after a trial: cuBLAS keeps its workspaces (8 MiB, 32 on Hopper, for each handle and stream) in torch's allocator."""

_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "_STATUS_ALLOC_FAILED")
# torch.AcceleratorError is what c10/cuda raises; libraries' errors are plain RuntimeErrors, known by their words alone.
_GPU_ERRORS = ("CUDA error", "CUDA driver error", "CUDNN_STATUS_", "CUBLAS_STATUS_", "Triton Error", "NCCL error", "HIP error")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory was asked for that there was not, on a GPU or a CPU; the process is sound all the same."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(words in str(error) for words in _OUT_OF_MEMORY)


def is_gpu_error(error: BaseException) -> bool:
    """Whether CUDA or a library of it failed otherwise: most such errors stay with the process, whatever it does next."""
    is_known = isinstance(error, torch.AcceleratorError) or any(words in str(error) for words in _GPU_ERRORS)
    return is_known and not is_out_of_memory(error)


def machine_fault(said: str, *, is_begun: bool = True) -> MachineFault:
    """The fault of this node; `is_begun`: a trial was at work."""
    return (MachineFault if is_begun else UnfitMachine)(f"{socket.gethostname()}: {said}")


def release_all() -> None:
    """Give back all memory, also what is kept between trials; on a GPU to whoever shares it."""
    forget()
    _forget_graphs()
    gc.collect()
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.empty_cache()


@dataclass(frozen=True)
class GpuShare:
    """This process's part of its GPU; `begun_bytes` were allocated before its first trial."""

    limit_bytes: int
    begun_bytes: int

    @staticmethod
    def take(num_gpus: float) -> GpuShare:
        """A trial's `gpus_per_trial` as the process's own limit. Raises UnfitMachine where torch sees no GPU, or it does not answer."""
        if not torch.cuda.is_available():
            raise machine_fault(f"a GPU was asked for, but torch sees none ({_why_none()})", is_begun=False)
        try:
            _, total_bytes = torch.cuda.mem_get_info()
            limit_bytes = limit_of(int(min(num_gpus, 1.0) * total_bytes))
            if num_gpus < 1:
                torch.cuda.set_per_process_memory_fraction(limit_bytes / total_bytes)
            _try_out()
        except RuntimeError as error:
            raise machine_fault(f"its GPU does not answer: {first_line(error)}", is_begun=False) from error
        return GpuShare(limit_bytes, torch.cuda.memory_allocated())

    def give_back(self) -> None:
        """Between trials: all but what is kept on purpose. Raises UnfitMachine where more stays, or the GPU does not answer any more."""
        try:
            _forget_graphs()
            if self._left_bytes() > WORKSPACE_BYTES:
                gc.collect()  # networks with hooks are circles; not each time, as it takes half a second in a worker
            torch.cuda.empty_cache()
            _try_out()
        except RuntimeError as error:
            raise machine_fault(f"its GPU does not answer any more: {first_line(error)}", is_begun=False) from error
        if (left_bytes := self._left_bytes()) > WORKSPACE_BYTES:
            raise machine_fault(f"a worker still held {left_bytes >> 20} MiB of its GPU after a trial", is_begun=False)

    def _left_bytes(self) -> int:
        return torch.cuda.memory_allocated() - self.begun_bytes - kept_bytes("cuda")

    def was_whole(self) -> bool:
        """Whether the process could have had all of its share, now that it has run out of memory: no other process was in it."""
        free_bytes, _ = torch.cuda.mem_get_info()
        return free_bytes + CONTEXT_BYTES >= self.limit_bytes - torch.cuda.memory_reserved()


def limit_of(share_bytes: int) -> int:
    """What torch may have of a process's share of a GPU, beside what CUDA itself takes."""
    return max(share_bytes // 2, share_bytes - CONTEXT_BYTES)


def _forget_graphs() -> None:
    """CUDA graphs that torch's compiler keeps have memory of their own, which empty_cache leaves, until it is told to begin anew."""
    if "torch._inductor.cudagraph_trees" in sys.modules:  # which the first replay imports
        torch._dynamo.reset()


def _try_out() -> None:
    """The smallest sum: what is broken says so."""
    torch.ones(1, device="cuda").sum().item()


def _why_none() -> str:
    if torch.version.cuda is None and torch.version.hip is None:
        return f"torch {torch.__version__} is built for CPUs"
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return f"CUDA_VISIBLE_DEVICES={visible!r}" if visible is not None else f"CUDA {torch.version.cuda} of torch finds no driver or device"
