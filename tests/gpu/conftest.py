"""Everything in this folder needs a GPU, and neither Ray, MLflow nor Optuna."""

from __future__ import annotations

import pytest
import torch


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marked `gpu`, and skipped where torch sees none."""
    skip = pytest.mark.skip(reason="torch sees no GPU here")
    for item in items:
        if "gpu" in item.path.parts:
            item.add_marker(pytest.mark.gpu)
            if not torch.cuda.is_available():
                item.add_marker(skip)
