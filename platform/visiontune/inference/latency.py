"""How long a network takes from pictures to logits, and what memory it needs for that, on the device where it lies.

A call begins with uint8 pictures in memory and ends with logits in the CPU's: preprocessing counts, decoding of files does not.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from visiontune.inference.classifier import Classifier

NUM_WARM_UP, NUM_CALLS, MIN_CALLS = 5, 100, 10
"""Calls that are not counted, since the first ones pay for kernels and memory; that are counted at most, and at least."""

MOST_S = 2.0
"""Seconds after which no more than MIN_CALLS are made."""

BATCHES = (1, 64)


@dataclass(frozen=True)
class Latency:
    """Of `num_calls` with so many pictures each, one after the other."""

    batch_size: int
    median_ms: float
    p95_ms: float
    num_calls: int


def latency(classifier: Classifier, batch_size: int) -> Latency:
    """Of a network that is in nobody else's way but by what runs on its machine."""
    images_NHWC = _pictures(classifier, batch_size)
    for _ in range(NUM_WARM_UP):
        classifier.logits(images_NHWC)
    found: list[float] = []
    started = time.perf_counter()
    while len(found) < MIN_CALLS or (len(found) < NUM_CALLS and time.perf_counter() - started < MOST_S):
        called = time.perf_counter()
        classifier.logits(images_NHWC)  # ends on the CPU, so nothing of it is still under way
        found.append(1000 * (time.perf_counter() - called))
    return Latency(batch_size, statistics.median(found), float(np.quantile(found, 0.95)), len(found))


def peak_memory_bytes(classifier: Classifier, batch_size: int) -> int | None:
    """Of a GPU's memory, weights included, by torch's allocator; None on a CPU, where a process' memory says nothing of one call."""
    if classifier.device.type != "cuda":
        return None
    torch.cuda.reset_peak_memory_stats(classifier.device)
    classifier.logits(_pictures(classifier, batch_size))
    return torch.cuda.max_memory_allocated(classifier.device)


def latencies(classifier: Classifier, names: Iterable[str] | None = None) -> dict[str, float]:
    """By the names of `MEASURED_COSTS`, all or these: latency_64_p95_ms is of 64 pictures at once. Only what is asked for is measured."""
    wanted = None if names is None else {*names}
    found: dict[str, float] = {}
    for batch_size in BATCHES:
        head = "latency" if batch_size == 1 else f"latency_{batch_size}"
        keys = (f"{head}_ms", f"{head}_p95_ms")
        if wanted is None or wanted & {*keys}:
            one = latency(classifier, batch_size)
            found |= dict(zip(keys, (one.median_ms, one.p95_ms), strict=True))
    return found


def _pictures(classifier: Classifier, batch_size: int) -> np.ndarray:
    """Noise: what a picture shows makes no difference."""
    shape = *classifier.form.image_size, classifier.form.channels
    return np.random.default_rng(0).integers(0, 256, (batch_size, *shape), dtype=np.uint8)
