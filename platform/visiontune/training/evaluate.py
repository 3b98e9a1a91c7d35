"""Loss and accuracy of a network over a split, as it is: no augmentation, no dropout, running statistics."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from visiontune.training.pictures import Pictures, batch_bounds, open_pictures

if TYPE_CHECKING:
    from visiontune.data.store import Store


def evaluate(model: nn.Module, store: Store, split: str, *, device: str, batch_size: int = 512) -> dict[str, float]:
    """{"loss": mean cross-entropy, "top1": share of pictures classified right} over split "val" or "test"."""
    index_N = {"val": store.val_idx, "test": store.test_idx}[split]
    return measure(model, open_pictures(store, index_N, torch.device(device)), batch_size)


def measure(model: nn.Module, pictures: Pictures, batch_size: int = 512) -> dict[str, float]:
    """The same over pictures that are open already; leaves the model in evaluation mode."""
    model.eval()
    loss = torch.zeros((), device=pictures.device)
    num_right = torch.zeros((), device=pictures.device, dtype=torch.int64)
    with torch.inference_mode():
        for x_NCHW, y_N in pictures.batches(np.arange(len(pictures)), batch_bounds(len(pictures), batch_size)):
            logits_NK = model(x_NCHW)
            loss += F.cross_entropy(logits_NK, y_N, reduction="sum")
            num_right += (logits_NK.argmax(1) == y_N).sum()
    return {"loss": loss.item() / len(pictures), "top1": num_right.item() / len(pictures)}
