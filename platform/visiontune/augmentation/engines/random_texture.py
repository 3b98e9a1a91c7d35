"""What the batched ops that blur, sharpen or add noise draw for each picture; random_geometry.py says how all of them work."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from visiontune.augmentation.engines.random_geometry import Shape, between
from visiontune.augmentation.engines.reference import IntArray
from visiontune.augmentation.keyed_random import FloatArray, Stream, as_uniforms, below

_SMALLEST_BOX = 3
_DEVIATIONS = 3.5
"""Of a bell, to either side; Pillow's, which albumentations follows."""


def box_sides(transform: Any, stream: Stream, index_K: IntArray, shape: Shape) -> IntArray:
    """(K,) odd numbers of pixels; 1 where the magnitude is too small for pictures of this size."""
    low, high = getattr(transform, "blur_limit", (1, 1))
    if high < _SMALLEST_BOX:
        return np.ones(len(index_K), np.int64)
    return low + 2 * below(stream.uniforms(index_K, 1)[:, 0], (high - low) // 2 + 1)


def bells(transform: Any, stream: Stream, index_K: IntArray, shape: Shape) -> tuple[FloatArray, IntArray]:
    """(K,) deviations in pixels, and (K,) pixels to either side of the middle, beyond which a bell is cut off."""
    deviation_K = between(stream.uniforms(index_K, 1), (transform.sigma_limit,))[:, 0]
    return deviation_K, (deviation_K * _DEVIATIONS).astype(np.int64)


def bell(deviation: float, half: int) -> FloatArray:
    """(2 half + 1,) weights."""
    weight_S = np.exp(-0.5 * (np.arange(-half, half + 1) / deviation) ** 2)
    return weight_S / weight_S.sum()  # type: ignore[no-any-return]


def sharpening(transform: Any, stream: Stream, index_K: IntArray, shape: Shape) -> NDArray[np.float32]:
    """(K, 3, 3) filters."""
    alpha_K11, light_K11 = between(stream.uniforms(index_K, 2), (transform.alpha, transform.lightness)).T[:, :, np.newaxis, np.newaxis]
    same, edges = np.zeros((3, 3), np.float32), np.full((3, 3), -1, np.float32)
    same[1, 1], edges[1, 1] = 1, 0
    middle_K33 = np.zeros((len(index_K), 3, 3), np.float32)
    middle_K33[:, 1, 1] = (8 + light_K11[:, 0, 0]).astype(np.float32)
    kernel_K33: NDArray[np.float32] = (1 - alpha_K11).astype(np.float32) * same + alpha_K11.astype(np.float32) * (edges + middle_K33)
    return kernel_K33


def noises(transform: Any, stream: Stream, index_K: IntArray, shape: Shape) -> tuple[FloatArray, FloatArray, NDArray[np.uint64]]:
    """(K,) means and deviations, as shares of the full range, and (K,) the word that seeds OpenCV's generator with 16 bits."""
    word_K3 = stream.words(index_K, 3)
    std_K, mean_K = between(as_uniforms(word_K3[:, :2]), (transform.std_range, transform.mean_range)).T
    return mean_K, std_K, word_K3[:, 2]
