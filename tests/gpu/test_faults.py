"""A real GPU's faults: a share that is kept, memory beside a neighbour, memory given back, a context that breaks. 2 s to 10 s each."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
import torch
from cuda_programs import neighbour, run
from tiny import make_recipe, make_store, model_section
from torch import Tensor

from visiontune.filesystem.study_folder import StudyFolder
from visiontune.training.gpu import WORKSPACE_BYTES
from visiontune.training.step import Stepper
from visiontune.tuning.legs.run_leg import Worker
from visiontune.tuning.records.leg import Leg


def test_a_process_keeps_to_its_share_and_is_told_that_it_is_too_large() -> None:
    ended = run("""
        share = gpu.GpuShare.take(0.25)
        held = take(0.1 * total)
        error = fails(0.2 * total)
        assert isinstance(error, torch.OutOfMemoryError) and gpu.is_out_of_memory(error) and not gpu.is_gpu_error(error), error
        assert share.was_whole()
    """)
    assert ended.returncode == 0, ended.stderr


def test_out_of_memory_beside_a_neighbour_is_not_the_trials_fault() -> None:
    """The neighbour has 70 % of the GPU, so half of it is not to be had."""
    with neighbour("share = take(0.7 * total)"):
        ended = run("""
            share = gpu.GpuShare.take(0.5)
            error = fails(0.45 * total)
            assert gpu.is_out_of_memory(error), error
            assert not share.was_whole()
        """)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("device", [pytest.param("cpu", marks=pytest.mark.heavy), "cuda"])
def test_a_broken_context_ends_its_process_and_no_other(device: str, tmp_path: Path) -> None:
    """By an index beyond the end, which CUDA notices in a kernel; a CPU's process is told CUDA's words."""
    broken = 'torch.zeros(2, device="cuda")[torch.full((1,), 5, device="cuda")]; torch.cuda.synchronize()'
    told = 'raise torch.AcceleratorError("CUDA error: device-side assert triggered")'
    ended = run(f"""
        from pathlib import Path
        from tiny import make_recipe, make_store
        from visiontune.errors import MachineFault
        from visiontune.filesystem.study_folder import StudyFolder
        from visiontune.tuning.legs import run_leg
        from visiontune.tuning.records.leg import Leg
        def reports(*_):
            {broken if device == "cuda" else told}
            yield
        run_leg.train_leg, run_leg.LINGER_S = reports, 0.1
        worker = run_leg.Worker(make_store(), StudyFolder(Path({str(tmp_path)!r})), {1.0 if device == "cuda" else 0.0})
        try:
            next(worker.run(Leg("00000", 0, make_recipe(), 0)))
        except MachineFault as error:
            print(error, flush=True)
        time.sleep(60)
    """)
    assert ended.returncode == 1, ended.stderr
    assert ": CUDA error: " in ended.stdout, ended.stderr
    if device == "cuda":
        assert run("gpu.GpuShare.take(1.0).give_back()").returncode == 0


def test_memory_is_given_back_between_trials(tmp_path: Path) -> None:
    worker = Worker(make_store(), StudyFolder(tmp_path), num_gpus=1.0)
    for number, model in enumerate(("lenet5", "resnet18", "lenet5")):
        recipe = make_recipe(model_section(model), num_epochs=1)
        reports = list(worker.run(Leg(f"{number:05d}", number, recipe, 0)))
        assert [report.failure for report in reports] == [""]
    gc.collect()
    assert torch.cuda.memory_allocated() < WORKSPACE_BYTES


def test_out_of_memory_on_the_gpu_halves_the_micro_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Stepper.step

    def step(self: Stepper, x_NCHW: Tensor, y_N: Tensor, lr: float, number: int, num_pictures: int = 0) -> Tensor:
        if (self._micro_batch or len(y_N)) > 9:
            torch.empty(1 << 50, dtype=torch.uint8, device="cuda")
        return original(self, x_NCHW, y_N, lr, number, num_pictures)

    monkeypatch.setattr(Stepper, "step", step)
    worker = Worker(make_store(), StudyFolder(tmp_path), num_gpus=0.5)
    reports = list(worker.run(Leg("00000", 0, make_recipe(num_epochs=2, batch_size=18), 0)))
    assert [(report.epoch, report.micro_batch, report.failure) for report in reports] == [(1, 9, ""), (2, 9, "")]
