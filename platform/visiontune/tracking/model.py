"""The winner's model in MLflow: a traced graph (torch.export, .pt2) that loads without this package and without pickle.

Input: float32 x_NCHW in [0, 1], pictures of the study's size; the normalisation is inside. Output: logits (N, classes).
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from visiontune.tracking.deliver import is_transient

log = logging.getLogger("visiontune.tracking")

MODEL_NAME = "winner"
_WEIGHTS_TAG = "visiontune.weights_sha256"


def log_winner(client: Any, uri: str, folder: Path, experiment_id: str, run_id: str, event: Mapping[str, Any]) -> str:
    """Log recipe, weights and model on the run, once for each weights file; gives the model's URI.

    Where torch cannot export the model, recipe and weights stay the way to rebuild it, and the word says why.
    FileNotFoundError when recipe or weights are gone.
    """
    recipe = _at(folder, event["recipe"])
    client.log_artifact(run_id, str(recipe), MODEL_NAME)
    if not event.get("weights"):
        return "recipe only: without confirm there are no final weights"
    weights = _at(folder, event["weights"])
    client.log_artifact(run_id, str(weights), MODEL_NAME)
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    found = client.search_logged_models([experiment_id], f"tags.`{_WEIGHTS_TAG}` = '{digest}'")
    ready = [model for model in found if model.status == "READY" and model.source_run_id == run_id]
    if ready:
        return f"models:/{ready[0].model_id}"
    pending = [model for model in found if model.status == "PENDING" and model.source_run_id == run_id]
    tags = {_WEIGHTS_TAG: digest, "visiontune.number": str(event["number"])}
    logged = pending[0] if pending else client.create_logged_model(experiment_id, MODEL_NAME, run_id, tags)
    try:
        module, example = _module(recipe, weights, event["data"])
        return _log(uri, run_id, logged.model_id, module, example, event["data"])
    except Exception as error:
        if is_transient(error):
            raise
        log.warning("the winner's model is kept as recipe and weights only: %s", error)
        client.finalize_logged_model(logged.model_id, "FAILED")
        return f"recipe and weights only: {error}"


def _at(folder: Path, path: str) -> Path:
    """The file as the event names it, or beside the outbox when the study has moved."""
    return Path(path) if Path(path).exists() else folder / Path(path).name


def _module(recipe: Path, weights: Path, data: Mapping[str, Any]) -> tuple[Any, Any]:
    """The model with its normalisation in front, in eval mode, and two black pictures."""
    import torch
    from safetensors.torch import load_file

    from visiontune.models.build import build_model
    from visiontune.spec.parse import load_recipe

    torch.set_num_threads(1)
    shape = {"num_classes": data["num_classes"], "in_channels": data["channels"], "image_size": data["image_size"]}
    model = build_model(load_recipe(recipe).model, **shape)
    model.load_state_dict(load_file(weights))
    mean, std = (torch.tensor(data[key], dtype=torch.float32).view(1, -1, 1, 1) for key in ("mean", "std"))
    example = torch.zeros(2, data["channels"], data["image_size"], data["image_size"])  # two: one would fix the batch's size
    return _normalised(model, mean, std).eval(), example


def _normalised(model: Any, mean: Any, std: Any) -> Any:
    import torch

    class Normalised(torch.nn.Module):
        mean: torch.Tensor
        std: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.model = model
            self.register_buffer("mean", mean)
            self.register_buffer("std", std)

        def forward(self, x_nchw: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.model((x_nchw - self.mean) / self.std)
            return logits

    return Normalised()


def _log(uri: str, run_id: str, model_id: str, module: Any, example: Any, data: Mapping[str, Any]) -> str:
    import mlflow
    import mlflow.pytorch
    import torch

    mlflow.set_tracking_uri(uri)
    with torch.no_grad():
        signature = mlflow.models.infer_signature(example.numpy(), module(example).numpy())
    info = mlflow.pytorch.log_model(
        module,
        name=MODEL_NAME,
        model_id=model_id,
        run_id=run_id,
        signature=signature,
        input_example=example.numpy(),
        serialization_format="pt2",
        pip_requirements=[f"torch=={torch.__version__.partition('+')[0]}"],  # else mlflow loads the model again to guess them
        metadata={"class_names": list(data["class_names"]), "input": "float32 NCHW in [0, 1]", "output": "logits"},
        validate_serving_input=False,
    )
    return str(info.model_uri)
