"""Batched ops that blur, sharpen or add noise; batched.py says how all of them work."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from visiontune.augmentation.engines import random_texture
from visiontune.augmentation.engines.reference import IntArray, Pictures
from visiontune.augmentation.keyed_random import Stream, bounded, halves


def blur(transform: Any, stream: Stream, pictures_NHWC: Pictures, rows_K: IntArray, index_K: IntArray) -> None:
    """Means over squares."""
    side_K = random_texture.box_sides(transform, stream, index_K, pictures_NHWC.shape)
    for row, picture_HWC, side in zip(rows_K.tolist(), pictures_NHWC[rows_K], side_K.tolist(), strict=True):
        cv2.blur(picture_HWC, (side, side), pictures_NHWC[row])


def gaussian_blur(transform: Any, stream: Stream, pictures_NHWC: Pictures, rows_K: IntArray, index_K: IntArray) -> None:
    """Down the columns and along the rows."""
    deviation_K, half_K = random_texture.bells(transform, stream, index_K, pictures_NHWC.shape)
    for row, picture_HWC, deviation, half in zip(rows_K.tolist(), pictures_NHWC[rows_K], deviation_K, half_K.tolist(), strict=True):
        weight_S = random_texture.bell(deviation, half)
        cv2.sepFilter2D(picture_HWC, -1, weight_S, weight_S, pictures_NHWC[row])


def sharpen(transform: Any, stream: Stream, pictures_NHWC: Pictures, rows_K: IntArray, index_K: IntArray) -> None:
    """One filter of 3 x 3 for each picture."""
    kernel_K33 = random_texture.sharpening(transform, stream, index_K, pictures_NHWC.shape)
    for row, picture_HWC, kernel_33 in zip(rows_K.tolist(), pictures_NHWC[rows_K], kernel_K33, strict=True):
        cv2.filter2D(picture_HWC, -1, kernel_33, pictures_NHWC[row])


def gauss_noise(transform: Any, stream: Stream, pictures_NHWC: Pictures, rows_K: IntArray, index_K: IntArray) -> None:
    """OpenCV's generator, seeded with 16 bits for each picture; noise is truncated to whole values."""
    mean_K, std_K, word_K = random_texture.noises(transform, stream, index_K, pictures_NHWC.shape)
    seed_K, _ = bounded(halves(word_K[:, np.newaxis])[:, 0], 1 << 16)
    channels = pictures_NHWC.shape[3]
    one_C, noise_HWC = np.ones(channels, np.float32), np.zeros(pictures_NHWC.shape[1:])
    for row, seed, mean, std in zip(rows_K.tolist(), seed_K.tolist(), mean_K.tolist(), std_K.tolist(), strict=True):
        cv2.setRNGSeed(seed)
        cv2.randn(noise_HWC, mean * one_C, std * one_C)
        whole_HWC = np.trunc(noise_HWC.astype(np.float32) * 255)
        whole_HWC += pictures_NHWC[row]
        pictures_NHWC[row] = np.clip(whole_HWC, 0, 255, out=whole_HWC)
