"""Randomness by key: what a picture draws is a function of (seed, epoch, op, index), whatever the batch, order or process.

Philox (Salmon et al. 2011) is counter-based: setting its counter to the index takes 1 us, where a new seed for numpy's and
Python's generators, as albumentations' set_random_seed makes it, takes over 100.
"""

from __future__ import annotations

import hashlib
import random
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
WordArray = NDArray[np.uint64]
_GAMMA, _MIX_1, _MIX_2 = (np.uint64(word) for word in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
_PHILOX_FACTORS, _PHILOX_STEPS = (0xD2E7470EE14C6C93, 0xCA5A826395121157), (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)
_PHILOX_ROUNDS, _PHILOX_BLOCK = 10, 4
_FEW = 128
"""Below so many pictures one generator after another is faster: 3.4 us for each, against .8 to 1.3 us all at once and .4 ms beside."""
_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)


class Stream:
    """One numpy generator and a Python one over it, which `seek` sets to the start of an index's own stream."""

    def __init__(self) -> None:
        self._bits = np.random.Philox(0)
        self.generator = np.random.Generator(self._bits)
        self.py_random = _PyRandom(self.generator)
        self._counter = np.zeros(4, np.uint64)
        self._key = np.zeros(2, np.uint64)
        self._base = np.zeros(1, np.uint64)
        self._state: Any = {
            "bit_generator": "Philox",
            "state": {"counter": self._counter, "key": self._key},
            "buffer": np.zeros(4, np.uint64),
            "buffer_pos": 4,
            "has_uint32": 0,
            "uinteger": 0,
        }

    def rekey(self, *key: int | str) -> None:
        """Choose the family of streams."""
        words = np.frombuffer(hashlib.sha256(repr(key).encode()).digest(), np.uint64)
        self._key[:] = words[:2]
        self._base[:] = words[2]

    def seek(self, index: int) -> None:
        """Go to the start of the index's stream. Indices are at least 0."""
        # The lower words count the stream's own blocks.
        self._counter[3] = index
        self._bits.state = self._state

    def hashed_uniforms(self, index_N: NDArray[np.int64]) -> FloatArray:
        """(N,) one number in [0, 1) for each index: SplitMix64 (Steele et al. 2014) as a hash, independent of the streams."""
        word_N = self._base + (index_N.astype(np.uint64) + np.uint64(1)) * _GAMMA
        word_N = (word_N ^ (word_N >> np.uint64(30))) * _MIX_1
        word_N = (word_N ^ (word_N >> np.uint64(27))) * _MIX_2
        word_N ^= word_N >> np.uint64(31)
        return as_uniforms(word_N)

    def words(self, index_K: NDArray[np.int64], num: int) -> WordArray:
        """The first `num` words of 64 bits of each index's stream, as its generator would draw them: (K, num)."""
        if len(index_K) < _FEW:
            return np.array([self._seek_raw(index, num) for index in index_K.tolist()], np.uint64).reshape(-1, num)
        num_blocks = -(-num // _PHILOX_BLOCK)
        # numpy counts up before it makes a block.
        first = np.tile(np.arange(1, num_blocks + 1, dtype=np.uint64), len(index_K))
        zero = np.zeros_like(first)
        blocks = _philox((first, zero, zero, np.repeat(index_K.astype(np.uint64), num_blocks)), self._key.tolist())
        return np.stack(blocks, axis=1).reshape(len(index_K), -1)[:, :num]

    def _seek_raw(self, index: int, num: int) -> WordArray:
        self.seek(index)
        return self._bits.random_raw(num)

    def uniforms(self, index_K: NDArray[np.int64], num: int) -> FloatArray:
        """The first `num` numbers in [0, 1) of each index's stream: (K, num)."""
        return as_uniforms(self.words(index_K, num))


def as_uniforms(words: WordArray) -> FloatArray:
    """Numbers in [0, 1), as a generator makes them of its words."""
    u: FloatArray = (words >> np.uint64(11)).astype(np.float64)
    return u * 2.0**-53


def below(u: FloatArray, num: int | NDArray[np.int64]) -> NDArray[np.int64]:
    """Numbers in [0, 1) as numbers from 0 to num - 1, as `py_random` makes them."""
    return (u * num).astype(np.int64)


def halves(word_KW: WordArray) -> WordArray:
    """(K, 2 W): each word's low 32 bits, then its high ones, as a generator draws where it needs no more."""
    return np.stack([word_KW & _LOW, word_KW >> _HALF], axis=2).reshape(len(word_KW), -1)


def bounded(half_K: WordArray, num: int | NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """32 bits as numbers from 0 to num - 1 as numpy's `integers` makes them (Lemire 2019), num above 1; and a mask.

    Where the mask is False, with a chance of num / 2^32, numpy may draw again, so that its number is not known.
    """
    product_K = half_K * np.asarray(num, np.uint64)
    return (product_K >> _HALF).astype(np.int64), (product_K & _LOW) >= np.asarray(num, np.uint64)


class _PyRandom(random.Random):
    """Python's Random over a numpy generator, by the two methods that its documentation names for this.

    A whole number takes one uniform one, where Python's own way draws until a number of bits is small enough: so draws of
    many streams can be made at once. It is off by less than 2^-50.
    """

    def __init__(self, generator: np.random.Generator) -> None:
        super().__init__(0)
        self._generator = generator

    def random(self) -> float:
        return self._generator.random()

    def _randbelow(self, n: int) -> int:
        return int(self._generator.random() * n)

    def getrandbits(self, k: int, /) -> int:
        num_bytes = (k + 7) // 8
        return int.from_bytes(self._generator.bytes(num_bytes), "little") >> (8 * num_bytes - k)


def _philox(counter: tuple[WordArray, ...], key: list[int]) -> tuple[WordArray, ...]:
    """Philox 4x64 with 10 rounds (Salmon et al. 2011) of many counters."""
    c0, c1, c2, c3 = counter
    for number in range(_PHILOX_ROUNDS):
        k0, k1 = (np.uint64((word + number * step) & 0xFFFFFFFFFFFFFFFF) for word, step in zip(key, _PHILOX_STEPS, strict=True))
        (high0, low0), (high1, low1) = _product(_PHILOX_FACTORS[0], c0), _product(_PHILOX_FACTORS[1], c2)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
    return c0, c1, c2, c3


def _product(factor: int, word: WordArray) -> tuple[WordArray, WordArray]:
    """The high and the low 64 bits of a product of 128."""
    high_factor, low_factor = np.uint64(factor >> 32), np.uint64(factor & 0xFFFFFFFF)
    high_word, low_word = word >> _HALF, word & _LOW
    middle = high_word * low_factor + ((low_word * low_factor) >> _HALF)
    carried = low_word * high_factor + (middle & _LOW)
    return high_word * high_factor + (middle >> _HALF) + (carried >> _HALF), word * np.uint64(factor)
