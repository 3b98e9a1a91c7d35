"""What an error of a GPU means, and a process's share of its memory: with errors of torch's own classes and words, and a made-up GPU."""

from __future__ import annotations

import socket

import pytest
import torch

from visiontune.errors import MachineFault, UnfitMachine
from visiontune.models import frozen_body
from visiontune.training.gpu import CONTEXT_BYTES, WORKSPACE_BYTES, GpuShare, is_gpu_error, is_out_of_memory

GIB = 1 << 30
ILLEGAL = "CUDA error: an illegal memory access was encountered\nSearch for `cudaErrorIllegalAddress' in the CUDA documentation"


@pytest.mark.parametrize(
    ("error", "is_memory", "is_gpu"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 23.64 GiB"), True, False),
        (torch.AcceleratorError("CUDA error: out of memory\nSearch for `cudaErrorMemoryAllocation'"), True, False),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True, False),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory"), True, False),
        (MemoryError(), True, False),
        (torch.AcceleratorError(ILLEGAL), False, True),
        (torch.AcceleratorError("CUDA error: device-side assert triggered"), False, True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), False, True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm( handle, opa, opb, m, n, k"), False, True),
        (RuntimeError("Triton Error [CUDA]: an illegal memory access was encountered"), False, True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied (4x3 and 2x2)"), False, False),
        (ValueError("Expected more than 1 value per channel when training"), False, False),
    ],
)
def test_what_an_error_means(error: Exception, is_memory: bool, is_gpu: bool) -> None:
    assert (is_out_of_memory(error), is_gpu_error(error)) == (is_memory, is_gpu)


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what happens without a GPU")
def test_no_gpu_where_one_was_asked_for_names_the_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(UnfitMachine, match=rf"^{socket.gethostname()}: a GPU was asked for, but torch sees none \(.+\)$"):
        GpuShare.take(1.0)


class Gpu:
    """Of 16 GiB: `others_bytes` are in other processes, context included; the process's own context takes 400 MiB."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.others_bytes, self.allocated_bytes, self.broken = 0, 0, ""
        self.fractions: list[float] = []
        fakes = {
            "is_available": lambda: True,
            "mem_get_info": lambda: (16 * GIB - self.others_bytes - self.allocated_bytes - (400 << 20), 16 * GIB),
            "memory_allocated": lambda: self.allocated_bytes,
            "memory_reserved": lambda: self.allocated_bytes,
            "set_per_process_memory_fraction": self.fractions.append,
        }
        for name, fake in fakes.items():
            monkeypatch.setattr(torch.cuda, name, fake)
        monkeypatch.setattr("visiontune.training.gpu._try_out", self.answer)

    def answer(self) -> None:
        if self.broken:
            raise torch.AcceleratorError(self.broken)


def test_shares_and_what_cuda_takes_beside_them_fit_on_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = Gpu(monkeypatch)
    for share in (0.5, 0.25, 0.1):
        GpuShare.take(share)
        assert 0 < gpu.fractions[-1] * 16 * GIB + CONTEXT_BYTES <= share * 16 * GIB + 1
    GpuShare.take(1.0)
    GpuShare.take(2.0)
    assert len(gpu.fractions) == 3  # who has a whole one needs no limit


def test_who_took_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A trial that has filled its share is too large; one that could not fill it had neighbours in it."""
    gpu = Gpu(monkeypatch)
    quarter, whole = GpuShare.take(0.25), GpuShare.take(1.0)
    gpu.allocated_bytes, gpu.others_bytes = 3 * GIB, 12 * GIB
    assert quarter.was_whole()
    gpu.allocated_bytes, gpu.others_bytes = 1 * GIB, 14 * GIB
    assert not quarter.was_whole()
    gpu.allocated_bytes, gpu.others_bytes = 15 * GIB, 0
    assert whole.was_whole()
    gpu.allocated_bytes, gpu.others_bytes = 10 * GIB, 4 * GIB
    assert not whole.was_whole()


def test_a_worker_that_holds_on_to_memory_or_lost_its_gpu_takes_no_more_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = Gpu(monkeypatch)
    share = GpuShare.take(0.5)
    gpu.allocated_bytes = WORKSPACE_BYTES
    share.give_back()
    gpu.allocated_bytes = WORKSPACE_BYTES + GIB
    with pytest.raises(UnfitMachine, match="still held 1152 MiB of its GPU after a trial"):
        share.give_back()
    monkeypatch.setattr("visiontune.training.gpu.kept_bytes", lambda device: GIB)  # frozen features are meant to stay
    share.give_back()
    gpu.broken = ILLEGAL
    with pytest.raises(UnfitMachine, match=r"its GPU does not answer any more: CUDA error: an illegal memory access was encountered$"):
        share.give_back()
    assert issubclass(UnfitMachine, MachineFault)


def test_frozen_features_are_counted_and_let_go() -> None:
    frozen_body.forget()
    frozen_body.cached("a", lambda: (torch.zeros(1000), torch.zeros(8, dtype=torch.int64)))
    assert (frozen_body.kept_bytes("cpu"), frozen_body.kept_bytes("cuda")) == (4064, 0)
    frozen_body.forget()
    assert frozen_body.kept_bytes("cpu") == 0
