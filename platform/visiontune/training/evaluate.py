"""Figures of a network over a split, as it is: no augmentation, no dropout, running statistics."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from visiontune.training.arithmetic import Arithmetic
from visiontune.training.input.batches import Pictures
from visiontune.training.input.epoch_order import batch_bounds
from visiontune.training.input.open_pictures import open_pictures
from visiontune.training.input.preprocessing import Preprocessing
from visiontune.training.label_figures import measure_many

if TYPE_CHECKING:
    from visiontune.data.store.store import Store

Model = Callable[[Tensor], Tensor]


def evaluate(
    model: Model,
    store: Store,
    split: str,
    *,
    preprocessing: Preprocessing,
    arithmetic: Arithmetic,
    batch_size: int = 512,
    use_full_metrics: bool = True,
    thresholds: tuple[float, ...] | None = None,
) -> dict[str, float]:
    """What `measure` gives, over split "val" or "test", as the recipe computes."""
    pictures = open_split(store, split, preprocessing, str(arithmetic.device))
    with arithmetic.evaluating():
        at_K = None if thresholds is None else torch.tensor(thresholds, dtype=torch.float64)
        return measure(model, pictures, batch_size, use_full_metrics=use_full_metrics, thresholds_K=at_K)


def open_split(store: Store, split: str, preprocessing: Preprocessing, device: str) -> Pictures:
    """The pictures of split "val" or "test", for a device by its name."""
    index_N = {"val": store.val_idx, "test": store.test_idx}[split]
    return open_pictures(store, index_N, torch.device(device), preprocessing=preprocessing)


def measure(
    model: Model,
    pictures: Pictures,
    batch_size: int = 512,
    *,
    use_full_metrics: bool = False,
    thresholds_K: Tensor | None = None,
) -> dict[str, float]:
    """{"loss": mean cross-entropy, "top1": share of pictures classified right}, and with `use_full_metrics` those of torch_metrics.py.

    Of pictures with several classes what label_figures.py gives, at `thresholds_K` or those that are best for them.
    Leaves a model that is a module in evaluation mode. Where the loss is not finite, the full metrics are NaN.
    """
    if isinstance(model, nn.Module):
        model.eval()
    if pictures.store.label_sets is not None:
        return measure_many(model, pictures, batch_size, use_full_metrics=use_full_metrics, thresholds_K=thresholds_K)
    full = None
    if use_full_metrics:
        from visiontune.training.torch_metrics import FullMetrics  # torchmetrics: 3.5 s, paid by who asks for it

        full = FullMetrics(len(pictures.store.class_names), pictures.device)
    loss = torch.zeros((), device=pictures.device)
    num_right = torch.zeros((), device=pictures.device, dtype=torch.int64)
    with torch.inference_mode():
        bounds = batch_bounds(len(pictures), batch_size)
        for (x_NCHW, own_N), num in zip(pictures.batches(np.arange(len(pictures)), bounds), np.diff(bounds).tolist(), strict=True):
            logits_NK, y_N = pictures.ranks.gathered(model(x_NCHW).float(), num), pictures.ranks.gathered(own_N, num)
            loss += F.cross_entropy(logits_NK, y_N, reduction="sum")
            num_right += (logits_NK.argmax(1) == y_N).sum()
            if full is not None:
                full.update(logits_NK, y_N)
    figures = {"loss": loss.item() / len(pictures), "top1": num_right.item() / len(pictures)}
    return figures if full is None else figures | full.compute(is_finite=math.isfinite(figures["loss"]))
