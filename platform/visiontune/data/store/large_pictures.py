"""Large pictures of a store: raw with a margin, or encoded; read by index and resized in the caller's thread."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visiontune.data.picture.bad_picture import BadPicture
from visiontune.data.picture.digest import checks_of
from visiontune.data.picture.shape import fit
from visiontune.data.picture.stored_form import Form
from visiontune.data.split import IntArray
from visiontune.data.store.layout import shard_digest
from visiontune.errors import NotAtHand
from visiontune.spec.declarations.image_size import ImageSize, sides

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Large:
    """`images_NHWC` are raw pictures of `stored_size`; else `data` holds pictures as files or in their own shapes, n from offset_N[n] on.

    `shape_N2` are heights and widths as they came, where they are kept. With `row_N` picture n is the one at that row, but for `digest`.
    """

    path: Path
    form: Form
    images_NHWC: Bytes | None = None
    data: Bytes | None = None
    offset_N: IntArray | None = None
    shape_N2: IntArray | None = None
    row_N: IntArray | None = None

    @staticmethod
    def of_raw(images_NHWC: Bytes) -> Large:
        """Pictures in memory at their training size, for `read` at another one."""
        _, height, width, channels = images_NHWC.shape
        size = height, width
        return Large(Path(), Form("raw", size, size, channels, False), images_NHWC)

    def __len__(self) -> int:
        if self.row_N is not None:
            return len(self.row_N)
        return len(self.images_NHWC) if self.images_NHWC is not None else len(self._offsets) - 1

    def read(self, index_N: IntArray, size: ImageSize) -> Bytes:
        """(N, height, width, C) uint8. Raises UserError for a picture that is damaged."""
        shape = sides(size)
        read_NHWC = np.empty((len(index_N), *shape, self.form.channels), np.uint8)
        for number, row in enumerate(index_N.tolist()):
            read_NHWC[number] = fit(self.form.seen(self.stored(row)), shape, self.form.channels)
        return read_NHWC

    def read_crops(self, index_N: IntArray, box_N4: IntArray, size: ImageSize) -> Bytes:
        """See Store."""
        shape = sides(size)
        read_NHWC = np.empty((len(index_N), *shape, self.form.channels), np.uint8)
        for number, (row, box) in enumerate(zip(index_N.tolist(), box_N4.tolist(), strict=True)):
            read_NHWC[number] = fit(self.form.crop_of(self.stored(row), self._shape(row), tuple(box)), shape, self.form.channels)
        return read_NHWC

    def croppable_N2(self, index_N: IntArray) -> IntArray | None:
        """See Store."""
        if self.shape_N2 is None:
            return None
        return np.array([self.form.croppable(self._shape(row)) for row in index_N.tolist()], np.int64).reshape(-1, 2)

    def stored(self, row: int) -> Bytes:
        """What is kept, uint8 HWC, the same to the bit for raw and encoded. Raises UserError for a picture that is damaged."""
        if self.images_NHWC is not None:
            picture: Bytes = self.images_NHWC[self._place(row)]
            return picture
        if self.form.kind == "raw":
            pixels = self._bytes(row)
            return pixels.reshape(*self.form.kept_size(self._shape(row)), self.form.channels)
        try:
            return self.form.picture_of(self.encoded(row))
        except BadPicture as error:
            raise NotAtHand(f"the store {self.path} is damaged: picture {row} {error}; `visiontune data --verify` tells where") from error

    def kept(self, row: int) -> tuple[Bytes, tuple[slice, slice]]:
        """See Store."""
        kept = self.stored(row)
        rows, columns = self.form.seen(kept).shape[:2]
        top, left = (kept.shape[0] - rows) // 2, (kept.shape[1] - columns) // 2
        return kept, (slice(top, top + rows), slice(left, left + columns))

    def encoded(self, row: int) -> bytes:
        """The file's bytes."""
        return self._bytes(row).tobytes()

    def digest(self, start: int, end: int) -> str:
        """The digest of what is stored of these rows; they are undamaged where it is that of their shard."""
        if self.images_NHWC is not None:
            stored = self.images_NHWC[start:end].reshape(-1)
            lengths = np.full(end - start, self.form.picture_bytes)
        else:
            assert self.data is not None
            stored, lengths = self.data[self._offsets[start] : self._offsets[end]], np.diff(self._offsets[start : end + 1])
        return shard_digest(checks_of(stored, lengths, self.form))

    def _bytes(self, row: int) -> Bytes:
        assert self.data is not None
        place = self._place(row)
        return self.data[self._offsets[place] : self._offsets[place + 1]]

    def _place(self, row: int) -> int:
        return row if self.row_N is None else int(self.row_N[row])

    def _shape(self, row: int) -> tuple[int, int]:
        assert self.shape_N2 is not None
        height, width = self.shape_N2[row].tolist()
        return height, width

    @property
    def _offsets(self) -> IntArray:
        assert self.offset_N is not None
        return self.offset_N


class Rows:
    """Used like an array of these rows of another one, which is read when indexed."""

    dtype = np.dtype(np.uint8)
    ndim = 4

    def __init__(self, images_NHWC: Bytes, row_N: IntArray) -> None:
        self._images_NHWC, self._row_N = images_NHWC, row_N
        self.shape: tuple[int, ...] = (len(row_N), *images_NHWC.shape[1:])
        self.nbytes = self.size = int(np.prod(self.shape))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Bytes:
        """As an array would give them."""
        first, *rest = key if isinstance(key, tuple) else (key,)
        rows = self._row_N[first]
        images: Bytes = self._images_NHWC[rows]
        return images[(*(slice(None) for _ in np.shape(rows)), *rest)] if rest else images

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Bytes:
        """All pictures as one array."""
        return self[:].astype(dtype or np.uint8, copy=False)


class Images:
    """Used like the array of small pictures (`images[rows]`, `.shape`, `.nbytes`), at the training size; read and resized when indexed."""

    dtype = np.dtype(np.uint8)
    ndim = 4

    def __init__(self, large: Large) -> None:
        self._large = large
        self.shape = (len(large), *large.form.image_size, large.form.channels)
        self.nbytes = self.size = int(np.prod(self.shape))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Bytes:
        """Rows as an array would give them: an int, a slice, an array of ints or bools; further axes follow in a tuple."""
        first, *rest = key if isinstance(key, tuple) else (key,)
        rows = np.arange(self.shape[0])[first]
        images = self._large.read(np.atleast_1d(rows).ravel(), self._large.form.image_size)
        images = images.reshape(*np.shape(rows), *self.shape[1:])
        return images[(*(slice(None) for _ in np.shape(rows)), *rest)] if rest else images

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Bytes:
        """All pictures as one array."""
        return self[:].astype(dtype or np.uint8, copy=False)
