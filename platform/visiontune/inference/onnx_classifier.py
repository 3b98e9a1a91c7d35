"""A network that `visiontune export` wrote as ONNX, used by onnxruntime as its classifier was."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from visiontune.data.picture.bad_picture import Picture, Values
from visiontune.data.picture.decode import values_and_size
from visiontune.errors import UserError, first_line
from visiontune.inference.classifier import in_colours
from visiontune.spec.declarations.image_size import ImageSize, image_size
from visiontune.training.test_time import VIEWS, over_views
from visiontune.training.weights_metadata import WeightsMetadata

_PROVIDERS = {"cuda": "CUDAExecutionProvider", "cpu": "CPUExecutionProvider"}


@dataclass(frozen=True)
class OnnxClassifier:
    """`session` takes uint8 NHWC pictures of any size, and makes them those of training itself; `test_time` as in `visiontune.predict`."""

    session: Any
    metadata: WeightsMetadata
    test_time: str = "none"

    @property
    def class_names(self) -> tuple[str, ...]:
        """By the number of a class."""
        return self.metadata.class_names

    @property
    def image_size(self) -> ImageSize:
        """Of stored pictures: of these on the graph makes what the network takes."""
        return image_size(self.metadata.form.stored_size)

    def picture_of(self, encoded: bytes) -> Picture:
        """(height, width, channels) uint8 out of a file's bytes. Raises BadPicture."""
        return self.fitted(*values_and_size(encoded, self.metadata.form.side))

    def fitted(self, values: Values, shape: tuple[int, int] | None = None) -> Picture:
        """The same out of decoded pixels, (H, W, 1) grey or (H, W, 3) RGB, of 8 bits or more; `shape` as in Classifier."""
        form = self.metadata.form
        return form.seen(form.apply(in_colours(self.metadata.mapped(values), form.channels), shape))

    def knowing(self, metadata: WeightsMetadata) -> OnnxClassifier:
        """As Classifier's."""
        return replace(self, metadata=metadata)

    def over_views(self, test_time: str) -> OnnxClassifier:
        """The same by its mean probabilities over these views."""
        return replace(self, test_time=test_time)

    def logits(self, images_NHWC: NDArray[np.uint8]) -> Tensor:
        """(N, classes) float32."""
        if self.test_time == "none":
            return self._run(images_NHWC)
        x_NCHW = torch.from_numpy(images_NHWC).permute(0, 3, 1, 2).float()  # torch pads no bytes
        return over_views(lambda view_NCHW: self._run(view_NCHW.permute(0, 2, 3, 1).byte().numpy()), VIEWS[self.test_time])(x_NCHW)

    def _run(self, images_NHWC: NDArray[np.uint8]) -> Tensor:
        (given,) = self.session.get_inputs()
        return torch.from_numpy(self.session.run(None, {given.name: np.ascontiguousarray(images_NHWC)})[0]).float()


def load_onnx(path: Path, device: str) -> OnnxClassifier:
    """`device` is auto, cpu or cuda. Raises UserError for what can't be read, or does not say what its classes and pictures are."""
    import onnxruntime

    if device == "cuda" and _PROVIDERS["cuda"] not in onnxruntime.get_available_providers():
        raise UserError("device cuda needs an onnxruntime with CUDA for an ONNX model, and this is without; use auto or cpu")
    wanted = [_PROVIDERS[name] for name in ("cuda", "cpu") if device in (name, "auto")]
    providers = [name for name in wanted if name in onnxruntime.get_available_providers()]
    try:
        session = onnxruntime.InferenceSession(str(path), providers=providers)
    except Exception as error:  # onnxruntime has one for each of its codes
        raise UserError(f"the model {path} can't be read by onnxruntime: {first_line(error)}") from error
    metadata = WeightsMetadata.from_strings(session.get_modelmeta().custom_metadata_map)
    if metadata is None or len(session.get_inputs()) != 1:
        rule = f"the model {path} doesn't say its classes and how pictures become its input"
        raise UserError(f"{rule}, as one of `visiontune export` of this version does")
    return OnnxClassifier(session, metadata)
