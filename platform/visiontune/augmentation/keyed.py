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
_GAMMA, _MIX_1, _MIX_2 = (np.uint64(word) for word in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


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

    def coins(self, index_N: NDArray[np.int64]) -> FloatArray:
        """One number in [0, 1) for each index: SplitMix64 (Steele et al. 2014) as a hash, apart from the streams."""
        word_N = self._base + (index_N.astype(np.uint64) + np.uint64(1)) * _GAMMA
        word_N = (word_N ^ (word_N >> np.uint64(30))) * _MIX_1
        word_N = (word_N ^ (word_N >> np.uint64(27))) * _MIX_2
        word_N ^= word_N >> np.uint64(31)
        return (word_N >> np.uint64(11)) * 2.0**-53  # type: ignore[no-any-return]

    def uniforms(self, index_K: NDArray[np.int64], num: int) -> FloatArray:
        """The first `num` numbers in [0, 1) of each index's stream: (K, num)."""
        u_KU = np.empty((len(index_K), num))
        for row, index in enumerate(index_K.tolist()):
            self.seek(index)
            self.generator.random(out=u_KU[row])
        return u_KU


class _PyRandom(random.Random):
    """Python's Random over a numpy generator, by the two methods that its documentation names for this."""

    def __init__(self, generator: np.random.Generator) -> None:
        super().__init__(0)
        self._generator = generator

    def random(self) -> float:
        return self._generator.random()

    def getrandbits(self, k: int, /) -> int:
        num_bytes = (k + 7) // 8
        return int.from_bytes(self._generator.bytes(num_bytes), "little") >> (8 * num_bytes - k)
