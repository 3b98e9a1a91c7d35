"""The winner as `mlflow models serve` and `mlflow.pyfunc` run it: bytes of pictures' files in, class and probabilities out.

MLflow keeps a copy of this file beside the graph and runs that, so it imports nothing of visiontune.
"""

from __future__ import annotations

import io
import json
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import torch
from PIL import Image, ImageOps

COLUMN = "picture"
_EIGHT_BITS = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "La", "RGBa", "CMYK", "YCbCr", "LAB", "HSV")


def _read_here() -> tuple[str, ...]:
    """Pillow's formats but for those over which it would start another program: whoever asks a server may send anything."""
    Image.init()
    return tuple(kind for kind in Image.OPEN if kind not in ("EPS", "WMF"))


class Winner(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Its graph takes uint8 pictures of any size (docs/export.md)."""

    def load_context(self, context: Any) -> None:
        """Open the graph, and what is said of it in its extra files."""
        extra: dict[str, Any] = {"class_names": "", "pictures": "", "thresholds": ""}
        self.graph = torch.export.load(context.artifacts["graph"], extra_files=extra).module()
        self.class_names: list[str] = json.loads(extra["class_names"])
        self.channels: int = json.loads(extra["pictures"])["channels"]
        self.thresholds: list[float] | None = json.loads(extra["thresholds"]) if extra["thresholds"] else None

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """A row for each picture: its class, the probability of that, and all probabilities by the number of a class.

        Where pictures have several classes: `class` are those that reach their thresholds, parted by |, and there is no one probability.
        """
        pictures = [self._picture(content) for content in model_input[COLUMN]]
        with torch.no_grad():
            logits_NK = torch.cat([self.graph(torch.from_numpy(one)[None]) for one in pictures])
        if self.thresholds is not None:
            return self._several(logits_NK.double().sigmoid().numpy(), self.thresholds)
        probabilities_NK = logits_NK.softmax(1).double().numpy()
        classes = [self.class_names[index] for index in probabilities_NK.argmax(1)]
        columns = {"class": classes, "probability": probabilities_NK.max(1), "probabilities": probabilities_NK.tolist()}
        return pd.DataFrame(columns)

    def _several(self, probabilities_NK: np.ndarray[Any, Any], thresholds: list[float]) -> pd.DataFrame:
        said_NK = probabilities_NK >= np.array(thresholds)
        classes = ["|".join(self.class_names[k] for k in np.flatnonzero(said_K)) for said_K in said_NK]
        return pd.DataFrame({"class": classes, "probabilities": probabilities_NK.tolist()})

    def _picture(self, content: bytes) -> np.ndarray[Any, Any]:
        """(H, W, channels), upright, on white where it is transparent. Raises ValueError or OSError for what is no such picture."""
        opened = Image.open(io.BytesIO(content), formats=_read_here())
        if opened.mode not in _EIGHT_BITS or _has_sixteen_bits(opened, content):
            raise ValueError(f"pictures must have 8 bits a channel, but one is {opened.format} of more, Pillow's mode {opened.mode}")
        image: Image.Image = ImageOps.exif_transpose(opened)
        if image.has_transparency_data:
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
        pixels = np.array(image.convert("L" if self.channels == 1 else "RGB"))
        return pixels.reshape(*pixels.shape[:2], self.channels)


def _has_sixteen_bits(image: Any, content: bytes) -> bool:
    """Of which Pillow would keep the high byte, without a word: all black where an instrument has 12 bits."""
    if image.format == "TIFF":
        return bool(max(image.tag_v2.get(258, (8,))) > 8)
    return image.format == "PNG" and content[24] == 16


mlflow.models.set_model(Winner())
