"""How fast pictures are ingested, as a share of the rate at which OpenCV alone decodes the same files on all cores.

    .venv/bin/python benchmarks/ingest.py            # about a minute

CIFAR-10 written out as JPEG files in folders (32 px), and photographs of 500 x 375 and of 2000 x 1500 px stored for 224 px. The peer
reads and decodes every file in as many threads, and keeps nothing. Ingest also lists, digests contents, resizes, compares, sums
and writes; both take turns, and the medians of wall time and of processor time (of all processes) are compared.

What to expect: 0.8 was aimed at. See the README for what was measured. Of a photograph's time on one core two thirds are decoding; the
rest is resizing (0.11 ms), digests (0.09), writing (0.05), sums and thumbnails (0.05), and then waiting for the disk. A file of 32 px takes
20 us to read and decode; Python's own work on it, half of it in one process, takes as long. Camera's photographs are decoded at a half, a
quarter or an eighth, which saves more than all else costs.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq

from visiontune.data.prepare import prepare

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "cifar10_test.parquet"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cifar", type=Path, default=SHARED, help="Parquet file with the columns image and label")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        small, large, huge = (Path(folder) / name for name in ("small", "large", "huge"))
        write_cifar(args.cifar, small)
        write_photographs(large, 1600, 500, 375)
        write_photographs(huge, 160, 2000, 1500)
        for_224 = {"image_size": 224, "duplicates": "keep"}
        kinds = (("32 px", small, {}), ("500 x 375 for 224 px", large, for_224), ("2000 x 1500 for 224 px", huge, for_224))
        for name, path, more in kinds:
            compare(name, path, {"source": "folder", "path": str(path), **more}, Path(folder) / "cache", args.rounds)


def compare(name: str, path: Path, data: dict[str, object], cache: Path, rounds: int) -> None:
    """Alternating rounds of both."""
    files = sorted(path.glob("*/*.jpg"))
    spent: dict[str, list[tuple[float, float]]] = {"opencv": [], "ingest": []}
    for _ in range(rounds):
        spent["opencv"].append(timed(lambda: decode_all(files)))
        shutil.rmtree(cache, ignore_errors=True)
        spent["ingest"].append(timed(lambda: prepare(data, cache)))
    wall, cpu = ({who: statistics.median(one[kind] for one in found) for who, found in spent.items()} for kind in (0, 1))
    print(
        f"{name}: OpenCV {len(files) / wall['opencv']:,.0f}/s, ingest {len(files) / wall['ingest']:,.0f}/s on {os.cpu_count()} cores, "
        f"ratio {wall['opencv'] / wall['ingest']:.2f} of wall time, {cpu['opencv'] / cpu['ingest']:.2f} of processor time (n = {rounds})",
        flush=True,
    )


def timed(run: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the clock and of all threads and processes."""
    start = time.perf_counter(), processor_s()
    run()
    return time.perf_counter() - start[0], processor_s() - start[1]


def processor_s() -> float:
    """Of this process and of those that it has waited for."""
    return sum(os.times()[:4])


def decode_all(files: list[Path]) -> None:
    """The peer."""

    def some(chunk: list[Path]) -> None:
        for path in chunk:
            cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(some, [files[low : low + 64] for low in range(0, len(files), 64)]))


def write_cifar(parquet: Path, folder: Path) -> None:
    table = pq.read_table(parquet)
    for number, (image, label) in enumerate(zip(table["image"].to_pylist(), table["label"].to_pylist(), strict=True)):
        path = folder / str(label) / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image["bytes"])


def write_photographs(folder: Path, num: int, width: int, height: int) -> None:
    """Parts of scikit-learn's two photographs, enlarged, with noise of their own."""
    from sklearn.datasets import load_sample_images

    rng, photos = np.random.default_rng(0), load_sample_images().images
    for number in range(num):
        top, left = rng.integers(0, 127), rng.integers(0, 240)
        part = cv2.resize(photos[number % 2][top : top + 300, left : left + 400], (width, height), interpolation=cv2.INTER_CUBIC)
        part = np.clip(part + rng.normal(0, 4, part.shape), 0, 255).astype(np.uint8)
        path = folder / f"class {number % 4}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), part[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])


if __name__ == "__main__":
    main()
