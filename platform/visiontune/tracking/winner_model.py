"""The winner's model in MLflow: a traced graph (torch.export, .pt2) that loads without this package and without pickle.

Input: float32 x_NCHW in [0, 1], pictures of the study's size, as many channels as stored; the recipe's preprocessing is inside,
with what was fitted. Output: logits (N, classes).
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from visiontune.errors import first_line
from visiontune.spec.parse import load_recipe
from visiontune.spec.plugins import KEPT, in_use, loaded
from visiontune.tracking.delivery import is_transient

log = logging.getLogger("visiontune.tracking")

MODEL_NAME = "winner"
_WEIGHTS_TAG = "visiontune.weights_sha256"


def log_winner(client: Any, uri: str, folder: Path, experiment_id: str, run_id: str, event: Mapping[str, Any]) -> str:
    """Log recipe, weights and model on the run, the model once for each weights file; gives the model's URI.

    Without weights, or where torch cannot export the model, recipe and weights stay the way to rebuild it, and a sentence that says
    why is given in place of the URI. Raises FileNotFoundError when recipe or weights are gone, and what may be tried again later.
    """
    import mlflow

    mlflow.set_tracking_uri(uri)  # logged models go by the process's address, whatever the client's
    recipe = _at(folder, event["recipe"])
    client.log_artifact(run_id, str(recipe), MODEL_NAME)
    for key in load_recipe(recipe).plugins:
        if (kept := folder / KEPT / f"{loaded(key).digest}.py").exists():
            client.log_artifact(run_id, str(kept), f"{MODEL_NAME}/{KEPT}")
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
        refuse_fixed_batch(module, example)
        return _log(run_id, logged.model_id, module, example, event["data"])
    except Exception as error:
        if is_transient(error):
            raise
        log.warning("the winner's model is kept as recipe and weights only: %s", error)
        client.finalize_logged_model(logged.model_id, "FAILED")
        return f"recipe and weights only: {error}"


def log_sheet(client: Any, folder: Path, run_id: str, event: Mapping[str, Any]) -> None:
    """Log the sheet of the winner's augmentation beside its recipe, replacing an earlier one. Raises FileNotFoundError when it is gone."""
    client.log_artifact(run_id, str(_at(folder, event["path"])), MODEL_NAME)


def _at(folder: Path, path: str) -> Path:
    """The file as the event names it, or beside the outbox when the study has moved."""
    return Path(path) if Path(path).exists() else folder / Path(path).name


def _module(recipe: Path, weights: Path, data: Mapping[str, Any]) -> tuple[Any, Any]:
    """The model with its preprocessing in front, in eval mode, and two black pictures."""
    import torch
    from safetensors.torch import load_file

    from visiontune.models.build import build_model
    from visiontune.models.transfer import adapt
    from visiontune.training.input.preprocessing import Preprocessing
    from visiontune.training.weights_file import split_weights

    torch.set_num_threads(1)
    trained, before = split_weights(load_file(weights))
    preprocessing, made = Preprocessing.of(before), load_recipe(recipe)
    shape = {"num_classes": data["num_classes"], "in_channels": preprocessing.out_channels, "image_size": data["image_size"]}
    with in_use(made.plugins):
        model = adapt(build_model(made.model, **shape), made.transfer, made.model["name"], **shape, use_weights=False)
    model.load_state_dict(trained)
    example = torch.zeros(2, data["channels"], data["image_size"], data["image_size"])  # two: one would fix the batch's size
    return _whole(model, preprocessing).eval(), example


def refuse_fixed_batch(module: Any, example: Any) -> None:
    """Raise ValueError for a graph that takes batches of the example's size only: mlflow asks torch to decide, and says nothing."""
    import torch

    try:
        torch.export.export(module, (example,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    except Exception as error:  # torch has several, one of them for this
        raise ValueError(f"torch can't export a graph for batches of any size: {first_line(error)}") from error


def _whole(model: Any, preprocessing: Any) -> Any:
    import torch

    class Whole(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.preprocessing = preprocessing
            self.model = model

        def forward(self, x_nchw: torch.Tensor) -> torch.Tensor:
            x_nhwc = self.preprocessing(255 * x_nchw.permute(0, 2, 3, 1))
            logits: torch.Tensor = self.model(x_nhwc.permute(0, 3, 1, 2))
            return logits

    return Whole()


def _log(run_id: str, model_id: str, module: Any, example: Any, data: Mapping[str, Any]) -> str:
    import mlflow
    import mlflow.pytorch
    import torch

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
