"""Weights by another library's names, and the lines of Python that load them without this package.

Whether a network is timm's or torchvision's is not looked up but tried: theirs is built, takes the weights, and must give the same logits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from visiontune.errors import UserError, first_line, last_line
from visiontune.exports.answer_lines import answer_lines
from visiontune.inference.classifier import Classifier
from visiontune.models.anatomy import anatomy_of
from visiontune.models.published_weights import timm_name
from visiontune.spec.declarations.image_size import sides
from visiontune.training.input.preprocessing import Scaling

LIBRARIES = ("torchvision", "timm")
_CLOSE = 1e-4


@dataclass(frozen=True)
class Original:
    """A network of a library, by what it is built with."""

    library: str
    name: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    def build(self) -> nn.Module:
        """Without weights. Raises what the library raises."""
        if self.library == "timm":
            import timm

            network: nn.Module = timm.create_model(self.name, **self.kwargs)
        else:
            from torchvision.models import get_model

            network = get_model(self.name, **self.kwargs)
        return network.eval()

    @property
    def call(self) -> str:
        """The expression that builds it."""
        args = "".join(f", {name}={value!r}" for name, value in self.kwargs.items())
        return f"timm.create_model({self.name!r}{args})" if self.library == "timm" else f"torchvision.models.get_model({self.name!r}{args})"


def original_of(classifier: Classifier, libraries: tuple[str, ...]) -> Original:
    """The network of one of these libraries that gives the same logits with the same weights. Raises UserError with why there is none."""
    reasons = []
    if not isinstance(classifier.preprocessing.values, Scaling):
        reasons.append("its preprocessing is a whitening matrix over whole pictures, for which they have no place")
    for original in () if reasons else _candidates(classifier, libraries):
        if (reason := _difference(classifier, original)) is None:
            return original
        if reason:
            reasons.append(f"{original.library}'s {original.name} {reason}")
    model = classifier.recipe.model
    name = model.get("model", model["name"])
    said = "; ".join(reasons) or "there is none of that name"
    raise UserError(f"the network {name} can't be written by the names of {' or '.join(libraries)}: {said}; nearest is `to='safetensors'`")


def library_snippet(classifier: Classifier, original: Original, file: Path) -> str:
    """Python that loads the file and classifies picture.png, with the library, safetensors and Pillow alone."""
    values, (height, width) = classifier.preprocessing.values, classifier.form.image_size
    assert isinstance(values, Scaling)
    scale_C, shift_C = (tensor[0].tolist() for tensor in (values.scale_WC, values.shift_WC))
    scaled = f"torch.tensor(np.array(picture)).float().reshape({height}, {width}, -1) * torch.tensor({scale_C}) - torch.tensor({shift_C})"
    resized = classifier.preprocessing.size_after
    lines = [
        "import json, numpy as np, torch, " + original.library,
        "from PIL import Image, ImageOps",
        "from safetensors import safe_open",
        "",
        f"with safe_open({str(file)!r}, 'pt') as file:",
        "    weights, names = {key: file.get_tensor(key) for key in file.keys()}, json.loads(file.metadata()['class_names'])",
        f"model = {original.call}.eval()",
        "model.load_state_dict(weights)",
        f"picture = ImageOps.exif_transpose(Image.open('picture.png')).convert({'L' if values.out_channels == 1 else 'RGB'!r})",
        f"picture = {_squared(classifier)}",
        f"x = ({scaled}).permute(2, 0, 1)[None]",
        *([] if resized is None else [f"x = torch.nn.functional.interpolate(x, size={resized}, mode='bilinear', antialias=True)"]),
        "with torch.no_grad():",
        *(f"    {line}" for line in answer_lines(classifier, "model(x)[0]")),
    ]
    return "\n".join(lines)


def own_snippet(file: Path) -> str:
    """Python that reads what is in the file: weights by this package's names, classes, and the recipe that builds the network."""
    return "\n".join(
        (
            "import json",
            "from safetensors import safe_open",
            "",
            f"with safe_open({str(file)!r}, 'pt') as file:",
            "    weights, metadata = {key: file.get_tensor(key) for key in file.keys()}, file.metadata()",
            "names, recipe, pictures = (json.loads(metadata[key]) for key in ('class_names', 'recipe', 'pictures'))",
            "print(recipe['model'], names, pictures)",
        )
    )


def _squared(classifier: Classifier) -> str:
    height, width = classifier.form.image_size
    call = {"crop": "ImageOps.fit(picture, ", "pad": "ImageOps.pad(picture, ", "squash": "picture.resize("}[classifier.form.rule]
    return f"{call}({width}, {height}), Image.BILINEAR)"


def _candidates(classifier: Classifier, libraries: tuple[str, ...]) -> Iterator[Original]:
    model, num_classes = classifier.recipe.model, len(classifier.class_names)
    name, given = model["name"], dict(model.get("kwargs") or {})
    for library in libraries:
        if name in LIBRARIES and name != library:
            continue
        if library == "timm":
            known = str(model["model"] if name == library else timm_name(name)).partition(".")[0]
            sizes = {"num_classes": num_classes, "in_chans": classifier.preprocessing.out_channels, **given}
            yield from (Original(library, known, {**sizes, **more}) for more in ({"img_size": classifier.image_size}, {}))
        else:
            known = str(model["model"]) if name == library else {"efficientnet": "efficientnet_b0"}.get(name, name)
            yield Original(library, known, {"num_classes": num_classes, **_torchvision_args(known, classifier), **given})


def _torchvision_args(name: str, classifier: Classifier) -> dict[str, Any]:
    if name in ("googlenet", "inception_v3"):
        return {"aux_logits": bool(anatomy_of(classifier.network).aux), "init_weights": False}
    return {"image_size": classifier.image_size} if name.startswith("vit_") else {}


def _difference(classifier: Classifier, original: Original) -> str | None:
    """Why the original is not this network; None where it is, "" where it is not even a candidate."""
    network, channels = classifier.network, classifier.preprocessing.out_channels
    size = classifier.preprocessing.size_after or classifier.image_size
    x_NCHW = torch.randn(2, channels, *sides(size), generator=torch.Generator().manual_seed(0))
    try:
        theirs = original.build()
        theirs.load_state_dict(network.state_dict())
        with torch.no_grad():
            expected, given = network.cpu()(x_NCHW), theirs(x_NCHW)
    except TypeError as error:
        return "" if "img_size" in str(error) else f"can't be built so ({first_line(error)})"
    except (ValueError, RuntimeError) as error:  # unknown names, other shapes: torch's list of those ends with the most telling one
        return "" if _is_unknown(error) else f"is another ({last_line(error)})"
    return None if torch.allclose(expected, given, atol=_CLOSE, rtol=_CLOSE) else "has these names but gives other logits"


def _is_unknown(error: Exception) -> bool:
    return "Unknown model" in str(error)
