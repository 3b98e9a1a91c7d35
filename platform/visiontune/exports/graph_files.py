"""The graph as a file: ONNX, and torch.export's .pt2; with the lines of Python that classify a picture by it."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from visiontune.errors import UserError
from visiontune.exports.answer_lines import answer_lines
from visiontune.exports.graph import INPUT, WholePicture, program_of
from visiontune.exports.model_card import input_of
from visiontune.exports.onnx_file import in_int8, onnx_of, run_onnx
from visiontune.inference.classifier import Classifier

Pictures = NDArray[np.uint8]
CLASSES = "class_names"
TRIED = ((1, 40, 50), (2, 33, 33), (7, 90, 61))
"""Number, height and width of pictures at random, on which a graph must give the network's logits."""
_CLOSE = 1e-3


@dataclass(frozen=True)
class Precise:
    """How a graph computes: fp32, fp16 or int8, for which it needs training pictures."""

    precision: str = "fp32"
    temperature: float = 1.0
    pictures: Pictures | None = None


def onnx_bytes(classifier: Classifier, how: Precise) -> bytes:
    """A file for onnxruntime. Raises UserError for a network that can't be written so, or that gives other logits there."""
    whole = WholePicture(classifier, how.temperature, is_half=how.precision == "fp16")
    model, outside = onnx_of(program_of(whole, classifier.form.channels), metadata_of(classifier, how))
    if how.pictures is not None:
        model = in_int8(model, outside, how.pictures)
    content: bytes = model.SerializeToString()
    if how.precision == "fp32":
        _refuse_other_logits(whole, content, classifier.form.channels)
    return content


def pt2_bytes(classifier: Classifier, temperature: float = 1.0) -> bytes:
    """A file for torch.export.load; what is said of it in metadata lies in `extra_files`. Raises UserError."""
    how = Precise(temperature=temperature)
    program, file = program_of(WholePicture(classifier, temperature), classifier.form.channels), io.BytesIO()
    torch.export.save(program, file, extra_files=metadata_of(classifier, how))
    return file.getvalue()


def metadata_of(classifier: Classifier, how: Precise) -> dict[str, str]:
    """As in a file of weights (class_names, recipe, pictures as JSON), and what goes in and comes out."""
    words = {"input": input_of(classifier), "output": "logits (number, classes)", "precision": how.precision}
    return {**classifier.metadata.to_strings(), **words, "temperature": repr(how.temperature)}


def onnx_snippet(classifier: Classifier, file: Path) -> str:
    """Needs onnxruntime and Pillow."""
    lines = (
        "import json, numpy as np, onnxruntime",
        *_reading(classifier),
        f"session = onnxruntime.InferenceSession({str(file)!r})",
        "said = session.get_modelmeta().custom_metadata_map",
        f"names, logits = json.loads(said[{CLASSES!r}]), session.run(None, {{{INPUT!r}: picture[None]}})[0]",
        *answer_lines(classifier, "logits[0]"),
    )
    return "\n".join(lines)


def pt2_snippet(classifier: Classifier, file: Path) -> str:
    """Needs torch and Pillow."""
    lines = (
        "import json, numpy as np, torch",
        *_reading(classifier),
        f"extra = {{{CLASSES!r}: ''}}",
        f"model = torch.export.load({str(file)!r}, extra_files=extra).module()",
        "logits = model(torch.from_numpy(picture)[None])",
        f"names, logits = json.loads(extra[{CLASSES!r}]), logits.detach().numpy()",
        *answer_lines(classifier, "logits[0]"),
    )
    return "\n".join(lines)


def _reading(classifier: Classifier) -> tuple[str, ...]:
    channels = classifier.form.channels
    opened = f"ImageOps.exif_transpose(Image.open('picture.png')).convert({'L' if channels == 1 else 'RGB'!r})"
    return "from PIL import Image, ImageOps", "", f"picture = np.array({opened}){'[..., None]' if channels == 1 else ''}"


def _refuse_other_logits(whole: WholePicture, content: bytes, channels: int) -> None:
    random = np.random.default_rng(0)
    for shape in TRIED:
        pictures = random.integers(0, 256, (*shape, channels), dtype=np.uint8)
        with torch.no_grad():
            expected = whole(torch.from_numpy(pictures)).numpy()
        difference = float(np.abs(run_onnx(content, pictures) - expected).max() / max(1.0, float(np.abs(expected).max())))
        if not difference < _CLOSE:
            raise UserError(f"onnxruntime gives other logits than the network, by {difference:.2g}; nearest is `to='torch'`")
