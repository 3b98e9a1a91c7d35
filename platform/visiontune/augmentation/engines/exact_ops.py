"""Ops at a stated strength, in torchvision's units and with its pixels: what the published policies are made of. Nothing is drawn here.

A change takes pictures taken_KHWC (uint8, square) and value_K, a strength for each of them: a factor for Brightness, Contrast,
Saturation and Sharpen (1 changes nothing), the slope of a shear, whole pixels of a shift, degrees counter-clockwise, bits kept,
a threshold as a share of 255, pixels of deviation for GaussianBlur. Values are held against torchvision's own by a test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from visiontune.augmentation.engines.reference import IntArray, Pictures
from visiontune.augmentation.keyed_random import FloatArray

Floats = NDArray[np.float32]
Change = Callable[[Pictures, FloatArray], Pictures]

NAMES = (
    *("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate", "Brightness", "Contrast", "Saturation", "Sharpen", "Posterize"),
    *("Solarize", "AutoContrast", "Equalize", "ToGray", "GaussianBlur"),
)
GEOMETRY = frozenset(NAMES[:5])
LUMA = (0.2989, 0.587, 0.114)
BLUR_SIDE = 13
"""Of the filter: six deviations at the largest one, 2 pixels."""
_VALUES = np.arange(256, dtype=np.float32)


def apply_exact(name: str, pictures_NHWC: Pictures, rows_K: IntArray, value_K: FloatArray, interpolation: str = "nearest") -> None:
    """Change these rows in place. `interpolation` is nearest or bilinear, for ops that move pixels."""
    if len(rows_K) == 0:
        return
    taken = pictures_NHWC[rows_K]
    if name in GEOMETRY:
        pictures_NHWC[rows_K] = warped(taken, sources(name, value_K, taken.shape[1]), interpolation)
    else:
        pictures_NHWC[rows_K] = CHANGES[name](taken, value_K)


def sources(name: str, value_K: FloatArray, side: int) -> FloatArray:
    """(K, 2, 3): where in pixels what comes to (x, y, 1) is taken from. A shear is about the corner, a rotation about the middle."""
    matrix_K23 = np.tile(np.eye(2, 3), (len(value_K), 1, 1))
    middle = side / 2 - 0.5
    if name == "ShearX":
        matrix_K23[:, 0, 1], matrix_K23[:, 0, 2] = value_K, value_K / 2
    elif name == "ShearY":
        matrix_K23[:, 1, 0], matrix_K23[:, 1, 2] = value_K, value_K / 2
    elif name == "TranslateX":
        matrix_K23[:, 0, 2] = -value_K
    elif name == "TranslateY":
        matrix_K23[:, 1, 2] = -value_K
    else:
        cosine_K, sine_K = np.cos(np.deg2rad(value_K)), np.sin(np.deg2rad(value_K))
        matrix_K23[:, 0, 0], matrix_K23[:, 0, 1], matrix_K23[:, 0, 2] = cosine_K, -sine_K, middle * (1 - cosine_K + sine_K)
        matrix_K23[:, 1, 0], matrix_K23[:, 1, 1], matrix_K23[:, 1, 2] = sine_K, cosine_K, middle * (1 - cosine_K - sine_K)
    return matrix_K23


def warped(taken_KHWC: Pictures, matrix_K23: FloatArray, interpolation: str) -> Pictures:
    """Black outside."""
    _, height, width, _ = taken_KHWC.shape
    out_KHWC = np.empty_like(taken_KHWC)
    flags = cv2.WARP_INVERSE_MAP | (cv2.INTER_NEAREST if interpolation == "nearest" else cv2.INTER_LINEAR)
    for out_HWC, picture_HWC, matrix_23 in zip(out_KHWC, taken_KHWC, matrix_K23, strict=True):
        cv2.warpAffine(picture_HWC, matrix_23, (width, height), out_HWC, flags, cv2.BORDER_CONSTANT, 0)
    return out_KHWC


def _brightness(taken_KHWC: Pictures, value_K: FloatArray) -> Pictures:
    return _looked_up(taken_KHWC, _bytes(_VALUES * _column(value_K)))


def _contrast(taken_KHWC: Pictures, value_K: FloatArray) -> Pictures:
    """About the mean of the picture in whole greys."""
    grey = np.floor(_grey(taken_KHWC)) if taken_KHWC.shape[3] == 3 else taken_KHWC.astype(np.float32)
    mean_K = grey.reshape(len(grey), -1).mean(1)
    return _looked_up(taken_KHWC, _bytes(_VALUES * _column(value_K) + _column(mean_K * (1 - value_K))))


def _saturation(taken_KHWC: Pictures, value_K: FloatArray) -> Pictures:
    """About the picture in grey, which a grey one is."""
    if taken_KHWC.shape[3] != 3:
        return taken_KHWC
    return _blended(taken_KHWC.astype(np.float32), np.floor(_grey(taken_KHWC))[..., np.newaxis], value_K)


def _sharpen(taken_KHWC: Pictures, value_K: FloatArray) -> Pictures:
    """About a mean over 3 x 3 pixels whose middle counts five times; the outermost pixels stay."""
    if min(taken_KHWC.shape[1:3]) <= 2:
        return taken_KHWC
    kernel = np.ones((3, 3), np.float32)
    kernel[1, 1] = 5
    changed = taken_KHWC.copy()
    for out_HWC, picture_HWC, factor in zip(changed, taken_KHWC, value_K.tolist(), strict=True):
        whole_HWC = picture_HWC.astype(np.float32)
        blurred_HWC = np.rint(cv2.filter2D(whole_HWC, -1, kernel / 13).reshape(whole_HWC.shape))
        out_HWC[1:-1, 1:-1] = _bytes(whole_HWC + np.float32(1 - factor) * (blurred_HWC - whole_HWC))[1:-1, 1:-1]
    return changed


def _posterize(taken_KHWC: Pictures, value_K: FloatArray) -> Pictures:
    mask_K = (256 - 2 ** (8 - value_K.astype(np.int64))).astype(np.uint8)
    masked: Pictures = taken_KHWC & mask_K[:, np.newaxis, np.newaxis, np.newaxis]
    return masked


def _solarize(taken_KHWC: Pictures, value_K: FloatArray) -> Pictures:
    """What is as light as the threshold, or lighter, is inverted."""
    value_V = np.arange(256)
    return _looked_up(taken_KHWC, np.where(value_V >= 255 * value_K[:, np.newaxis], 255 - value_V, value_V).astype(np.uint8))


def _auto_contrast(taken_KHWC: Pictures, value_K: FloatArray) -> Pictures:
    """Each channel's darkest value to 0, its lightest to 255; a channel of one value stays."""
    values_KDC = taken_KHWC.reshape(len(taken_KHWC), -1, taken_KHWC.shape[3])
    low_K1C, high_K1C = (edge_KC[:, np.newaxis].astype(np.float32) for edge_KC in (values_KDC.min(1), values_KDC.max(1)))
    is_flat_K1C = low_K1C == high_K1C
    scale_K1C = np.where(is_flat_K1C, np.float32(1), (high_K1C - low_K1C) * np.float32(1 / 255))
    stretched_KVC = _bytes(((_VALUES[:, np.newaxis] - np.where(is_flat_K1C, 0, low_K1C)) / scale_K1C).astype(np.float32))
    return _looked_up(taken_KHWC, stretched_KVC)


