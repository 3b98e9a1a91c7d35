"""Digests of stored pictures: 128 bits each. Letters: B pictures of a block, K of a chunk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from visiontune.data.picture.stored_form import Form
from visiontune.data.split import IntArray

Digests = NDArray[np.uint64]
Bytes = NDArray[np.uint8]

_PIECE_BYTES = 32 << 10
BLOCK_BYTES = 1 << 20
"""Bytes of pixels that stay in the CPU's cache while they are resized, digested and summed. Blocks of 4 MiB take twice as long."""


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


def digest_of_pixels(stored: Bytes) -> bytes:
    """128 bits of the bytes of one picture, whatever their number: in pieces of 32 KiB, the digests of those with BLAKE2b."""
    flat = np.zeros(-(-stored.size // _PIECE_BYTES) * _PIECE_BYTES, np.uint8)
    flat[: stored.size] = stored.reshape(-1)
    pieces = digests_of(flat.reshape(-1, _PIECE_BYTES)).astype("<u8").tobytes()
    return hashlib.blake2b(pieces + stored.size.to_bytes(8, "little"), digest_size=16).digest()


def digests_of_each(pictures: Iterable[Bytes]) -> Digests:
    """(B, 2) of pictures of unequal shapes."""
    return np.frombuffer(b"".join(map(digest_of_pixels, pictures)), "<u8").reshape(-1, 2).astype(np.uint64)


def digests_of_bytes(contents: list[bytes]) -> Digests:
    """(B, 2) 128 bits of BLAKE2b."""
    digests = b"".join(hashlib.blake2b(content, digest_size=16).digest() for content in contents)
    return np.frombuffer(digests, "<u8").reshape(-1, 2).astype(np.uint64)


def checks_of(stored: Bytes, length_K: IntArray, form: Form) -> Digests:
    """What `check_K2` must be for these bytes."""
    if form.is_even:
        if len(stored) != len(length_K) * form.picture_bytes:
            return np.zeros((0, 2), np.uint64)
        step = max(1, BLOCK_BYTES // form.picture_bytes)
        images = stored.reshape(len(length_K), form.picture_bytes)
        found = [digests_of(images[low : low + step]) for low in range(0, len(images), step)]
        return np.concatenate(found) if found else np.zeros((0, 2), np.uint64)
    ends = np.cumsum(length_K)
    pieces = [stored[end - length : end] for end, length in zip(ends, length_K, strict=True)]
    return digests_of_each(pieces) if form.kind == "raw" else digests_of_bytes([one.tobytes() for one in pieces])


@cache
def _factors(num: int) -> Digests:
    # The bit generator's raw stream is the same in every version of numpy.
    return (np.random.PCG64(1).random_raw(2 * num) | np.uint64(1)).reshape(2, num)
