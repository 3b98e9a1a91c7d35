"""The trained network that a user names: a study's winner, a file of weights, or a model that was exported as ONNX."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from visiontune.data.picture.depth import Depth
from visiontune.data.prepare import prepare
from visiontune.data.store.store import Store
from visiontune.errors import UserError
from visiontune.filesystem.path_kind import kind_of
from visiontune.filesystem.study_folder import StudiesFolder, StudyFolder
from visiontune.inference.classifier import Classifier, load_weights_file
from visiontune.inference.onnx_classifier import OnnxClassifier, load_onnx
from visiontune.inference.predict import with_depth, with_views
from visiontune.inference.split_logits import refuse_trained_on, temperature_of
from visiontune.results.screens.ingest_progress import IngestScreen
from visiontune.results.use.trained_network import winner_classifier
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.spec.plugins import uses_plugins
from visiontune.training.train_recipe import find_device

WEIGHTS, ONNX = ".safetensors", ".onnx"


@dataclass(frozen=True)
class Trained:
    """A network, and where the stores of its pictures lie."""

    classifier: Classifier | OnnxClassifier
    cache: Path

    def store(self) -> Store:
        """The pictures that it was trained with, made again where the store is gone. Raises UserError, also where its source has moved."""
        try:
            with IngestScreen.of(True) as screen:
                return Store.open(_prepared(self.classifier.metadata.recipe, self.cache, screen))
        except UserError as error:
            raise UserError(f"the pictures that the network was trained with can't be had: {error}") from error

    def temperature(self) -> float:
        """Fitted to its validation pictures. Raises UserError."""
        refuse_trained_on(self.classifier)  # before the pictures are read
        return temperature_of(self.classifier, self.store())


def find_classifier(
    model: StudyFolder | Path, studies: StudiesFolder, *, device: str, test_time: str = "none", depth: Depth | None = None
) -> Trained:
    """The network on a device, asked over the views of `test_time`, its files mapped from `depth`. Raises UserError."""
    name = find_device(device)
    if isinstance(model, StudyFolder):
        _refuse_missing(model.path, "folder")
        cache = StudiesFolder(model.path.parent).data_cache
        return Trained(with_depth(with_views(winner_classifier(model, cache).to(name), test_time), depth), cache)
    _refuse_missing(model, "file")
    if model.suffix not in (WEIGHTS, ONNX):
        near = [f"; nearest is {str(one)!r}" for one in (model.with_suffix(WEIGHTS), model.with_suffix(ONNX)) if one.is_file()]
        raise UserError(f"a model is a study, weights ({WEIGHTS}) or {ONNX}, but got {str(model)!r}{''.join(near[:1])}")
    found = load_onnx(model, device) if model.suffix == ONNX else load_weights_file(model, model.name).to(name)
    return Trained(with_depth(with_views(found, test_time), depth), studies.data_cache)


def _refuse_missing(path: Path, kind: str) -> None:
    if kind_of(path) != kind:
        raise UserError(f"the model must be a study or a file ({WEIGHTS}, {ONNX}), but there is no {kind} {path}")


@uses_plugins
def _prepared(recipe: TrialRecipe, cache: Path, screen: IngestScreen) -> Path:
    return prepare(recipe.data, cache, tell=screen.tell)