def _equalize(taken_KHWC: Pictures, value_K: FloatArray) -> Pictures:
    """Pillow's way, in steps of whole pixels: what has fewer than 255 pixels beside its lightest value stays."""
    num, height, width, channels = taken_KHWC.shape
    planes_PD = taken_KHWC.transpose(0, 3, 1, 2).reshape(num * channels, -1)
    place_PD = planes_PD + 256 * np.arange(num * channels)[:, np.newaxis]
    count_PV = np.bincount(place_PD.ravel(), minlength=256 * num * channels).reshape(-1, 256)
    step_P1 = (height * width - count_PV[np.arange(len(count_PV)), planes_PD.max(1)])[:, np.newaxis] // 255
    before_PV = np.cumsum(count_PV, 1) - count_PV
    flat_PV = np.clip((before_PV + step_P1 // 2) // np.maximum(step_P1, 1), 0, 255)
    flat_PV[:, 0] = 0
    table_PV = np.where(step_P1 == 0, np.arange(256), flat_PV).astype(np.uint8)
    return _looked_up(taken_KHWC, table_PV.reshape(num, channels, 256).transpose(0, 2, 1))


def _to_gray(taken_KHWC: Pictures, value_K: FloatArray) -> Pictures:
    return taken_KHWC if taken_KHWC.shape[3] != 3 else np.repeat(_bytes(_grey(taken_KHWC))[..., np.newaxis], 3, axis=3)


def _gaussian_blur(taken_KHWC: Pictures, value_K: FloatArray) -> Pictures:
    """Mirrored at the edges."""
    changed = np.empty_like(taken_KHWC)
    for out_HWC, picture_HWC, deviation in zip(changed, taken_KHWC, value_K.tolist(), strict=True):
        blurred = cv2.GaussianBlur(picture_HWC.astype(np.float32), (BLUR_SIDE, BLUR_SIDE), deviation, borderType=cv2.BORDER_REFLECT_101)
        out_HWC[:] = np.rint(blurred).reshape(out_HWC.shape)
    return changed


CHANGES: Mapping[str, Change] = {
    "Brightness": _brightness,
    "Contrast": _contrast,
    "Saturation": _saturation,
    "Sharpen": _sharpen,
    "Posterize": _posterize,
    "Solarize": _solarize,
    "AutoContrast": _auto_contrast,
    "Equalize": _equalize,
    "ToGray": _to_gray,
    "GaussianBlur": _gaussian_blur,
}


def _grey(taken_KHWC: Pictures) -> Floats:
    red, green, blue = (np.float32(weight) for weight in LUMA)
    grey: Floats = red * taken_KHWC[..., 0] + green * taken_KHWC[..., 1] + blue * taken_KHWC[..., 2]
    return grey


def _blended(values_KHWC: Floats, other_KHWC: Floats, value_K: FloatArray) -> Pictures:
    factor, rest = (column_K.astype(np.float32)[:, np.newaxis, np.newaxis, np.newaxis] for column_K in (value_K, 1 - value_K))
    return _bytes(values_KHWC * factor + other_KHWC * rest)


def _column(value_K: FloatArray) -> Floats:
    return value_K.astype(np.float32)[:, np.newaxis]


def _bytes(values: Floats) -> Pictures:
    """Cut to 0 and 255, and to whole values below."""
    cut: Pictures = np.clip(values, 0, 255).astype(np.uint8)
    return cut


def _looked_up(taken_KHWC: Pictures, tables: Pictures) -> Pictures:
    """Tables are (K, 256), or (K, 256, C) where channels differ."""
    out_KHWC = np.empty_like(taken_KHWC)
    for out_HWC, picture_HWC, table in zip(out_KHWC, taken_KHWC, tables[:, np.newaxis], strict=True):
        cv2.LUT(picture_HWC, np.ascontiguousarray(table), out_HWC)
    return out_KHWC
