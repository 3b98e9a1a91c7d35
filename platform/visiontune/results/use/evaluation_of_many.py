"""How well a network does on labelled pictures of several classes: average precision, and F1 at the thresholds that it has."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional as F

from visiontune.data.label_sets import members_SK
from visiontune.results.use.evaluation import Evaluation, Labelled
from visiontune.training.label_figures import average_precision, f1_figures, label_table


def evaluation_of_many(class_names: tuple[str, ...], found: Labelled, thresholds: Sequence[float]) -> Evaluation:
    """All figures of what was found."""
    assert found.sets is not None
    is_NK = torch.from_numpy(members_SK(found.sets, len(class_names))[found.label_N])
    logits_NK, at_K = found.logits_NK.double(), torch.tensor(thresholds, dtype=torch.float64)
    p_NK, num = logits_NK.sigmoid(), len(found.label_N)
    loss = F.binary_cross_entropy_with_logits(logits_NK, is_NK.double(), reduction="sum").item() / num
    metrics = {"map": average_precision(p_NK, is_NK).nanmean().item(), **f1_figures(p_NK, is_NK, at_K), "loss": loss}
    return Evaluation(found.what, num, metrics, None, label_table(p_NK, is_NK, at_K, class_names), (), {}, notes=found.notes)
