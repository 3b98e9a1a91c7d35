"""Made pictures as files of their own and in one Parquet file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

NUM_CLASSES = 10
FILE_SIZES = {32: 32, 64: 64, 224: 256}
"""Training sizes, and of what size the files are."""


@dataclass(frozen=True)
class Files:
    """The same pictures twice: as `paths` and in `parquet`; `size` is that of training, `shape` their own."""

    size: int
    shape: tuple[int, int]
    paths: list[str]
    labels: list[int]
    parquet: Path


def made(num: int, shape: tuple[int, int], seed: int = 0) -> Iterator[np.ndarray]:
    """Smooth shapes, finer ones and grain, uint8 HWC: what JPEG finds in a photograph."""
    random = np.random.default_rng(seed)
    for _ in range(num):
        picture = np.zeros((*shape, 3), np.float32)
        for cells, weight in ((4, 160.0), (16, 70.0)):
            coarse = random.random((cells, cells, 3), np.float32) * weight
            picture += cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC)
        yield (picture + random.normal(0, 6, picture.shape)).clip(0, 255).astype(np.uint8)


def write(folder: Path, num: int, size: int, seed: int = 0, shape: tuple[int, int] | None = None) -> Files:
    """Pictures for a training size, their classes in turn; `shape` is height and width, by default a square's."""
    height, width = shape or (FILE_SIZES[size], FILE_SIZES[size])
    ending = "jpg" if size > 64 else "png"
    contents = [cv2.imencode(f".{ending}", picture)[1].tobytes() for picture in made(num, (height, width), seed)]
    labels = [row % NUM_CLASSES for row in range(num)]
    name = f"{size}_{height}x{width}_{seed}"
    paths = [folder / f"{name}_{row}.{ending}" for row in range(num)]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    images = [{"bytes": content, "path": path.name} for path, content in zip(paths, contents, strict=True)]
    parquet = folder / f"{name}.parquet"
    pq.write_table(pa.table({"image": images, "label": labels}), parquet)
    return Files(size, (height, width), [str(path) for path in paths], labels, parquet)


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
