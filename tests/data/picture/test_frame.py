"""The frame of pictures that have another shape: what is seen of discs at their edges, where, and whether round; by one rule everywhere."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from visiontune.data.picture.frame import in_frame
from visiontune.data.picture.shape import shrunk
from visiontune.data.prepare import prepare
from visiontune.data.store.store import Store
from visiontune.inference.classifier import Classifier
from visiontune.results.pictures.class_sheet import write_sheet
from visiontune.results.pictures.data_summary import lines
from visiontune.spec.parse import load_recipe
from visiontune.training.input.preprocessing import Preprocessing, Scaling
from visiontune.training.weights_metadata import WeightsMetadata

HEIGHT, WIDTH, RADIUS = 200, 500, 60
RECIPE = {"model": {"name": "lenet5"}, "optimizer": {"name": "sgd", "lr": 0.1}, "training": {"num_epochs": 1}}
SEEN = {"crop": (1,), "pad": (0, 1, 2), "squash": (0, 1, 2)}


def discs(*, is_tall: bool) -> np.ndarray:
    """A wide picture, or it turned: a red disc at the one end, a green one in the middle, a blue one at the other."""
    picture = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    for channel, x in enumerate((RADIUS, WIDTH // 2, WIDTH - RADIUS)):
        cv2.circle(picture, (x, HEIGHT // 2), RADIUS, [255 * (channel == one) for one in range(3)], -1)
    return np.ascontiguousarray(picture.transpose(1, 0, 2)) if is_tall else picture


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of twelve such pictures each, which a point tells apart."""
    root = tmp_path_factory.mktemp("discs")
    for name, number in product(("tall", "wide"), range(12)):
        picture = discs(is_tall=name == "tall")
        picture[number * 3, number * 3] = 200
        (root / name).mkdir(exist_ok=True)
        cv2.imwrite(str(root / name / f"{number}.png"), picture[..., ::-1])
    return root


def boxes(picture: np.ndarray) -> dict[int, tuple[float, float, float, float]]:
    """(top, left, height, width) of each disc that is seen, as shares of the picture, by its channel."""
    found = {}
    for channel in range(3):
        others = np.delete(picture.astype(int), channel, 2).max(2)
        rows, columns = np.nonzero(picture[..., channel] - others > 100)
        if len(rows) > 4:
            sides = (rows.min(), columns.min(), np.ptp(rows) + 1, np.ptp(columns) + 1)
            found[channel] = tuple(float(side) / len(picture) for side in sides)
    return found  # type: ignore[return-value]


@pytest.mark.parametrize(("size", "kind"), [(50, "raw"), (100, "encoded")])
@pytest.mark.parametrize("frame", ["crop", "pad", "squash"])
def test_discs_at_the_edges_are_seen_by_the_rule_whatever_the_size(folder: Path, tmp_path: Path, frame: str, size: int, kind: str) -> None:
    data = {"source": "folder", "path": str(folder), "image_size": size, "frame": frame, "store": kind, "duplicates": "keep"}
    recipe = load_recipe({**RECIPE, "data": data})
    store = Store.open(prepare(recipe.data, tmp_path))
    scaling = Preprocessing(Scaling(*torch.zeros(2, size, 3)))
    classifier = Classifier(nn.Identity(), scaling, WeightsMetadata.of(recipe, store), "none")
    predicted = {path: classifier.picture_of(path.read_bytes()) for path in sorted(folder.rglob("*.png"))}
    for label, name in enumerate(store.class_names):
        stored = store.images_NHWC[np.flatnonzero(store.labels_N == label)]
        ours = [predicted[path] for path in predicted if path.parent.name == name]
        assert {one.tobytes() for one in stored} == {one.tobytes() for one in ours}, "predict sees what validation saw"
        seen = boxes(stored[0])
        assert tuple(seen) == SEEN[frame]
        for channel, (top, left, height, width) in seen.items():
            along, across = (height, width) if name == "tall" else (width, height)
            start = top if name == "tall" else left
            diameter = 2 * RADIUS / {"crop": HEIGHT, "pad": WIDTH, "squash": HEIGHT}[frame]
            centre = {"crop": 0.5, "pad": (0.12, 0.5, 0.88)[channel], "squash": (0.12, 0.5, 0.88)[channel]}[frame]
            assert across == pytest.approx(diameter, abs=0.05)
            assert along == pytest.approx(diameter * (HEIGHT / WIDTH if frame == "squash" else 1), abs=0.05), "round, but for squash"
            assert start + along / 2 == pytest.approx(centre, abs=0.03)
    write_sheet(store, tmp_path / "sheet.png")
    sheet = np.asarray(Image.open(tmp_path / "sheet.png")).astype(int)
    cut_off = (sheet[..., 0] > 75) & (sheet[..., 0] < 100) & (sheet[..., 1:] < 20).all(2)  # red at .35 of its light
    assert cut_off.any() == (frame == "crop" and size > 64)
    said = next(line for line in lines(store) if "frame " in line)
    assert f"{frame}: " in said and (("60% of it is not in the median, 60% at most" in said) == (frame == "crop"))


@pytest.mark.parametrize("shape", [(40, 40), (96, 64), (333, 222), (30, 20)])
def test_of_a_picture_that_has_the_shape_all_frames_make_the_same(shape: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    size = (32, 32) if shape[0] == shape[1] else (36, 24)
    for resize in (None, shrunk):
        crop, pad, squash = (in_frame(picture, size, 3, frame, resize) for frame in ("crop", "pad", "squash"))
        assert np.array_equal(crop, pad) and np.array_equal(crop, squash)
