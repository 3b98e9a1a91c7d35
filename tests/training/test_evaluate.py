"""Loss and accuracy against scikit-learn's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from opened_splits import ON_CPU
from sklearn.metrics import accuracy_score, log_loss
from tiny import make_store, model_section

from visiontune.data.store.store import Store
from visiontune.models.build import build_model
from visiontune.training import evaluate as evaluating
from visiontune.training.evaluate import evaluate
from visiontune.training.input.fit_preprocessing import fit_preprocessing
from visiontune.training.input.preprocessing import Preprocessing


def standardized(store: Store) -> Preprocessing:
    return fit_preprocessing({"name": "standardize", "colour": "stored"}, store)


@pytest.mark.parametrize("split", ["val", "test"])
@pytest.mark.parametrize("batch_size", [4, 512])
def test_figures_are_scikit_learns(split: str, batch_size: int) -> None:
    store = make_store(channels=3)
    network = build_model(model_section("cnn", dropout=0.5, width=4), num_classes=3, in_channels=3, image_size=16, seed=0)
    figures = evaluate(
        network, store, split, preprocessing=standardized(store), arithmetic=ON_CPU, batch_size=batch_size, use_full_metrics=False
    )
    rows = {"val": store.val_idx, "test": store.test_idx}[split]
    x_NHWC = ((store.images_NHWC[rows] / 255 - store.mean_C) / store.std_C).astype(np.float32)
    with torch.no_grad():
        chances_NK = network.eval()(torch.from_numpy(x_NHWC).permute(0, 3, 1, 2)).softmax(1).numpy()
    assert figures["loss"] == pytest.approx(log_loss(store.labels_N[rows], chances_NK), rel=1e-4)
    assert figures["top1"] == pytest.approx(accuracy_score(store.labels_N[rows], chances_NK.argmax(1)))


def test_running_statistics_stay_as_they_were() -> None:
    store = make_store()
    network = build_model(model_section("cnn", width=4), num_classes=3, in_channels=1, image_size=16, seed=0)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    evaluate(network, store, "val", preprocessing=standardized(store), arithmetic=ON_CPU, use_full_metrics=False)
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_thresholds_keep_all_their_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    """They lie between two probabilities of double precision; the nearest float32 to this one is 1, which no picture reaches."""
    at, seen = (0.5, 1 - 1e-9), dict[str, Any]()
    monkeypatch.setattr(evaluating, "measure", lambda *args, **given: seen.update(given) or {})
    store = make_store()
    evaluating.evaluate(torch.nn.Identity(), store, "val", preprocessing=standardized(store), arithmetic=ON_CPU, thresholds=at)
    assert tuple(seen["thresholds_K"].tolist()) == at
