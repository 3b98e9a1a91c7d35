"""The winner's model in MLflow: its graph (torch.export, .pt2) and the file that runs it; it loads without this package and without pickle.

Input: bytes of pictures' files in the column `picture`, any number and size. Output: class, probability, all probabilities.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visiontune.data.picture.stored_form import Form
from visiontune.spec.declarations.image_size import sides
from visiontune.spec.parse import load_recipe
from visiontune.spec.plugins import KEPT, loaded
from visiontune.tracking.delivery import is_transient
from visiontune.training.weights_metadata import WeightsMetadata, read_metadata

if TYPE_CHECKING:
    from visiontune.inference.classifier import Classifier

log = logging.getLogger("visiontune.tracking")

MODEL_NAME = "winner"
_WEIGHTS_TAG = "visiontune.weights_sha256"
_PROGRAM = Path(__file__).with_name("served_winner.py")


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
        return _log(run_id, logged.model_id, winner_of_files(recipe, weights, event["data"]), event["data"].get("examples", ()))
    except Exception as error:
        if is_transient(error):
            raise
        log.warning("the winner's model is kept as recipe and weights only: %s", error)
        client.finalize_logged_model(logged.model_id, "FAILED")
        return f"recipe and weights only: {error}"


def log_artifact(client: Any, folder: Path, run_id: str, event: Mapping[str, Any]) -> None:
    """Log the file at `path` in `artifact_folder` of the run, in place of an earlier one. Raises FileNotFoundError when it is gone."""
    client.log_artifact(run_id, str(_at(folder, event["path"])), event.get("artifact_folder", MODEL_NAME))


def _at(folder: Path, path: str) -> Path:
    """The file as the event names it, or in the folder of the outbox when the study has moved: beside it, or one of its front."""
    named = Path(path)
    moved = folder / named.name, folder / named.parent.name / named.name
    return next((one for one in (named, *moved) if one.exists()), moved[0])


def winner_of_files(recipe: Path, weights: Path, data: Mapping[str, Any]) -> Classifier:
    """The network of the weights, by what they say of themselves, else by the recipe and what the event says of the pictures."""
    import torch  # not before there is a winner: with what needs it 1.5 s and 470 MB, in the writer of every search under way

    from visiontune.inference.classifier import load_weights_file

    torch.set_num_threads(1)
    size, channels = sides(data["image_size"]), data["channels"]
    form = Form("raw", size, size, channels, is_resized=True)
    known = read_metadata(weights) or WeightsMetadata(load_recipe(recipe), tuple(data["class_names"]), form)
    return load_weights_file(weights, "the winner", known)


def _log(run_id: str, model_id: str, classifier: Classifier, examples: Sequence[str]) -> str:
    import mlflow
    import numpy
    import pandas
    import PIL
    import torch
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import Array

    from visiontune.exports.graph_files import pt2_bytes
    from visiontune.exports.model_card import input_of

    has_one = classifier.metadata.thresholds is None
    one = [ColSpec(DataType.double, "probability")] if has_one else []  # of several classes there is none
    outputs = [ColSpec(DataType.string, "class"), *one, ColSpec(Array(DataType.double), "probabilities")]
    needed = {"torch": torch, "pillow": PIL, "numpy": numpy, "pandas": pandas}  # else mlflow loads the model again to guess them
    versions = [f"{name}=={one.__version__.partition('+')[0]}" for name, one in needed.items()]
    with tempfile.TemporaryDirectory() as folder:
        graph = Path(folder) / f"{MODEL_NAME}.pt2"
        graph.write_bytes(pt2_bytes(classifier))
        info = Model.log(
            artifact_path=None,
            name=MODEL_NAME,
            flavor=mlflow.pyfunc,
            model_id=model_id,
            run_id=run_id,
            python_model=str(_PROGRAM),
            artifacts={"graph": str(graph)},
            signature=ModelSignature(Schema([ColSpec(DataType.binary, "picture")]), Schema(outputs)),
            input_example=pandas.DataFrame({"picture": [base64.b64decode(one) for one in examples]}) if examples else None,
            pip_requirements=versions,
            metadata={"class_names": list(classifier.class_names), "graph": f"artifacts/{graph.name}: {input_of(classifier)}"},
        )
    return str(info.model_uri)
