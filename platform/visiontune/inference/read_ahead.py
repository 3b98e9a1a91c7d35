"""Pictures decoded by threads while the network works on those before: in order, a bounded number ahead.

OpenCV, Pillow and the reading of files let other threads run, and a process that uses CUDA can't be forked: benchmarks/predict.py compares
with the validation loop, which decodes nothing or in processes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from visiontune.data.ingest.worker_pool import one_opencv_thread
from visiontune.data.picture.bad_picture import BadPicture, Picture, Values
from visiontune.errors import UserError, first_line
from visiontune.filesystem.cgroup import num_cpus
from visiontune.inference.find_pictures import Given

_AT_ONCE = 16
"""Pictures that a thread is handed together: one by one, handing over costs as much as decoding a small one."""


class TakesPictures(Protocol):
    """What `decoded` needs of a classifier."""

    def picture_of(self, encoded: bytes) -> Picture:
        """See Classifier."""

    def fitted(self, values: Values) -> Picture:
        """See Classifier."""


@dataclass(frozen=True)
class Decoded:
    """Some pictures in order; `problems` has why one can't be used by its place, `images_NHWC` all others."""

    names: tuple[str, ...]
    images_NHWC: NDArray[np.uint8]
    problems: dict[int, str]


def decoded(given: Iterator[Given], classifier: TakesPictures) -> Iterator[Decoded]:
    """All of them, sixteen at a time. Never raises BadPicture."""
    num_threads, waiting = num_cpus(), deque[Future[Decoded]]()
    pool = ThreadPoolExecutor(num_threads, thread_name_prefix="decode")
    try:
        with one_opencv_thread():
            while True:
                while len(waiting) < 4 * num_threads and (some := list(islice(given, _AT_ONCE))):
                    waiting.append(pool.submit(_decode, some, classifier))
                if not waiting:
                    return
                yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _decode(given: list[Given], classifier: TakesPictures) -> Decoded:
    pictures, problems = list[Picture](), dict[int, str]()
    for place, one in enumerate(given):
        try:
            content = one.load()
            pictures.append(classifier.fitted(content) if isinstance(content, np.ndarray) else classifier.picture_of(content))
        except (BadPicture, UserError) as error:  # UserError: the disk or the network failed for this one
            problems[place] = first_line(error)
    images_NHWC = np.stack(pictures) if pictures else np.zeros((0, 1, 1, 1), np.uint8)
    return Decoded(tuple(one.name for one in given), images_NHWC, problems)
