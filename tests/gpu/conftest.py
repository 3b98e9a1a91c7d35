"""What only a GPU shows, or shows too: neither Ray, MLflow nor Optuna is needed. `make gpu` runs what is marked `gpu`.

A test with an argument `device` runs on the CPU as well, in the ordinary suite, so that its lines are known to work.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import torch

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # as training/arithmetic.py: read at the process's first product
MUCH_BYTES = 256 << 20


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of this folder but a test's form for the CPU is marked `gpu`, and skipped where torch sees none."""
    skip = pytest.mark.skip(reason="torch sees no GPU here")
    for item in items:
        form = item.callspec.params.get("device") if isinstance(item, pytest.Function) and hasattr(item, "callspec") else None
        if "gpu" in item.path.parts and form != "cpu":
            item.add_marker(pytest.mark.gpu)
            if not torch.cuda.is_available():
                item.add_marker(skip)


@pytest.fixture(params=["cpu", "cuda"])
def device(request: pytest.FixtureRequest) -> str:
    """Each in turn."""
    return str(request.param)


@pytest.fixture(autouse=True)
def little_left() -> Iterator[None]:
    """Memory goes back after each test that held much, so that none runs out of it for another's sake."""
    yield
    if torch.cuda.is_available():
        from visiontune.training.gpu import release_all

        torch.cuda.set_sync_debug_mode("default")
        if torch.cuda.memory_reserved() > MUCH_BYTES:  # not each time: a tenth of a second
            release_all()
