"""How fast pictures are ingested, as a share of the rate at which OpenCV alone decodes the same files on all cores.

    .venv/bin/python benchmarks/ingest.py --cifar cifar10_test.parquet            # about a minute
    .venv/bin/python benchmarks/ingest.py                                         # the same on made pictures of 32 px

CIFAR-10 written out as JPEG files in folders (32 px), and photographs of 500 x 375 and of 2000 x 1500 px stored for 224 px. The peer
reads and decodes every file in as many threads, and keeps nothing. Ingest also lists, digests contents, resizes, compares, sums
and writes; both take turns, and the median of the rounds' ratios of wall time and of processor time (of all processes) count.

What to expect: 0.8 was aimed at. At 500 x 375 px three fifths of an ingest's processor time are decoding; the rest is resizing, digests,
writing, sums and thumbnails, and then waiting for the disk. At 32 px TurboJPEG takes .6 of OpenCV's time, and reading a file and Python's
own work on it as long again. Camera's photographs are decoded at a half, a quarter or an eighth, which saves more than all else costs.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq

from common.result import Result, arguments, median_of, parse
from parts.picture_files import NUM_CLASSES, made, write_photographs
from visiontune.data.prepare import prepare
from visiontune.filesystem.cgroup import num_cpus

WANTED = 0.8
FOR_224 = {"image_size": 224, "duplicates": "keep"}
Spent = tuple[float, float]
"""Seconds on the clock, and of all processors."""


def main() -> None:
    """Three kinds of pictures."""
    parser = arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cifar", type=Path, help="Parquet file with the columns image and label")
    parser.add_argument("--pictures", type=int, default=1600, help="photographs; a tenth of them large")
    args = parse(parser, rounds=1, pictures=120)
    cores = num_cpus()
    result = Result("ingest", args, args.rounds, f"rounds on {cores} cores, {'CIFAR-10' if args.cifar else 'made pictures'} at 32 px")
    with tempfile.TemporaryDirectory() as folder:
        small, large, huge = (Path(folder) / name for name in ("small", "large", "huge"))
        write_small(args, small)
        write_photographs(large, args.pictures, 500, 375)
        write_photographs(huge, args.pictures // 10, 2000, 1500)
        kinds: tuple[tuple[str, Path, dict[str, object]], ...] = (
            ("32 px", small, {}),
            ("500 x 375 for 224 px", large, FOR_224),
            ("2000 x 1500 for 224 px", huge, FOR_224),
        )
        rows = {name: compare(path, {"source": "folder", "path": str(path), **more}, args.rounds) for name, path, more in kinds}
    result.table("pictures", rows)
    for name, row in rows.items():
        result.target(f"{name}, rate of OpenCV's decoding", row["wall_ratio"], WANTED)
    result.write()


def compare(path: Path, data: dict[str, object], rounds: int) -> dict[str, float]:
    """Alternating rounds of both."""
    files, cache = sorted(path.glob("*/*.jpg")), path.parent / "cache"
    opencv, ingest = list[Spent](), list[Spent]()
    for _ in range(rounds):
        opencv.append(timed(lambda: decode_all(files)))
        shutil.rmtree(cache, ignore_errors=True)
        ingest.append(timed(lambda: prepare(data, cache)))
    rates = {name: len(files) / statistics.median(wall for wall, _ in spent) for name, spent in (("opencv", opencv), ("ingest", ingest))}
    ratios = {
        name: [theirs[kind] / ours[kind] for theirs, ours in zip(opencv, ingest, strict=True)]
        for kind, name in enumerate(("wall_ratio", "processor_ratio"))
    }
    of_ratios = {key: value for name, values in ratios.items() for key, value in median_of(name, values).items()}
    return {"opencv_pictures_per_s": rates["opencv"], "ingest_pictures_per_s": rates["ingest"], **of_ratios}


def timed(run: Callable[[], object]) -> Spent:
    """Of one call."""
    start = time.perf_counter(), processor_s()
    run()
    return time.perf_counter() - start[0], processor_s() - start[1]


def processor_s() -> float:
    """Of this process and of those that it has waited for."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in spent)


def decode_all(files: list[Path]) -> None:
    """The peer."""

    def some(chunk: list[Path]) -> None:
        for path in chunk:
            cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)

    with ThreadPoolExecutor(num_cpus()) as pool:
        list(pool.map(some, [files[low : low + 64] for low in range(0, len(files), 64)]))


def write_small(args: argparse.Namespace, folder: Path) -> None:
    """CIFAR-10's own files, or as many made ones as there are photographs."""
    for number, (label, content) in enumerate(cifar(args.cifar) if args.cifar else made_small(args.pictures)):
        path = folder / str(label) / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def cifar(parquet: Path) -> Iterator[tuple[int, bytes]]:
    """Labels and files."""
    table = pq.read_table(parquet)
    for image, label in zip(table["image"].to_pylist(), table["label"].to_pylist(), strict=True):
        yield label, image["bytes"]


def made_small(num: int) -> Iterator[tuple[int, bytes]]:
    """Labels and files."""
    for number, picture in enumerate(made(num, (32, 32))):
        yield number % NUM_CLASSES, cv2.imencode(".jpg", picture)[1].tobytes()


if __name__ == "__main__":
    main()
