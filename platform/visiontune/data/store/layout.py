"""The layout of a store's file, for those who write it and those who read it.

One Arrow IPC record batch with the columns image (raw: fixed_size_binary, uint8 HWC, or large_binary where pictures are kept in their
own shapes; encoded: large_binary, a file's bytes), label (int64) and split (uint8: 0 train, 1 val, 2 test), and of large pictures
height and width (int64) as they came. The footer's metadata hold a JSON text, its SHA-256, and the report of the ingest:
what comes before the pictures has a length that is known before they are, so that raw ones are written where they stay. Pictures that
are dropped as repeats lie behind the first `num_rows`, their split is 3.

Another split of the same pictures is a file without the column image: row (int64) tells which row of the store `pixels`, beside it, a
picture is. Its digest is that of content and splits, as though it had been decoded anew.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

VERSION = 4
METADATA_KEY = b"visiontune"
CHECKSUM_KEY = b"visiontune.sha256"
REPORT_KEY = b"visiontune.report"
SPLITS = ("train", "val", "test")
SHARD_BYTES = 64 << 20


def rows_checksum(label_N: NDArray[np.int64], code_N: NDArray[np.uint8], shape_N2: NDArray[np.int64] | None = None) -> str:
    """SHA-256 over labels and splits, and shapes where they are kept."""
    shapes = b"" if shape_N2 is None else shape_N2.tobytes()
    return hashlib.sha256(label_N.tobytes() + code_N.tobytes() + shapes).hexdigest()


def shard_digest(check_N2: NDArray[np.uint64]) -> str:
    """The digest of a shard, out of those of its pictures."""
    return hashlib.sha256(check_N2.astype("<u8").tobytes()).hexdigest()[:32]
