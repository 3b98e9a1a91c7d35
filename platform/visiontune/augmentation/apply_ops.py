"""Named ops applied to pictures by key, by whichever engine. Pictures are uint8 NHWC; index_N counts them in the store.

This module imports albumentations only when an op is applied.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visiontune.augmentation.keyed_random import FloatArray, Stream
from visiontune.spec.declarations.declare import Entry
from visiontune.spec.declarations.image_size import ImageSize
from visiontune.spec.tables.ops import OPS

Pictures = NDArray[np.uint8]
IntArray = NDArray[np.int64]
Kinds = Sequence[tuple[str, float]]
_MOST_TRANSFORMS = 4096


class Ops:
    """Applies named ops and draws random numbers by key. Not for several threads at once: they would share its generator."""

    def __init__(self, image_size: ImageSize, engine: str = "batched", entries: Mapping[str, Entry] | None = None) -> None:
        """`engine` is batched or albumentations, which give the same pictures to the bit, or device, for pictures in a tensor.

        `entries` are those of the table as it is now, which outlast the plugins that are in use now.
        """
        self.image_size, self.engine, self.stream = image_size, engine, Stream()
        self.entries = OPS.entries if entries is None else entries
        self.transform = lru_cache(_MOST_TRANSFORMS)(self._transform)

    def __reduce__(self) -> tuple[type[Ops], tuple[ImageSize, str, Mapping[str, Entry] | None]]:
        """Pickled without the transforms that were built."""
        return Ops, (self.image_size, self.engine, None if self.entries is OPS.own else self.entries)

    def uniforms(self, index_N: IntArray, *key: int | str) -> FloatArray:
        """A number in [0, 1) for each index, keyed."""
        self.stream.rekey(*key)
        return self.stream.hashed_uniforms(index_N)

    def integers(self, num: int, index_N: IntArray, *key: int | str) -> IntArray:
        """A number from 0 to num - 1 for each index, all equally likely, keyed."""
        return (self.uniforms(index_N, *key) * num).astype(np.int64)

    def apply(self, name: str, magnitude: float, pictures_NHWC: Pictures, rows_K: IntArray, index_N: IntArray, *key: int | str) -> None:
        """Change these rows in place, each by its own index's stream under the key. The magnitude of an op without one is ignored."""
        if len(rows_K) and not self._is_nothing(name, magnitude):
            self._change(name, self.transform(name, magnitude), pictures_NHWC, rows_K, index_N, *key)

    def apply_drawn(
        self, kinds: Kinds, which_K: IntArray, pictures_NHWC: Pictures, rows_K: IntArray, index_N: IntArray, *key: int | str
    ) -> None:
        """Row k gets the op and magnitude kinds[which_K[k]]; rows of one op are changed together, whatever their magnitudes."""
        from visiontune.augmentation.engines.reference import Together

        for name in dict.fromkeys(name for name, _ in kinds):
            changing = [number for number, kind in enumerate(kinds) if kind[0] == name and not self._is_nothing(*kind)]
            mine = np.flatnonzero(np.isin(which_K, changing))
            if len(mine):
                transforms = [self.transform(name, kinds[number][1] if self._has_magnitude(name) else 1.0) for number in changing]
                together = Together(transforms, np.searchsorted(changing, which_K[mine]))
                self._change(name, together, pictures_NHWC, rows_K[mine], index_N, *key)

    def apply_exact(self, name: str, strength_K: FloatArray, pictures_NHWC: Pictures, rows_K: IntArray, interpolation: str) -> None:
        """Change these rows in place, each at its own strength (exact_ops.py); nothing is drawn."""
        if self.engine == "device":
            from visiontune.augmentation.engines.device_exact_ops import apply_exact_on_device

            apply_exact_on_device(name, pictures_NHWC, rows_K, strength_K, interpolation)  # type: ignore[arg-type]
            return
        from visiontune.augmentation.engines.exact_ops import apply_exact

        apply_exact(name, pictures_NHWC, rows_K, strength_K, interpolation)

    def beside(self, values: NDArray[Any], pictures_NHWC: Pictures) -> Any:
        """The values in the memory of the pictures: as they are, or as a tensor on the device."""
        if self.engine != "device":
            return values
        from visiontune.augmentation.to_device import to_device

        return to_device(values, pictures_NHWC.device)  # type: ignore[arg-type]

    def copied(self, pictures_NHWC: Any) -> Any:
        """A copy of the pictures, which may be changed in place."""
        return pictures_NHWC.clone() if self.engine == "device" else np.array(pictures_NHWC, np.uint8, order="C")

    def _change(self, name: str, transform: Any, pictures_NHWC: Pictures, rows_K: IntArray, index_N: IntArray, *key: int | str) -> None:
        self.stream.rekey(*key, name)
        if self.engine == "device":
            from visiontune.augmentation.engines.device import apply_on_device

            apply_on_device(name, transform, self.stream, pictures_NHWC, rows_K, index_N[rows_K])  # type: ignore[arg-type]
            return
        from visiontune.augmentation.engines.batched import engine_of

        engine_of(name, self.engine)(transform, self.stream, pictures_NHWC, rows_K, index_N[rows_K])

    def _transform(self, name: str, magnitude: float) -> Any:
        args = {"magnitude": magnitude} if self._has_magnitude(name) else {}
        transform = self.entries[name].load()(**args, image_size=self.image_size)
        transform.set_random_state(self.stream.generator, self.stream.py_random)
        return transform

    def _is_nothing(self, name: str, magnitude: float) -> bool:
        return magnitude == 0 and self._has_magnitude(name)

    def _has_magnitude(self, name: str) -> bool:
        return "magnitude" in self.entries[name].args


def has_magnitude(name: str) -> bool:
    """Whether an op has a strength."""
    return "magnitude" in OPS.entries[name].args
