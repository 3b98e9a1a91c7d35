"""Random crops of the whole picture, scaled to the training size: RandomResizedCrop (Szegedy et al. 2015) as torchvision draws it.

Boxes are (top, left, bottom, right) in pixels of the picture that they are drawn for, which a store may keep smaller: it maps them.
Letters: N pictures, K of them that wait for a box.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from visiontune.augmentation.apply_ops import IntArray, Ops, Pictures
from visiontune.data.picture.shape import fit
from visiontune.spec.declarations.declare import chosen
from visiontune.spec.tables.crops import CROPS

_MOST_TRIES, _DRAWN = 10, 4


@dataclass(frozen=True)
class ResizedCrop:
    """A step, always the first of a policy. `scale` is the crop's share of the area, `ratio` its width by its height: drawn from to."""

    scale: tuple[float, float]
    ratio: tuple[float, float]

    @property
    def names(self) -> tuple[str, ...]:
        return ("RandomResizedCrop",)

    def boxes(self, ops: Ops, shape_N2: IntArray, index_N: IntArray, *, seed: int, epoch: int) -> IntArray:
        """(N, 4) for pictures of these heights and widths: the first of ten that fits, else the largest one in the middle."""
        ops.stream.rekey(seed, epoch, "ResizedCrop")
        box_N4, waiting = self._middles(shape_N2), np.arange(len(index_N))
        for number in range(_MOST_TRIES):
            u_K4 = ops.stream.uniforms(index_N[waiting], _DRAWN * (number + 1))[:, -_DRAWN:]
            height_K, width_K = shape_N2[waiting].T
            area_K = height_K * width_K * (self.scale[0] + (self.scale[1] - self.scale[0]) * u_K4[:, 0])
            low, high = np.log(self.ratio)
            ratio_K = np.exp(low + (high - low) * u_K4[:, 1])
            rows_K, columns_K = (np.rint(np.sqrt(area)).astype(np.int64) for area in (area_K / ratio_K, area_K * ratio_K))
            fits = (rows_K > 0) & (rows_K <= height_K) & (columns_K > 0) & (columns_K <= width_K)
            top_K = (u_K4[:, 2] * (height_K - rows_K + 1)).astype(np.int64)
            left_K = (u_K4[:, 3] * (width_K - columns_K + 1)).astype(np.int64)
            box_N4[waiting[fits]] = np.stack([top_K, left_K, top_K + rows_K, left_K + columns_K], axis=1)[fits]
            waiting = waiting[~fits]
            if len(waiting) == 0:
                break
        return box_N4

    def _middles(self, shape_N2: IntArray) -> IntArray:
        height_N, width_N = shape_N2.T
        rows_N = np.where(width_N / height_N < self.ratio[0], np.rint(width_N / self.ratio[0]), height_N).astype(np.int64)
        columns_N = np.where(width_N / height_N > self.ratio[1], np.rint(height_N * self.ratio[1]), width_N).astype(np.int64)
        top_N, left_N = (height_N - rows_N) // 2, (width_N - columns_N) // 2
        return np.stack([top_N, left_N, top_N + rows_N, left_N + columns_N], axis=1)

    def __call__(self, ops: Ops, pictures_NHWC: Pictures, index_N: IntArray, *, seed: int, epoch: int) -> None:
        """Of pictures as the frame shows them, where there is no more of them."""
        shape_N2 = np.tile(np.array(pictures_NHWC.shape[1:3], np.int64), (len(index_N), 1))
        box_N4 = self.boxes(ops, shape_N2, index_N, seed=seed, epoch=epoch)
        if ops.engine == "device":
            from visiontune.augmentation.engines.device_geometry import crop_and_resize

            crop_and_resize(pictures_NHWC, box_N4)  # type: ignore[arg-type]
            return
        for picture_HWC, (top, left, bottom, right) in zip(pictures_NHWC, box_N4.tolist(), strict=True):
            picture_HWC[...] = fit(picture_HWC[top:bottom, left:right].copy(), picture_HWC.shape[:2], picture_HWC.shape[2])


def random_resized(*, crop_scale_min: float, crop_scale_max: float, crop_ratio_min: float, crop_ratio_max: float) -> ResizedCrop:
    """See the table of crops."""
    return ResizedCrop((crop_scale_min, crop_scale_max), (crop_ratio_min, crop_ratio_max))


def crop_of(augmentation: Mapping[str, Any]) -> list[ResizedCrop]:
    """The first step of a resolved section; none where there is no crop, as in recipes from before there were any."""
    entry, args = chosen(CROPS, {"crop": CROPS.default, **augmentation}, "crop")
    return [entry.load()(**args)] if entry.builder else []


def problem_of_crop(augmentation: Mapping[str, Any]) -> str | None:
    """Why the section's crop can't be drawn, as one sentence; None if it can or there is none."""
    for low, high in (("crop_scale_min", "crop_scale_max"), ("crop_ratio_min", "crop_ratio_max")):
        if low in augmentation and augmentation[low] > augmentation[high]:
            return f"`{low} <= {high}` must hold, but got {low}={augmentation[low]:g}, {high}={augmentation[high]:g}"
    return None
