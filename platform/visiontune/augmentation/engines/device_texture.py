"""Ops of the device engine that blur, sharpen or add noise; device.py says how all of them work."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from visiontune.augmentation.engines import random_texture
from visiontune.augmentation.engines.device_geometry import change
from visiontune.augmentation.engines.reference import IntArray
from visiontune.augmentation.keyed_random import Stream

_GAMMA, _MIX_1, _MIX_2 = (word - (1 << 64) for word in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def blur(transform: Any, stream: Stream, pictures_NHWC: Tensor, rows_K: IntArray, index_K: IntArray) -> None:
    """Means over squares."""
    side_K = random_texture.box_sides(transform, stream, index_K, pictures_NHWC.shape)
    half = int(side_K.max()) // 2
    weight_KS = np.abs(np.arange(-half, half + 1)) <= side_K[:, np.newaxis] // 2
    change(pictures_NHWC, rows_K, _mean, weight_KS.astype(np.float32), (side_K**2).astype(np.float32))


def gaussian_blur(transform: Any, stream: Stream, pictures_NHWC: Tensor, rows_K: IntArray, index_K: IntArray) -> None:
    """Down the columns and along the rows."""
    deviation_K, half_K = random_texture.bells(transform, stream, index_K, pictures_NHWC.shape)
    weight_KS = np.zeros((len(rows_K), 2 * int(half_K.max()) + 1), np.float32)
    for weight_S, deviation, half in zip(weight_KS, deviation_K, half_K.tolist(), strict=True):
        weight_S[len(weight_S) // 2 - half : len(weight_S) // 2 + half + 1] = random_texture.bell(deviation, half)
    change(pictures_NHWC, rows_K, blurred, weight_KS)


def sharpen(transform: Any, stream: Stream, pictures_NHWC: Tensor, rows_K: IntArray, index_K: IntArray) -> None:
    """One filter of 3 x 3 for each picture, mirrored at its edges."""
    change(pictures_NHWC, rows_K, _filtered, random_texture.sharpening(transform, stream, index_K, pictures_NHWC.shape))


def gauss_noise(transform: Any, stream: Stream, pictures_NHWC: Tensor, rows_K: IntArray, index_K: IntArray) -> None:
    """Gaussian noise of the drawn mean and deviation, by a hash of the drawn word and the pixel's index; truncated to whole values."""
    mean_K, std_K, word_K = random_texture.noises(transform, stream, index_K, pictures_NHWC.shape)
    change(pictures_NHWC, rows_K, _noisy, mean_K.astype(np.float32), std_K.astype(np.float32), word_K.view(np.int64))


def blurred(taken_KHWC: Tensor, weight_KS: Tensor) -> Tensor:
    """Each picture with weights of its own, an odd number of them, down the columns and along the rows; mirrored at the edges."""
    return _both_ways(taken_KHWC, weight_KS).round().to(torch.uint8)


def _mean(taken_KHWC: Tensor, weight_KS: Tensor, num_K: Tensor) -> Tensor:
    """Sums of whole numbers are whole until they are divided."""
    return (_both_ways(taken_KHWC, weight_KS) / num_K[:, None, None, None]).round().to(torch.uint8)


def _both_ways(taken_KHWC: Tensor, weight_KS: Tensor) -> Tensor:
    """Products with a matrix for each picture: sums of shifted pictures were three calls for each weight."""
    num, height, width, channels = taken_KHWC.shape
    down_KHX = _matrices(weight_KS, height) @ taken_KHWC.float().reshape(num, height, -1)
    columns_KWX = down_KHX.reshape(num, height, width, channels).transpose(1, 2).reshape(num, width, -1)
    return (_matrices(weight_KS, width) @ columns_KWX).reshape(num, width, height, channels).transpose(1, 2)


def _matrices(weight_KS: Tensor, size: int) -> Tensor:
    """(K, size, size) from pixels to weighted sums of their neighbours, without a second edge pixel where they are mirrored."""
    num, length = weight_KS.shape
    place_S, place_D = (torch.arange(num, device=weight_KS.device) for num in (length, size))
    period = max(1, 2 * (size - 1))
    source_DS = (place_D[:, None] + place_S - length // 2) % period
    source_DS = torch.where(source_DS < size, source_DS, period - source_DS)
    matrix_KDD = torch.zeros(num, size, size, device=weight_KS.device)
    return matrix_KDD.scatter_add_(2, source_DS.expand(num, -1, -1), weight_KS[:, None].expand(-1, size, -1))


def _filtered(taken_KHWC: Tensor, kernel_K33: Tensor) -> Tensor:
    """A sum of nine shifted pictures: a GPU's convolution may round to 10 bits (TF32)."""
    _, height, width, _ = taken_KHWC.shape
    padded_KCYX = F.pad(taken_KHWC.permute(0, 3, 1, 2).float(), (1, 1, 1, 1), mode="reflect")
    filtered_KCHW = torch.zeros((), device=taken_KHWC.device)
    for y, x in product(range(3), repeat=2):
        filtered_KCHW = filtered_KCHW + kernel_K33[:, y, x, None, None, None] * padded_KCYX[:, :, y : y + height, x : x + width]
    return filtered_KCHW.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)


def _noisy(taken_KHWC: Tensor, mean_K: Tensor, std_K: Tensor, word_K: Tensor) -> Tensor:
    pixel_D = torch.arange(1, taken_KHWC[0].numel() + 1, device=taken_KHWC.device)
    normal_KD = _normal(word_K[:, None] + pixel_D * _GAMMA)
    noise_KD = ((mean_K[:, None] + std_K[:, None] * normal_KD) * 255).trunc()
    return (taken_KHWC + noise_KD.reshape(taken_KHWC.shape)).clamp(0, 255).to(torch.uint8)


def _normal(word: Tensor) -> Tensor:
    """Standard normal numbers of 64-bit words: 24 bits of SplitMix64 (Steele et al. 2014) through the quantile function."""
    word = (word ^ _shifted(word, 30)) * _MIX_1
    word = (word ^ _shifted(word, 27)) * _MIX_2
    uniform = (_shifted(word ^ _shifted(word, 31), 40).double() + 0.5) / (1 << 24)
    normal: Tensor = torch.special.ndtri(uniform).float()
    return normal


def _shifted(word: Tensor, num: int) -> Tensor:
    """A logical shift to the right, filled with zeros: torch's own is arithmetic and repeats the sign."""
    return (word >> num) & ((1 << (64 - num)) - 1)
