"""What is known of stored pictures at a glance: digests, thumbnails, sums. Letters: B pictures of a block, K of a chunk."""

from __future__ import annotations

import hashlib
from functools import cache

import numpy as np
from numpy.typing import NDArray

from visiontune.data.picture.stored_form import Form
from visiontune.data.split import IntArray

Digests = NDArray[np.uint64]
Bytes = NDArray[np.uint8]

THUMB = 8
BLOCK_BYTES = 1 << 20
"""Of pixels: what stays in the cache while it is resized, compared and counted. 4 MiB take twice as long."""
_LARGE_BYTES = 64 << 10


def digests_of(images: Bytes) -> Digests:
    """(B, 2) 128 bits of each picture; (B, ...) contiguous.

    Sums of 64-bit words times fixed random numbers, modulo 2^64, over the words and over the words turned round (so that every
    byte reaches all bits of one of both). Two that differ agree by chance of about 2^-64; against an adversary it is none. A
    tenth of the time of SHA-256 on small pictures.
    """
    num, length = len(images), int(np.prod(images.shape[1:]))
    words = -(-length // 8)
    flat = images.reshape(num, length)
    if length % 8:
        flat = np.zeros((num, words * 8), np.uint8)
        flat[:, :length] = images.reshape(num, length)
    word_BW = flat.view("<u8")
    factors = _factors(words)
    return np.stack([word_BW @ factors[0], word_BW.byteswap() @ factors[1]], axis=1)


def digests_of_bytes(contents: list[bytes]) -> Digests:
    """(B, 2) 128 bits of BLAKE2b."""
    digests = b"".join(hashlib.blake2b(content, digest_size=16).digest() for content in contents)
    return np.frombuffer(digests, "<u8").reshape(-1, 2).astype(np.uint64)


def thumbs_of(images_BHWC: Bytes) -> Bytes:
    """(B, 64): green, or grey, in 8 x 8 areas; of large pictures over 64 x 64 of their pixels."""
    import cv2

    num, size, _, channels = images_BHWC.shape
    place = np.arange(8 * THUMB) * size // (8 * THUMB) if size > 8 * THUMB else slice(None)
    plane_BHW = images_BHWC[:, place][:, :, place, channels // 2]
    # A block of pictures is one tall picture: an area never crosses from one to the next.
    tall = np.ascontiguousarray(plane_BHW).reshape(-1, plane_BHW.shape[2])
    small: Bytes = cv2.resize(tall, (THUMB, THUMB * num), interpolation=cv2.INTER_AREA)
    return small.reshape(num, THUMB * THUMB)


def sums_of(images_BHWC: Bytes, is_asked_B: NDArray[np.bool_]) -> IntArray:
    """(2, C) of the values of the asked pictures, and of their squares."""
    import cv2

    _, size, _, channels = images_BHWC.shape
    is_large = images_BHWC[0].nbytes > _LARGE_BYTES  # then gathering them costs more than a call for each
    asked = [images_BHWC[row] for row in np.flatnonzero(is_asked_B)] if is_large else [images_BHWC[is_asked_B].reshape(-1, size, channels)]
    sum_2C = np.zeros((2, channels), np.int64)
    for tall in asked if is_asked_B.any() else ():
        # Whole numbers, which a double holds exactly.
        squares = [cv2.norm(plane, cv2.NORM_L2SQR) for plane in cv2.split(tall)]
        sum_2C += np.rint([cv2.sumElems(tall)[:channels], squares]).astype(np.int64)
    return sum_2C


def moments_of_sums(sum_2C: IntArray, num: int) -> tuple[list[float], list[float]]:
    """As `moments`, out of sums over `num` values and over their squares, in whole numbers."""
    pairs = [(int(first), int(second)) for first, second in sum_2C.T]
    deviations = [(num * second - first**2) ** 0.5 / (255 * num) for first, second in pairs]
    return [first / (255 * num) for first, _ in pairs], [max(one, 1 / 255) for one in deviations]


def moments(histogram_CV: NDArray[np.int64]) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel, values divided by 255; a constant channel counts as one level wide."""
    share_CV = histogram_CV / histogram_CV.sum(axis=1, keepdims=True)
    value_V = np.arange(256) / 255
    mean_C = share_CV @ value_V
    std_C = np.sqrt(np.maximum((share_CV * (value_V - mean_C[:, np.newaxis]) ** 2).sum(axis=1), 0.0))
    return mean_C.tolist(), np.maximum(std_C, 1 / 255).tolist()


def checks_of(stored: Bytes, length_K: IntArray, form: Form) -> Digests:
    """What `check_K2` must be for these bytes."""
    if form.kind == "raw":
        if len(stored) != len(length_K) * form.picture_bytes:
            return np.zeros((0, 2), np.uint64)
        step = max(1, BLOCK_BYTES // form.picture_bytes)
        images = stored.reshape(len(length_K), form.picture_bytes)
        found = [digests_of(images[low : low + step]) for low in range(0, len(images), step)]
        return np.concatenate(found) if found else np.zeros((0, 2), np.uint64)
    ends = np.cumsum(length_K)
    return digests_of_bytes([stored[end - length : end].tobytes() for end, length in zip(ends, length_K, strict=True)])


@cache
def _factors(num: int) -> Digests:
    # The bit generator's raw stream is the same in every version of numpy.
    return (np.random.PCG64(1).random_raw(2 * num) | np.uint64(1)).reshape(2, num)
