"""A trained network as a file for others: `export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from visiontune.api.inputs import Folder, OutFile, refuse_misspelt
from visiontune.api.studies import load_study
from visiontune.filesystem.given_paths import given_path, path_from
from visiontune.filesystem.study_folder import StudiesFolder

if TYPE_CHECKING:
    from visiontune.exports.write_export import Export


def export(
    model: Path | str,
    to: str = "onnx",
    *,
    out: OutFile = None,
    precision: str = "fp32",
    calibrated: bool = False,
    studies_dir: Folder = None,
    storage: str = "journal",
) -> Export:
    """Write a study's winner, or the network of a file of weights, in a form that needs no visiontune, and a model card beside it.

    `model` is a study by its name or folder, or WEIGHTS.safetensors. `to` is onnx or torch (.pt2): graphs that take uint8 pictures of any
    number and size and give logits; safetensors: weights, by the names of torchvision or timm where the network is theirs; or timm, which
    is refused where it is not. `out` is by default the name with the form's suffix, here. `precision` is fp32, or for ONNX fp16 or int8:
    what that costs in accuracy is measured on the validation pictures. `calibrated` divides the graph's logits by a temperature fitted
    to them. `storage` is the URL of a study with `storage.url`. Raises UserError.
    """
    from visiontune.exports.write_export import refuse_wrong
    from visiontune.results.use.export_winner import export_weights

    file = given_path(out, "out")
    refuse_wrong(to, file, precision, is_calibrated=calibrated)
    refuse_misspelt(path := path_from(model, "a model, or its study,"), (".safetensors",), studies_dir)
    if path.suffix == ".safetensors":
        cache = StudiesFolder.of(studies_dir).data_cache
        return export_weights(path, cache, to, file, precision, is_calibrated=calibrated)
    study = load_study(model, studies_dir=studies_dir, storage=storage)
    return study.export(to, out=file, precision=precision, calibrated=calibrated)
