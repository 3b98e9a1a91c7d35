"""One module from whole pictures to logits: how a picture becomes a square, preprocessing and network, as validation computes them.

Input: uint8 pictures_NHWC, 0 to 255, RGB or grey as the training pictures were, of any height and width, upright. Output: logits_NK.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from visiontune.errors import UserError, first_line
from visiontune.exports.resize import framed
from visiontune.inference.classifier import Classifier

INPUT, OUTPUT, AXES = "pictures", "logits", ("number", "height", "width")


class WholePicture(nn.Module):
    """The classifier's own network, or with `is_half` a copy that computes in fp16; logits are divided by `temperature`."""

    def __init__(self, classifier: Classifier, temperature: float = 1.0, *, is_half: bool = False) -> None:
        super().__init__()
        form = classifier.form
        self._form, self._temperature = form, temperature
        self.preprocessing = classifier.preprocessing
        self._dtype = torch.float16 if is_half else torch.float32
        self.network = deepcopy(classifier.network).half() if is_half else classifier.network

    def forward(self, pictures_NHWC: Tensor) -> Tensor:
        x_NCHW = pictures_NHWC.permute(0, 3, 1, 2).float()
        x_NHWC = framed(x_NCHW, self._form).permute(0, 2, 3, 1)
        logits_NK: Tensor = self.network(self.preprocessing(x_NHWC).permute(0, 3, 1, 2).to(self._dtype)).float()
        return logits_NK if self._temperature == 1 else logits_NK / self._temperature


def program_of(module: WholePicture, channels: int) -> torch.export.ExportedProgram:
    """Its graph, for any number of pictures of any size. Raises UserError where torch can't make one."""
    example = torch.zeros(2, 37, 53, channels, dtype=torch.uint8)  # no two alike: equal ones would be taken for the same
    dims = {dim: torch.export.Dim(name, min=1) for dim, name in enumerate(AXES)}
    sizes: dict[str, Any] = {"pictures_NHWC": dims}
    try:
        with torch.no_grad():
            return _with_plain_means(torch.export.export(module.eval(), (example,), dynamic_shapes=sizes))
    except Exception as error:  # torch has several
        raise UserError(f"torch can't export a graph of this network for pictures of any number and size: {first_line(error)}") from error


def _with_plain_means(program: torch.export.ExportedProgram) -> torch.export.ExportedProgram:
    """Pooling down to one pixel as the mean that it is: torch takes it apart into a view with strides, ONNX that into a gather."""
    aten = torch.ops.aten
    for node in program.graph.find_nodes(op="call_function", target=aten.adaptive_avg_pool2d.default):
        if set(node.args[1]) == {1}:
            node.target, node.args = aten.mean.dim, (node.args[0], [-2, -1], True)
    return program
