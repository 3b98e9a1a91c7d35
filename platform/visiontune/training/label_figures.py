"""Figures of pictures with several classes: average precision, F1, and the thresholds from which on a class is said to be there.

Letters: N pictures, K classes. Scores are probabilities, the sigmoid of logits; is_NK says which classes a picture has.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from visiontune.data.label_sets import members_SK
from visiontune.training.class_figures import ClassTable
from visiontune.training.input.epoch_order import batch_bounds

if TYPE_CHECKING:
    from visiontune.data.store.store import Store
    from visiontune.training.input.batches import Pictures

Model = Callable[[Tensor], Tensor]

FEWEST = 3
"""Pictures of a class without which a threshold of its own is chance (table in CONTRIBUTING.md)."""


def members_of(store: Store, device: torch.device | str = "cpu") -> Tensor:
    """(S, K) float32, which classes each of a store's label sets has."""
    assert store.label_sets is not None
    return torch.from_numpy(members_SK(store.label_sets, len(store.class_names))).float().to(device)


def measure_many(
    model: Model, pictures: Pictures, batch_size: int, *, use_full_metrics: bool, thresholds_K: Tensor | None = None
) -> dict[str, float]:
    """{"loss": binary cross-entropy, summed over classes, "map": mean over classes that occur of their average precision}.

    With `use_full_metrics` also macro_f1 and micro_f1, at these thresholds, or else at those that are best for the very pictures. Where the
    loss is not finite, all else is NaN.
    """
    logits_NK, is_NK = logits_and_members(model, pictures, batch_size)
    loss = F.binary_cross_entropy_with_logits(logits_NK, is_NK, reduction="sum").item() / len(pictures)
    names = ("map", *(("macro_f1", "micro_f1") if use_full_metrics else ()))
    if not math.isfinite(loss):
        return {"loss": loss, **dict.fromkeys(names, math.nan)}
    p_NK, is_there_NK = logits_NK.sigmoid(), is_NK > 0
    figures = {"loss": loss, "map": average_precision(p_NK, is_there_NK).nanmean().item()}
    if use_full_metrics:
        at_K = best_thresholds(p_NK, is_there_NK) if thresholds_K is None else thresholds_K.to(p_NK)
        figures |= f1_figures(p_NK, is_there_NK, at_K)
    return figures


def logits_and_members(model: Model, pictures: Pictures, batch_size: int) -> tuple[Tensor, Tensor]:
    """(N, K) logits and (N, K) 0 and 1, of float64, of these pictures; `model` must be in evaluation mode."""
    table_SK, bounds = members_of(pictures.store, pictures.device), batch_bounds(len(pictures), batch_size)
    logits, members = [], []
    with torch.inference_mode():
        for (x_NCHW, own_N), num in zip(pictures.batches(np.arange(len(pictures)), bounds), np.diff(bounds).tolist(), strict=True):
            logits.append(pictures.ranks.gathered(model(x_NCHW).float(), num))
            members.append(table_SK[pictures.ranks.gathered(own_N, num)])
    # In double precision: sigmoids of logits above 17 are all 1 without, and no threshold lies between two that are next to each other.
    return torch.cat(logits).double(), torch.cat(members).double()


def average_precision(p_NK: Tensor, is_NK: Tensor) -> Tensor:
    """(K,) the sum over thresholds of the gain in recall times the precision, without interpolation; NaN for a class without pictures."""
    right_NK, is_end_NK, _ = _ranked(p_NK, is_NK)
    rank_N1 = torch.arange(1, len(p_NK) + 1, device=p_NK.device, dtype=p_NK.dtype)[:, None]
    at_ends_NK = torch.where(is_end_NK, right_NK, torch.zeros_like(right_NK))
    before_NK = F.pad(at_ends_NK.cummax(0).values[:-1], (0, 0, 1, 0))
    gain_NK = torch.where(is_end_NK, right_NK - before_NK, torch.zeros_like(right_NK))
    return (gain_NK * right_NK / rank_N1).sum(0) / right_NK[-1]


def best_thresholds(p_NK: Tensor, is_NK: Tensor) -> Tensor:
    """(K,) from which probability on each class has its best F1; with fewer than 3 pictures, from which all classes together have theirs.

    A threshold lies in the middle between two probabilities.
    """
    together = _best(p_NK.reshape(-1, 1), is_NK.reshape(-1, 1))
    return torch.where(is_NK.sum(0) >= FEWEST, _best(p_NK, is_NK), together)


def _best(p_NK: Tensor, is_NK: Tensor) -> Tensor:
    right_NK, is_end_NK, sorted_NK = _ranked(p_NK, is_NK)
    rank_N1 = torch.arange(1, len(p_NK) + 1, device=p_NK.device, dtype=p_NK.dtype)[:, None]
    f1_NK = torch.where(is_end_NK, 2 * right_NK / (rank_N1 + right_NK[-1]), -torch.ones_like(right_NK))
    last_1K = f1_NK.argmax(0, keepdim=True)
    below_NK = F.pad(sorted_NK[1:], (0, 0, 0, 1))
    return ((sorted_NK.gather(0, last_1K) + below_NK.gather(0, last_1K)) / 2)[0]


def _ranked(p_NK: Tensor, is_NK: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """By falling probability, class by class: how many so far have it, where the last of equal probabilities stands, and these."""
    sorted_NK, order_NK = p_NK.sort(0, descending=True)
    right_NK = is_NK.to(p_NK.dtype).gather(0, order_NK).cumsum(0)
    is_end_NK = torch.ones_like(is_NK, dtype=torch.bool)
    is_end_NK[:-1] = sorted_NK[1:] != sorted_NK[:-1]
    return right_NK, is_end_NK, sorted_NK


def f1_figures(p_NK: Tensor, is_NK: Tensor, at_K: Tensor) -> dict[str, float]:
    """{"macro_f1": mean over the classes that occur, "micro_f1": of all pairs of a picture and a class together}."""
    both_K, said_K, there_K = _counted(p_NK, is_NK, at_K)
    f1_K = 2 * both_K / (said_K + there_K).clamp_min(1)
    micro = 2 * both_K.sum() / (said_K + there_K).sum().clamp_min(1)
    return {"macro_f1": f1_K[there_K > 0].mean().item(), "micro_f1": micro.item()}


def label_table(p_NK: Tensor, is_NK: Tensor, at_K: Tensor, class_names: Sequence[str]) -> ClassTable:
    """Precision, recall and F1 of each class at its threshold, and its average precision: None without a picture of it.

    Such a class is left out of map, as COCO does; scikit-learn warns and counts it as 0.
    """
    both_K, said_K, there_K = _counted(p_NK, is_NK, at_K)
    columns = (both_K / said_K.clamp_min(1), both_K / there_K.clamp_min(1), 2 * both_K / (said_K + there_K).clamp_min(1))
    precision, recall, f1 = (tuple(column.tolist()) for column in columns)
    support = tuple(int(num) for num in there_K.tolist())
    ap = tuple(None if math.isnan(one) else one for one in average_precision(p_NK, is_NK).tolist())
    return ClassTable(tuple(class_names), precision, recall, f1, support, (), average_precision=ap, threshold=tuple(at_K.tolist()))


def _counted(p_NK: Tensor, is_NK: Tensor, at_K: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(K,) pictures of which a class is said rightly, is said, and is true."""
    is_said_NK = p_NK >= at_K
    return tuple(found_NK.sum(0).to(p_NK.dtype) for found_NK in (is_said_NK & is_NK, is_said_NK, is_NK))  # type: ignore[return-value]
