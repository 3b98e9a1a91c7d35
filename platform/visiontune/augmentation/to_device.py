"""Arrays on their way to a device, without a wait for what it still computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def to_device(values: NDArray[Any] | Tensor, device: torch.device) -> Tensor:
    """The values there; on a CPU they may share memory with what was given.

    A GPU takes them from pinned memory, in turn with its other work: from pageable memory a copy waits until that is done. torch's
    allocator of pinned memory gives a block out again only after its copies (torch's notes on CUDA, "Use pinned memory buffers").
    """
    tensor = values if isinstance(values, Tensor) else torch.from_numpy(np.ascontiguousarray(values))
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
