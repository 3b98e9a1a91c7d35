"""The winner's model in MLflow: it loads without this package and without pickle, and says what the network says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up import T0, study, trial

DATA = {"num_classes": 3, "channels": 1, "image_size": 8, "class_names": ["a", "b", "c"], "mean": [0.3], "std": [0.2]}
RECIPE = """\
data: {source: digits}
model: {name: lenet5, activation: prelu, dropout: 0.5}
optimizer: {name: sgd, lr: 0.1}
training: {num_epochs: 1}
"""


def test_the_winners_model_loads_without_pickle_and_is_logged_once(
    client: Any, uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow
    import torch
    from safetensors.torch import save_file

    from visiontune.models.build import build_model
    from visiontune.spec.parse import load_recipe
    from visiontune.tracking.model import log_winner
    from visiontune.tracking.runs import Runs

    recipe, weights = tmp_path / "winner.yaml", tmp_path / "winner.safetensors"
    recipe.write_text(RECIPE)
    network = build_model(load_recipe(recipe).model, num_classes=3, in_channels=1, image_size=8, seed=0).eval()
    save_file(network.state_dict(), weights)
    event = {"event": "winner", "number": 0, "recipe": "/gone/winner.yaml", "weights": str(weights), "data": DATA}
    event |= {"metrics": {"test_top1_mean": 0.9}, "time_ms": T0 + 30_000}

    runs = Runs(client, tmp_path / "artifacts", lambda experiment, run, event: log_winner(client, uri, tmp_path, experiment, run, event))
    for events in ([study("winner")], [trial(0)], [event], [event]):
        runs.send(events)

    experiment = client.get_experiment_by_name("winner")
    (logged,) = client.search_logged_models([experiment.experiment_id])
    (parent,) = client.search_runs([experiment.experiment_id], "tags.`visiontune.kind` = 'study'")
    assert parent.data.tags["visiontune.winner_model"] == f"models:/{logged.model_id}"
    assert parent.data.metrics["test_top1_mean"] == 0.9
    assert {Path(one.path).name for one in client.list_artifacts(parent.info.run_id, "winner")} >= {"winner.yaml", "winner.safetensors"}

    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    model = mlflow.pyfunc.load_model(f"models:/{logged.model_id}")
    assert model.metadata.metadata["class_names"] == ["a", "b", "c"]
    assert model.metadata.signature.inputs.inputs[0].shape == (-1, 1, 8, 8)
    x_nchw = np.random.default_rng(0).random((5, 1, 8, 8), np.float32)
    with torch.no_grad():
        expected = network((torch.from_numpy(x_nchw) - 0.3) / 0.2).numpy()
    np.testing.assert_allclose(model.predict(x_nchw), expected, rtol=1e-5, atol=1e-6)


def test_what_cannot_be_exported_keeps_recipe_and_weights(client: Any, uri: str, tmp_path: Path) -> None:
    from visiontune.tracking.model import log_winner

    (tmp_path / "winner.yaml").write_text(RECIPE)
    (tmp_path / "winner.safetensors").write_bytes(b"not weights")
    experiment_id = client.create_experiment("broken winner", (tmp_path / "artifacts").as_uri())
    run_id = client.create_run(experiment_id).info.run_id
    event = {"number": 0, "recipe": str(tmp_path / "winner.yaml"), "weights": str(tmp_path / "winner.safetensors"), "data": DATA}
    assert log_winner(client, uri, tmp_path, experiment_id, run_id, event).startswith("recipe and weights only: ")
    assert len(client.list_artifacts(run_id, "winner")) == 2
    assert log_winner(client, uri, tmp_path, experiment_id, run_id, event | {"weights": ""}).startswith("recipe only: ")
