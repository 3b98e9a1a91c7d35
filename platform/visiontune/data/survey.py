"""What can be said of pictures before they are ingested: counts of classes, sizes, colour. Labels are read, and a few pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from visiontune.data.picture.bad_picture import BadPicture
from visiontune.data.prepare import describe, source_of, with_defaults
from visiontune.data.sample import sample_lines

NUM_DECODED = 24
_ANY_SIZE = 64  # pictures that are no squares need one


@dataclass(frozen=True)
class Survey:
    """`counts`: pictures of each class of those that are not for val or test already, within max_pictures. Sizes are medians of a few.

    `num_of_many` is how many there are where they have several classes, None where they have one each. `said` is how many of
    how many can be read, "" where there are no files.
    """

    counts: Mapping[str, int]
    channels: int
    short_side: int
    long_side: int
    has_test: bool
    has_val: bool = False
    num_of_many: int | None = None
    said: str = field(default="", compare=False)

    @property
    def num_pictures(self) -> int:
        """Of all classes."""
        return sum(self.counts.values()) if self.num_of_many is None else self.num_of_many

    @property
    def imbalance(self) -> float:
        """The largest class in sizes of the smallest."""
        return max(self.counts.values()) / max(1, min(self.counts.values()))


def survey(data: Mapping[str, Any]) -> Survey:
    """Look at the pictures of a section `data`. Raises UserError for what can't be used, as an ingest does."""
    source = source_of(whole := with_defaults(data))
    info = describe({**data, "image_size": data.get("image_size") or _ANY_SIZE}, source)
    num = source.num_train
    rows_N = np.unique(np.linspace(0, num - 1, NUM_DECODED).astype(np.int64))
    good = [picture.shape for picture in source.pictures("train", rows_N) if not isinstance(picture, BadPicture)]
    shapes = good or [source.first()]
    short, long = int(np.median([min(shape[:2]) for shape in shapes])), int(np.median([max(shape[:2]) for shape in shapes]))
    kept = min(1.0, (data.get("max_pictures") or num) / num)
    return Survey(
        dict(zip(source.class_names, (round(count * kept) for count in source.counts_C.tolist()), strict=True)),
        info.channels,
        short,
        long,
        source.has_test,
        source.has_val,
        None if source.label_sets is None else round(num * kept),
        next(iter(sample_lines(source, whole, refuses=True)), ""),
    )
