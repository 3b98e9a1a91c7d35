"""A classifier as a file for others, with its model card beside it: what `visiontune export` does."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from visiontune.data.store.store import Store
from visiontune.errors import UserError, nearest
from visiontune.exports.graph_files import Precise, onnx_bytes, onnx_snippet, pt2_bytes, pt2_snippet
from visiontune.exports.library_weights import LIBRARIES, library_snippet, original_of, own_snippet
from visiontune.exports.model_card import Origin, Written, model_card
from visiontune.exports.onnx_file import run_onnx
from visiontune.filesystem.atomic_write import try_out, write_whole
from visiontune.inference.calibration import fit_temperature
from visiontune.inference.classifier import Classifier
from visiontune.inference.split_logits import refuse_trained_on, split_logits
from visiontune.spec.declarations.image_size import image_size
from visiontune.training.weights_file import save_tensors, save_weights

SUFFIXES = {"onnx": ".onnx", "torch": ".pt2", "safetensors": ".safetensors", "timm": ".timm.safetensors"}
PRECISIONS = ("fp32", "fp16", "int8")
_NUM_CALIBRATING = 512
_AT_ONCE = 256


@dataclass(frozen=True)
class Asked:
    """What is to be written, and where. `temperature` is fitted to validation pictures where `is_calibrated`."""

    form: str
    out: Path
    precision: str = "fp32"
    is_calibrated: bool = False

    @property
    def needs_store(self) -> bool:
        """Whether it takes pictures to write it."""
        return self.is_calibrated or self.precision != "fp32"

    @property
    def card(self) -> Path:
        """The model card's file: one for each export, since what loads them and what their figures are differ."""
        return self.out.with_name(f"{self.out.name}.md")


@dataclass(frozen=True)
class Export:
    """What was written: the file, its model card, and Python that loads it without visiontune; `val_top1` as trained and as exported."""

    path: Path
    card: Path
    snippet: str
    precision: str
    temperature: float
    val_top1: tuple[float, float] | None

    def __str__(self) -> str:
        lines = [f"written: {self.path}, model card: {self.card}"]
        if self.temperature != 1:
            lines.append(f"temperature: {self.temperature:.4g}, fitted to validation pictures")
        if self.val_top1 is not None:
            lines.append(f"val_top1: {self.val_top1[0]:.4f} as trained, {self.val_top1[1]:.4f} in {self.precision}")
        return "\n".join([*lines, "", self.snippet])


def refuse_wrong(form: str, out: Path | None, precision: str, *, is_calibrated: bool) -> None:
    """Raise UserError for what can't be asked, before anything is opened."""
    if form not in SUFFIXES:
        raise UserError(f"an export has one of these forms, but got {form!r}; {nearest(form, SUFFIXES)}")
    if precision not in PRECISIONS:
        raise UserError(f"a precision is one of these, but got {precision!r}; {nearest(precision, PRECISIONS)}")
    if precision != "fp32" and form != "onnx":
        raise UserError(f"precision {precision} is what onnxruntime computes, but an export to {form} has none; nearest is `to='onnx'`")
    if is_calibrated and form not in ("onnx", "torch"):
        raise UserError(f"a temperature divides logits in the graph, but an export to {form} has weights only; nearest is `to='torch'`")
    suffix = "." + SUFFIXES[form].rpartition(".")[2]
    if out is not None and out.suffix != suffix:
        raise UserError(f"the file of an export to {form} must end in {suffix}, but got {out}; nearest is {out.with_suffix(suffix)}")


def write_export(classifier: Classifier, asked: Asked, origin: Origin, store: Store | None = None) -> Export:
    """Write file and card, each whole or not at all; `store` is of the pictures that it was trained on. Raises UserError."""
    if asked.is_calibrated or asked.precision != "fp32":
        _refuse_many(classifier, asked)
    if asked.is_calibrated:
        refuse_trained_on(classifier)
    try:
        try_out(asked.out)
        made, temperature, val_top1 = _written(classifier, asked, store)
        beside = made.replace(repr(str(asked.out)), repr(asked.out.name))
        said = Written(asked.form, asked.out.name, asked.precision, temperature, val_top1, beside)
        write_whole(asked.card, model_card(classifier, origin, said))
    except OSError as error:
        raise UserError(f"{asked.out} can't be written ({error.strerror or error}); `out=FILE` names another place") from error
    return Export(asked.out, asked.card, made, asked.precision, temperature, val_top1)


def _refuse_many(classifier: Classifier, asked: Asked) -> None:
    """Raise UserError for what is judged by the one class of a picture, where the network knows several."""
    if classifier.metadata.thresholds is not None:
        what = f"precision {asked.precision}" if asked.precision != "fp32" else "a temperature"
        raise UserError(f"{what} is judged by the one class of a picture, but these have several; leave it out")


def _written(classifier: Classifier, asked: Asked, store: Store | None) -> tuple[str, float, tuple[float, float] | None]:
    """Gives the snippet, the temperature, and the accuracy before and after."""
    if asked.form in ("safetensors", "timm"):
        return _write_weights(classifier, asked), 1.0, None
    val = split_logits(classifier, store, store.val_idx) if store is not None and asked.needs_store else None
    temperature = fit_temperature(*val) if asked.is_calibrated and val is not None else 1.0
    if asked.form == "torch":
        write_whole(asked.out, pt2_bytes(classifier, temperature))
        return pt2_snippet(classifier, asked.out), temperature, None
    content = onnx_bytes(classifier, Precise(asked.precision, temperature, _train_pictures(classifier, asked, store)))
    val_top1 = None
    if asked.precision != "fp32" and store is not None and val is not None:
        before_N, labels_N = val[0].argmax(1).numpy(), val[1]
        after_N = _over_val(classifier, store, content).argmax(1)
        val_top1 = float((before_N == labels_N).mean()), float((after_N == labels_N).mean())
    write_whole(asked.out, content)
    return onnx_snippet(classifier, asked.out), temperature, val_top1


def _write_weights(classifier: Classifier, asked: Asked) -> str:
    metadata = classifier.metadata.to_strings()
    try:
        original = original_of(classifier, ("timm",) if asked.form == "timm" else LIBRARIES)
    except UserError:
        if asked.form == "timm":
            raise
        save_weights(classifier.network, asked.out, metadata, classifier.preprocessing)
        return own_snippet(asked.out)
    words = {"library": original.library, "architecture": original.name, "arguments": json.dumps(dict(original.kwargs))}
    save_tensors(classifier.network.state_dict(), asked.out, {**metadata, **words})
    return library_snippet(classifier, original, asked.out)


def _over_val(classifier: Classifier, store: Store, content: bytes) -> NDArray[np.float32]:
    """Of pictures as they are stored: what the graph makes of them is what the network sees in its validation."""
    size, index_N = image_size(classifier.form.stored_size), store.val_idx
    parts = [index_N[low : low + _AT_ONCE] for low in range(0, len(index_N), _AT_ONCE)]
    return np.concatenate([run_onnx(content, store.read(part, size)) for part in parts])


def _train_pictures(classifier: Classifier, asked: Asked, store: Store | None) -> NDArray[np.uint8] | None:
    if asked.precision != "int8" or store is None:
        return None
    step = max(1, len(store.train_idx) // _NUM_CALIBRATING)
    return store.read(store.train_idx[::step][:_NUM_CALIBRATING], image_size(classifier.form.stored_size))
