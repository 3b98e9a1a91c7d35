"""The store: pictures in one Arrow file, memory-mapped, so that all trials of a node share them in the page cache.

Layout: images_NHWC uint8 0 to 255, of the training size, C is 1 (grey) or 3 (RGB), read-only; labels_N int64 from 0; mean_C
and std_C float32 of the training pictures divided by 255; index arrays int64, ascending, disjoint.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from visiontune.data.file_names import identity
from visiontune.data.label_sets import Sets, count_classes
from visiontune.data.picture.depth import DEEP, Depth
from visiontune.data.split import IntArray
from visiontune.data.store.ingest_report import IngestReport
from visiontune.data.store.large_pictures import Images, Large, Rows
from visiontune.data.store.layout import REPORT_KEY, SPLITS, rows_checksum
from visiontune.data.store.store_file import column, form_of, opened, whole_of
from visiontune.errors import UserError, first_line
from visiontune.filesystem.cgroup import num_cpus
from visiontune.spec.declarations.image_size import ImageSize, image_size


@dataclass(frozen=True)
class DataInfo:
    """What a model must fit."""

    image_size: ImageSize
    channels: int
    num_classes: int
    class_names: tuple[str, ...]


@dataclass(frozen=True)
class Shard:
    """Rows `start` to `end` (beyond the last) and the digest of what is stored of them."""

    start: int
    end: int
    digest: str


@dataclass(frozen=True)
class Store:
    """An open file; see the top of the module for layout and types. Reading goes through the page cache.

    `images_NHWC` of small pictures is the memory map itself. That of large ones (`large` is set) is used in the same way, but reads and
    resizes what is indexed in the caller's thread; `read` gives other sizes. `base` is the store that has the pixels where this one has the
    splits alone, `whole` is all that lies there, which `shards` count. `frame` is by which rule pictures got their shape,
    `depth` what became 0 and 255 of files with more than 8 bits.
    """

    path: Path
    digest: str
    class_names: tuple[str, ...]
    images_NHWC: NDArray[np.uint8]
    labels_N: IntArray
    train_idx: IntArray
    val_idx: IntArray
    test_idx: IntArray
    mean_C: NDArray[np.float32]
    std_C: NDArray[np.float32]
    large: Large | None = None
    frame: str = "crop"
    depth: Depth = DEEP
    label_sets: Sets | None = None
    """Of classes, which `labels_N` number where pictures have several; None where they number classes."""
    shards: tuple[Shard, ...] = field(default=(), repr=False)
    base: Path | None = None
    whole: Large | None = field(default=None, repr=False)
    retold: IngestReport | None = field(default=None, repr=False)
    """The report in place of the file's, where its pictures are read from elsewhere."""

    @staticmethod
    def open(path: Path) -> Store:
        """Map the file in milliseconds: its length, metadata and labels are checked, not every pixel. Raises UserError."""
        try:
            return _read(path)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"the store {path} cannot be read ({first_line(error)}); `visiontune search FILE` makes it again") from error

    @property
    def info(self) -> DataInfo:
        """Size, channels and classes, for building a model."""
        return DataInfo(self.image_size, self.images_NHWC.shape[3], len(self.class_names), self.class_names)

    def counts_C(self, index_N: IntArray) -> IntArray:
        """How many of these pictures have each class."""
        return count_classes(self.labels_N[index_N], self.label_sets, len(self.class_names))

    def with_class(self, index_N: IntArray, label: int) -> IntArray:
        """Those of the pictures that have this class."""
        num = len(self.class_names if self.label_sets is None else self.label_sets)
        has_L = np.arange(num) == label if self.label_sets is None else np.array([label in one for one in self.label_sets], np.bool_)
        found_N: IntArray = index_N[has_L[self.labels_N[index_N]]]
        return found_N

    @property
    def num_bytes(self) -> int:
        """Of its files."""
        return sum(path.stat().st_size for path in (self.path, self.base) if path is not None)

    @property
    def kind(self) -> str:
        """ "raw" or "encoded"."""
        return "raw" if self.large is None else self.large.form.kind

    @property
    def image_size(self) -> ImageSize:
        """The training size."""
        return image_size(self.images_NHWC.shape[1:3])

    @property
    def stored_size(self) -> ImageSize:
        """Of what is stored: `read` up to it enlarges nothing."""
        return self.image_size if self.large is None else image_size(self.large.form.stored_size)

    def read(self, index_N: IntArray, size: ImageSize) -> NDArray[np.uint8]:
        """(N, height, width, C) uint8: what lies in the frame, resized in the caller's thread. Raises UserError for a damaged picture."""
        if self.large is not None:
            return self.large.read(index_N, size)
        if size == self.image_size:
            return self.images_NHWC[index_N]
        return Large.of_raw(self.images_NHWC).read(index_N, size)

    def read_crops(self, index_N: IntArray, box_N4: IntArray, size: ImageSize) -> NDArray[np.uint8]:
        """The same of a box in each whole picture: top, left, bottom, right in pixels of its `croppable` shape."""
        assert self.large is not None
        return self.large.read_crops(index_N, box_N4, size)

    def croppable_N2(self, index_N: IntArray) -> IntArray | None:
        """(N, 2) height and width of the pictures out of which crops may be taken; None where only what lies in the frame is kept."""
        return None if self.large is None else self.large.croppable_N2(index_N)

    def kept(self, row: int) -> tuple[NDArray[np.uint8], tuple[slice, slice]]:
        """All that is kept of a picture, and where in it the frame lies."""
        if self.large is None:
            return self.images_NHWC[row], (slice(None), slice(None))
        return self.large.kept(row)

    def damaged(self) -> Iterator[Shard]:
        """Every shard whose pixels are not those that were written; reads the whole file, on all cores."""
        with ThreadPoolExecutor(num_cpus()) as pool:
            for shard, is_good in zip(self.shards, pool.map(self._is_good, self.shards), strict=True):
                if not is_good:
                    yield shard

    @property
    def first_name(self) -> str:
        """What the first training picture is called, "" where no report says it."""
        try:
            return self.report().first_name
        except UserError:
            return ""

    def report(self) -> IngestReport:
        """What the ingest found. Raises UserError for a store without it."""
        import pyarrow as pa

        if self.retold is not None:
            return self.retold
        try:
            with pa.memory_map(str(self.path)) as mapped:
                return IngestReport.from_json((pa.ipc.open_file(mapped).metadata or {})[REPORT_KEY])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"the store {self.path} has no report that can be read") from error

    def _is_good(self, shard: Shard) -> bool:
        large = self.whole or self.large or Large.of_raw(self.images_NHWC)
        return large.digest(shard.start, shard.end) == shard.digest


