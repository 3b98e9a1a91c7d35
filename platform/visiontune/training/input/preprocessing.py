"""What becomes of pictures' values before the network: x_NHWC uint8, or float 0 to 255, to x_NHWC float32.

Colour first, then the values. fit_preprocessing.py makes one for a store.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from visiontune.spec.declarations.image_size import ImageSize, image_size, sides

Tensors = Mapping[str, Tensor]
# Rec. 601 in 65,536ths, as Pillow's "L": a float32 holds every sum of them exactly, so that it rounds as the integers do.
_RED, _GREEN, _BLUE = 19595.0, 38470.0, 7471.0


class Scaling(nn.Module):
    """x * scale - shift. The buffers repeat the channels along a row of pixels: over three alone it would not be vectorised.

    `height` is None for square pictures, which have as many rows as a row has pixels.
    """

    scale_WC: Tensor
    shift_WC: Tensor

    def __init__(self, scale_WC: Tensor, shift_WC: Tensor, height: int | None = None) -> None:
        super().__init__()
        self.register_buffer("scale_WC", scale_WC)
        self.register_buffer("shift_WC", shift_WC)
        width, self.out_channels = scale_WC.shape
        self.image_size = image_size((height or width, width))
        if self.image_size != width:
            self.register_buffer("height", torch.tensor(height))

    def forward(self, x_NHWC: Tensor) -> Tensor:
        return x_NHWC.to(torch.float32, copy=True).mul_(self.scale_WC).sub_(self.shift_WC)


class Whitening(nn.Module):
    """(x - mean) @ matrix over all values of a picture."""

    mean_HWC: Tensor
    matrix_DD: Tensor

    def __init__(self, mean_HWC: Tensor, matrix_DD: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean_HWC", mean_HWC)
        self.register_buffer("matrix_DD", matrix_DD)
        self.out_channels, self.image_size = mean_HWC.shape[2], image_size(mean_HWC.shape[:2])

    def forward(self, x_NHWC: Tensor) -> Tensor:
        return ((x_NHWC.float() - self.mean_HWC).flatten(1) @ self.matrix_DD).view(x_NHWC.shape)


class Preprocessing(nn.Module):
    """Colour, then `values`, then `size` in pixels where it is another. Buffers only.

    `out_channels` is 1 (grey) or 3 (RGB), `size_after` that size or None.
    """

    def __init__(self, values: Scaling | Whitening, size: ImageSize | None = None) -> None:
        super().__init__()
        self.values = values
        self.out_channels, self.size_after = values.out_channels, size
        if size is not None:
            self.register_buffer("size", torch.tensor(size))

    def forward(self, x_NHWC: Tensor) -> Tensor:
        x_NHWC = self.values(coloured(x_NHWC, self.out_channels))
        return x_NHWC if self.size_after is None else resized(x_NHWC.permute(0, 3, 1, 2), self.size_after).permute(0, 2, 3, 1).contiguous()

    def in_full(self) -> Preprocessing:
        """The same with pictures as large as they come."""
        return self if self.size_after is None else Preprocessing(self.values)

    def digest(self) -> str:
        """16 hex digits of what it computes."""
        sha = hashlib.sha256()
        for name, tensor in self.state_dict().items():
            sha.update(f"{name} {tuple(tensor.shape)}".encode() + tensor.cpu().numpy().tobytes())
        return sha.hexdigest()[:16]

    @staticmethod
    def of(tensors: Tensors) -> Preprocessing:
        """The one whose state_dict this is. Raises KeyError where it is none's."""
        size = image_size(tensors["size"].tolist()) if "size" in tensors else None
        if "values.matrix_DD" in tensors:
            return Preprocessing(Whitening(tensors["values.mean_HWC"], tensors["values.matrix_DD"]), size)
        height = int(tensors["values.height"]) if "values.height" in tensors else None
        return Preprocessing(Scaling(tensors["values.scale_WC"], tensors["values.shift_WC"], height), size)


def resized(x_NCHW: Tensor, size: ImageSize) -> Tensor:
    """Pictures of that size, each pixel a mean over what it covers, weighted by a triangle, as Pillow's BILINEAR."""
    if x_NCHW.shape[-2:] == sides(size):
        return x_NCHW
    return F.interpolate(x_NCHW, size=sides(size), mode="bilinear", antialias=True)


def coloured(x_NHWC: Tensor, channels: int) -> Tensor:
    """Grey pictures as RGB or the other way; what has as many channels already is given back as it is."""
    if x_NHWC.shape[3] == channels:
        return x_NHWC
    if channels == 3:
        return x_NHWC.repeat(1, 1, 1, 3)
    red, green, blue = x_NHWC.float().unbind(3)
    return ((red * _RED + green * _GREEN + blue * _BLUE + 32768) / 65536).floor()[..., None]
