"""What a recipe takes of a device, by a few real steps: seconds of one and the most memory, before trials are told how many share a GPU."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from visiontune.data.store.store import Store
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.training.checks.training_steps import make_step
from visiontune.training.gpu import release_all
from visiontune.training.setup import set_up

NUM_STEPS = 3
"""After a first one, which pays for kernels and makes the optimizer's state."""


@dataclass(frozen=True)
class Probed:
    """`peak_bytes`: of torch's allocator, what it keeps for later included; CUDA's own context lies outside."""

    step_s: float
    peak_bytes: int


def cuda_peak() -> int:
    """The most that torch held of this process's GPU since `release_all` and a reset."""
    return torch.cuda.max_memory_reserved()


def probe(recipe: TrialRecipe, store: Store, device: torch.device, peak: Callable[[], int] = cuda_peak) -> Probed:
    """Steps at a rate of 0, not compiled, of pictures in full. Raises what `set_up` does, torch.OutOfMemoryError too."""
    release_all()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    setup = set_up(
        replace(recipe, training={**recipe.training, "use_compile": False, "compile_mode": "default", "resize": "none"}), store, device
    )
    step = make_step(setup, recipe.training["seed"])
    step(0.0)
    started = time.perf_counter()
    for _ in range(NUM_STEPS):
        step(0.0)
    return Probed((time.perf_counter() - started) / NUM_STEPS, peak())