def _read(path: Path) -> Store:
    batch, content = opened(path)
    label_N, split_N = column(batch, "label", np.int64), column(batch, "split", np.uint8)
    base = path.with_name(f"{content['pixels']}.arrow") if "pixels" in content else None
    pixels, form_content = (batch, content) if base is None else opened(base)
    shape_P2 = np.stack([pixels.column(name).to_numpy() for name in ("height", "width")], 1) if "height" in pixels.schema.names else None
    row_N = column(batch, "row", np.int64) if base is not None else np.arange(content.get("num_rows", batch.num_rows))
    if rows_checksum(label_N, split_N, shape_P2 if base is None else row_N) != content["rows_sha256"]:
        raise ValueError("its labels are damaged")
    form = form_of(form_content)
    whole = whole_of(pixels, form, form_content["num_bytes"], base or path, shape_P2)
    images_NHWC, large = _view(whole, row_N)
    index = {name: np.flatnonzero(split_N == code).astype(np.int64) for code, name in enumerate(SPLITS)}
    ends = [shard["rows"] for shard in form_content["shards"]]
    shards = zip([0, *ends], ends, form_content["shards"], strict=False)
    return Store(
        path=path,
        digest=content["digest"],
        class_names=tuple(map(identity, content["class_names"])),
        images_NHWC=images_NHWC,
        labels_N=label_N[: len(row_N)],
        train_idx=index["train"],
        val_idx=index["val"],
        test_idx=index["test"],
        mean_C=np.array(content["mean"], np.float32),
        std_C=np.array(content["std"], np.float32),
        large=large,
        frame=form.rule,
        depth=form.depth,
        label_sets=tuple(map(tuple, content["label_sets"])) if "label_sets" in content else None,
        shards=tuple(Shard(start, end, one["digest"]) for start, end, one in shards),
        base=base,
        whole=whole,
    )


def _view(whole: Large, row_N: IntArray) -> tuple[NDArray[np.uint8], Large | None]:
    """The memory map where pictures are stored at the training size and in this order; else what is used like an array."""
    is_first = np.array_equal(row_N, np.arange(len(row_N)))
    if whole.form.is_even and not whole.form.is_large:
        assert whole.images_NHWC is not None
        images_NHWC = whole.images_NHWC
        return (images_NHWC[: len(row_N)] if is_first else cast("NDArray[np.uint8]", Rows(images_NHWC, row_N))), None
    shape_N2 = None if whole.shape_N2 is None else whole.shape_N2[row_N]
    large = whole if is_first and len(whole) == len(row_N) else replace(whole, row_N=row_N, shape_N2=shape_N2)
    # Made of the file whenever it is indexed, but used like the array that small pictures have.
    return cast("NDArray[np.uint8]", Images(large)), large


def is_good(path: Path) -> bool:
    """Whether a store is there that can be opened."""
    try:
        return bool(path.exists() and Store.open(path))
    except UserError:
        return False


def pixels_of(path: Path) -> Path | None:
    """The store that has the pixels of this one, which then has the splits alone. Raises UserError for a file that is no store."""
    try:
        content = opened(path)[1]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"the store {path} cannot be read ({first_line(error)}); `visiontune search FILE` makes it again") from error
    return path.with_name(f"{content['pixels']}.arrow") if "pixels" in content else None
