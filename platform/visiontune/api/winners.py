"""A trained network in use: `predict`, `evaluate`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visiontune.api.inputs import Folder, folder_of, refuse_misspelt, words
from visiontune.errors import UserError
from visiontune.filesystem.path_kind import kind_of, with_home
from visiontune.filesystem.study_folder import StudiesFolder, StudyFolder

if TYPE_CHECKING:
    from visiontune.data.picture.depth import Depth
    from visiontune.results.use.evaluation import Evaluation
    from visiontune.results.use.predictions import Predictions

_SUFFIXES = (".safetensors", ".onnx")


def predict(
    model: Path | str,
    pictures: Any,
    *,
    classes: int | None = None,
    test_time: str = "none",
    calibrated: bool = False,
    device: str = "auto",
    depth: Depth | None = None,
    studies_dir: Folder = None,
) -> Predictions:
    """What a study's winner, or the network of a file, says of pictures; made while the result is iterated over.

    `model` is a study by its name or folder, WEIGHTS.safetensors, or an ONNX file of `export`. `pictures` is one or any iterable of:
    paths of files, folders (all below them), patterns such as "new/**/*.jpg", URIs; bytes of a file; uint8 arrays of shape (H, W),
    (H, W, 1), (H, W, 3) or (H, W, 4); Pillow's images. They are decoded as in training; one that can't be used has a `problem`.
    `test_time` is none, flip or ten_crops: the mean over such views. `calibrated` divides the logits by a temperature that is fitted to
    the validation pictures first. `device` is auto, cpu or cuda. `depth` is (low, high): which values of files with more than 8 bits
    become 0 and 255, by default as in training. `classes` is how many are given, by default one, and all of a network for several.
    What training never met among the first 64 pictures is said in `notes`: bits, colours, sizes. Raises
    UserError, also for paths in a list that lead nowhere (an iterator's have a problem) and for values in a range that training never had.
    """
    chosen = _model_of(model, studies_dir)  # before torch is imported
    from visiontune.results.use.use_classifier import predict as predict_by

    how: dict[str, Any] = {"classes": classes, "test_time": test_time, "is_calibrated": calibrated, "device": device, "depth": depth}
    return predict_by(chosen, StudiesFolder.of(studies_dir), pictures, **how)


def evaluate(
    model: Path | str,
    data: Path | str | Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
    *,
    skip_unknown: bool = False,
    test_time: str = "none",
    calibrated: bool = False,
    device: str = "auto",
    depth: Depth | None = None,
    studies_dir: Folder = None,
    **more: Any,
) -> Evaluation:
    """How well a study's winner, or the network of a file, does on labelled pictures; by default its validation pictures.

    `data` and overrides are those of `ingest`; of a set with parts the test is taken, else val, else train. Classes are matched by name:
    one that the network does not know is refused, or left out with
    `skip_unknown`: its pictures, or that one of several labels. The others are as in `predict`.
    How labels are read (`labels`, a folder's `label_from`) is as of the training pictures where nothing else is said.
    The search's own test split is met only where it is named as data, which its study then counts as a meeting. Raises UserError.
    """
    chosen = _model_of(model, studies_dir)
    from visiontune.results.use.use_classifier import evaluate as evaluate_by

    how: dict[str, Any] = {
        "is_skipping": skip_unknown,
        "test_time": test_time,
        "is_calibrated": calibrated,
        "device": device,
        "depth": depth,
    }
    return evaluate_by(chosen, StudiesFolder.of(studies_dir), data, words(overrides, more), **how)


def _model_of(model: Any, studies_dir: Folder) -> StudyFolder | Path:
    if not isinstance(model, str | os.PathLike):
        near = "; nearest is its method of the same name" if hasattr(model, "folder") else ""
        raise UserError(f"a model is a study's name or folder, or a file of weights, but got {type(model).__name__}{near}")
    path = with_home(model)
    refuse_misspelt(path, _SUFFIXES, studies_dir)
    return path if path.suffix in _SUFFIXES or kind_of(path) == "file" else folder_of(os.fspath(model), studies_dir)
