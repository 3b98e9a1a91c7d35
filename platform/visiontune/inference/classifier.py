"""A trained network with all that it takes to use it: preprocessing, classes, and how a picture's file becomes its input."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from visiontune.data.picture.bad_picture import Picture, Values
from visiontune.data.picture.decode import values_and_size
from visiontune.data.picture.shape import fit
from visiontune.data.picture.stored_form import Form
from visiontune.data.store.store import Store
from visiontune.errors import UserError, first_line, plural
from visiontune.filesystem.path_kind import kind_of
from visiontune.models.build import build_model
from visiontune.models.published_weights import weights_of
from visiontune.models.transfer import adapt
from visiontune.spec.declarations.image_size import ImageSize, image_size
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.spec.kept_files import load_files
from visiontune.spec.plugins import in_use
from visiontune.spec.stated_network import refuse_wrong_network
from visiontune.training.arithmetic import Arithmetic
from visiontune.training.checkpoint import load_newest
from visiontune.training.input.fit_preprocessing import fit_preprocessing
from visiontune.training.input.preprocessing import Preprocessing, coloured
from visiontune.training.weights_file import load_weights, read_tensors, split_weights
from visiontune.training.weights_metadata import WeightsMetadata, read_metadata

NUM_AT_ONCE = 256
_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Classifier:
    """In evaluation mode; `name` says whose network it is. Its classes are in the order of the network's outputs."""

    network: nn.Module
    preprocessing: Preprocessing
    metadata: WeightsMetadata
    name: str
    device: torch.device = _CPU

    @property
    def recipe(self) -> TrialRecipe:
        """What it was trained by."""
        return self.metadata.recipe

    @property
    def class_names(self) -> tuple[str, ...]:
        """By the number of a class."""
        return self.metadata.class_names

    @property
    def form(self) -> Form:
        """How its pictures were stored."""
        return self.metadata.form

    @property
    def image_size(self) -> ImageSize:
        """Of the pictures that it takes."""
        return image_size(self.form.image_size)

    @cached_property
    def arithmetic(self) -> Arithmetic:
        """As in its validation."""
        return Arithmetic.of(self.recipe.training, self.device)

    def to(self, device: str) -> Classifier:
        """The same on a device; its network is moved, not copied."""
        place = torch.device(device)
        return replace(self, network=self.network.to(place), preprocessing=self.preprocessing.to(place), device=place)

    def picture_of(self, encoded: bytes) -> Picture:
        """(height, width, channels) uint8 out of a file's bytes, by the steps that made its training pictures. Raises BadPicture.

        Of a shape that the data did not have it is framed as they would be; colour becomes grey where the network has seen grey only.
        """
        return self.fitted(*values_and_size(encoded, self.form.side))

    def fitted(self, values: Values, shape: tuple[int, int] | None = None) -> Picture:
        """The same out of decoded pixels, (H, W, 1) grey or (H, W, 3) RGB, of 8 bits or more; `shape` of one decoded smaller, as it was."""
        form, picture = self.form, self.metadata.mapped(values)
        return fit(form.seen(form.apply(in_colours(picture, form.channels), shape)), form.image_size, form.channels)

    def knowing(self, metadata: WeightsMetadata) -> Classifier:
        """The same network with other words on its pictures: how those are mapped that it is shown."""
        return replace(self, metadata=metadata)

    @torch.inference_mode()
    def logits(self, images_NHWC: NDArray[np.uint8]) -> Tensor:
        """(N, classes) float32 on the CPU, of uint8 pictures of any size that the network takes; computed as in its validation."""
        found = [torch.zeros(0, len(self.class_names))]
        with self.arithmetic.evaluating():
            for low in range(0, len(images_NHWC), NUM_AT_ONCE):
                x_NHWC = torch.from_numpy(np.ascontiguousarray(images_NHWC[low : low + NUM_AT_ONCE])).to(self.device)
                found.append(self.network(self.preprocessing(x_NHWC).permute(0, 3, 1, 2)).float().cpu())
        return torch.cat(found)

    def predict(self, images_NHWC: NDArray[np.uint8]) -> NDArray[np.int64]:
        """(N,) the predicted class of each picture."""
        predicted_N: NDArray[np.int64] = self.logits(images_NHWC).argmax(1).numpy()
        return predicted_N


def in_colours(picture: Picture, channels: int) -> Picture:
    """A colour picture as grey where the network has seen grey only; any other as it is."""
    if picture.shape[2] <= channels:
        return picture
    grey: Picture = coloured(torch.from_numpy(picture)[None], channels)[0].byte().numpy()
    return grey


def load_weights_file(path: Path, name: str, metadata: WeightsMetadata | None = None) -> Classifier:
    """The network of a file of weights, by what the file says of itself or by what is said of it here.

    Plugins and teachers that its recipe names lie beside it. Raises UserError for a file that can't be read, says nothing or is of another
    network.
    """
    if (tensors := read_tensors(path)) is None:
        what = "can't be read" if kind_of(path) == "file" else "are not there"
        raise UserError(f"the weights {path} {what}; the same search makes them again")
    if (known := metadata or read_metadata(path)) is None:
        raise UserError(f"the weights {path} don't say which network they are of: they are not visiontune's, or of a version before 0.2")
    try:
        with _files_of(known.recipe, path.parent):
            refuse_wrong_network(known.recipe, str(path))
            preprocessing = Preprocessing.of(split_weights(tensors)[1])
            network = _network(known, preprocessing)
            load_weights(network, path)
    except UserError:
        raise
    except Exception as error:  # builders of libraries may raise anything over what a file says
        what = f"{type(error).__name__}: {first_line(error)}"
        raise UserError(f"the weights {path} say that they are of a network that can't be built ({what})") from error
    return Classifier(network.eval(), preprocessing, known, name)


def load_checkpoint(recipe: TrialRecipe, checkpoints: Path, store: Store) -> Classifier | None:
    """A trial's network as its newest checkpoint has it; None where there is none. Its recipe's plugins are loaded already."""
    state: Mapping[str, Any] | None = load_newest(checkpoints)
    if state is None:
        return None
    classifier = untrained(recipe, store)
    classifier.network.load_state_dict(state["model"])
    return replace(classifier, name=f"trial {int(checkpoints.name)} after {plural(state['epoch'], 'epoch')}")


def untrained(recipe: TrialRecipe, store: Store) -> Classifier:
    """A recipe's network as it is used, before it is trained: its weights are 0. Raises what `fit_preprocessing` and `build_model` do."""
    metadata = WeightsMetadata.of(recipe, store)
    with in_use(recipe.plugins):
        preprocessing = fit_preprocessing(recipe.preprocessing, store, weights_of(recipe.transfer, recipe.model))
        network = _network(metadata, preprocessing)
    return Classifier(network.eval(), preprocessing, metadata, "an untrained network")


@contextmanager
def _files_of(recipe: TrialRecipe, folder: Path) -> Iterator[None]:
    load_files(recipe, folder)
    with in_use(recipe.plugins):
        yield


def _network(metadata: WeightsMetadata, preprocessing: Preprocessing) -> nn.Module:
    recipe, size = metadata.recipe, image_size(metadata.form.image_size)
    sizes: dict[str, Any] = {"num_classes": len(metadata.class_names), "in_channels": preprocessing.out_channels, "image_size": size}
    return adapt(build_model(recipe.model, **sizes), recipe.transfer, recipe.model["name"], **sizes, use_weights=False)
