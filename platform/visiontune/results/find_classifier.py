"""The trained network that a user names: a study's winner, or a file of weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from visiontune.data.prepare import prepare
from visiontune.data.store.store import Store
from visiontune.errors import UserError
from visiontune.filesystem.path_kind import kind_of
from visiontune.filesystem.study_folder import StudiesFolder, StudyFolder
from visiontune.inference.classifier import Classifier, load_weights_file
from visiontune.inference.predict import with_views
from visiontune.inference.split_logits import temperature_of
from visiontune.results.ingest_progress import IngestScreen
from visiontune.results.trained_network import winner_classifier
from visiontune.spec.plugins import uses_plugins
from visiontune.spec.trial_recipe import TrialRecipe
from visiontune.training.train_recipe import find_device

WEIGHTS = ".safetensors"


@dataclass(frozen=True)
class Trained:
    """A network, and where the stores of its pictures lie. `folder` is the study's whose winner it is, None for a file of weights."""

    classifier: Classifier
    cache: Path
    folder: StudyFolder | None = None

    def store(self) -> Store:
        """The pictures that it was trained with, made again where the store is gone. Raises UserError, also where its source has moved."""
        with IngestScreen.of(True) as screen:
            return Store.open(_prepared(self.classifier.recipe, self.cache, screen))

    def temperature(self) -> float:
        """Fitted to its validation pictures. Raises UserError."""
        return temperature_of(self.classifier, self.store())


def find_classifier(model: StudyFolder | Path, studies: StudiesFolder, *, device: str, tta: str = "none") -> Trained:
    """The network on a device, asked over the views of `tta`. Raises UserError.

    A path that does not end in .safetensors is refused.
    """
    name = find_device(device)
    if isinstance(model, StudyFolder):
        cache = StudiesFolder(model.path.parent).data_cache
        classifier, folder = winner_classifier(model, cache), model
    else:
        cache, folder = studies.data_cache, None
        classifier = load_weights_file(_weights(model), model.name)
    return Trained(with_views(classifier, tta).to(name), cache, folder)


def _weights(path: Path) -> Path:
    if kind_of(path) != "file":
        raise UserError(f"the model must be a study or a file of weights ({WEIGHTS}), but there is no file {path}")
    return path


@uses_plugins
def _prepared(recipe: TrialRecipe, cache: Path, screen: IngestScreen) -> Path:
    return prepare(recipe.data, cache, tell=screen.tell)
