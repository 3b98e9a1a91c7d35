"""What a sample says of a folder is what an ingest finds there: pictures that can't be read, depth, enlargement."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from picture_files import png

from visiontune.data.picture.frame import enlarged_N
from visiontune.data.prepare import found_store, source_of, with_defaults
from visiontune.data.prepared_store import prepared
from visiontune.data.sample import NUM, sample_lines
from visiontune.data.store.short_report import short_report
from visiontune.errors import UserError

RNG = np.random.default_rng(0)


def pictures(root: Path, num: int, shape: tuple[int, ...] = (12, 20, 3), *, bad_every: int = 0, top: int = 0) -> dict[str, Any]:
    for number in range(num):
        values = RNG.integers(0, top or 256, shape).astype(np.uint16 if top else np.uint8)
        path = root / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        content = cv2.imencode(".png", values)[1].tobytes()
        path.write_bytes(content[:60] if bad_every and number % bad_every == 0 else content)
    return with_defaults({"source": "folder", "path": str(root), "image_size": 12, "frame": "crop", "depth": "auto", "allow_bad": 0.5})


def test_bad_pictures_are_estimated(tmp_path: Path) -> None:
    """Every tenth of 900: of 300 drawn without putting back some 30 are bad, with a deviation of 4."""
    data = pictures(tmp_path / "pictures", 900, bad_every=10)
    (said,) = sample_lines(source_of(data), data)
    num, about = (int(word) for word in (said.split()[0], said.partition("so about ")[2].split()[0]))
    assert f"of a sample of {NUM} of 900 pictures can't be read" in said and "is truncated" in said
    assert 18 <= num <= 42 and about == 3 * num
    (said,) = sample_lines(source_of(data), {**data, "allow_bad": 0.01}, enough_s=0.0)
    assert "a sample of 16 of 900" in said


def test_all_pictures_of_which_an_ingest_would_refuse_some_are_refused_by_a_check(tmp_path: Path) -> None:
    data = pictures(tmp_path / "pictures", 40, bad_every=10)
    assert sample_lines(source_of(data), data, refuses=True)[0].startswith("4 of all 40 pictures can't be read: ")
    words = r"4 of all 40 pictures can't be read, more than data\.allow_bad = 0\.01 lets pass: "
    too_many = rf"^data: {words}(\S+0\.png is [^;]*; ){{3}}\.\.\.; data\.allow_bad=0\.1 lets them pass$"
    with pytest.raises(UserError, match=too_many):
        sample_lines(source_of(data), {**data, "allow_bad": 0.01}, refuses=True)


@pytest.mark.parametrize("num_bad", [0, 2])
def test_what_a_source_sets_aside_counts_as_in_an_ingest(num_bad: int, tmp_path: Path) -> None:
    """`visiontune check` said "good" where a search refused: the pictures without a label are no rows of the source."""
    for number in range(40):
        (tmp_path / f"{number}.png").write_bytes(png(RNG.integers(0, 256, (8, 8, 3), np.uint8))[: 60 if number < num_bad else None])
        if number < 37:
            (tmp_path / f"{number}.txt").write_text("cat" if number % 2 else "dog")
    data = with_defaults({"source": "folder", "path": str(tmp_path), "label_from": "text", "depth": "auto"})
    source, all_bad = source_of(data), num_bad + 3
    first = "2 of all 37 pictures can't be read, and" if num_bad else "all 37 pictures were decoded, and can be read;"
    said = f"{first} 3 beside them can't be used, more than data.allow_bad = 0.01 lets pass: "
    needed = {3: 0.08, 5: 0.13}[all_bad]  # of 40
    with pytest.raises(UserError, match=rf"^data: {said}.*has no label: there is no .txt.*; data\.allow_bad={needed} lets them pass$"):
        sample_lines(source, data, refuses=True)
    with pytest.raises(UserError, match=rf"of 40 pictures {all_bad} can't be used"):
        prepared(data, tmp_path / "cache", source=source)
    data["allow_bad"] = needed
    assert len(sample_lines(source, data, refuses=True)) == 1
    assert len(prepared(data, tmp_path / "cache", source=source).report().set_aside) == all_bad


@pytest.mark.parametrize("top", [0, 4000])
def test_a_sample_says_what_the_ingest_says(tmp_path: Path, top: int) -> None:
    data = {**pictures(tmp_path / "pictures", 40, (12, 20), top=top), "image_size": 30}
    source = source_of(data)
    assert found_store(data, tmp_path, source) is None
    first, *said = sample_lines(source, data)
    store = prepared(data, tmp_path, source=source)
    assert first == "all 40 pictures were decoded, and can be read" and found_store(data, tmp_path, source) == store.path
    notes = store.report().notes
    enlarged = "image_size 30 x 30 enlarges 100% of the pictures by more than 1.5: in the median they are 12 x 20 pixels"
    assert said[-1] == notes[-1] == enlarged and enlarged in short_report(store)
    assert [("0 to 4,095 become 0 to 255" in line) for line in said] == [True] * (top > 0) + [False]


def test_enlargement_is_by_what_is_seen() -> None:
    shape_N2 = np.array([[100, 300], [50, 50]])
    for frame, expected in (("crop", [1.0, 2.0]), ("pad", [1 / 3, 2.0]), ("squash", [1.0, 2.0])):
        np.testing.assert_allclose(enlarged_N(shape_N2, (100, 100), frame), expected)


def test_row_groups_are_read_by_neighbours(tmp_path: Path) -> None:
    files = [png(RNG.integers(0, 256, (4, 4, 3), np.uint8)) for _ in range(640)]
    table = pa.table({"image": pa.array(files, pa.binary()), "label": [number % 2 for number in range(640)]})
    pq.write_table(table, tmp_path / "train.parquet", row_group_size=64)
    data = with_defaults({"source": "parquet", "train": str(tmp_path / "train.parquet"), "depth": "auto"})
    assert sample_lines(source_of(data), data) == ["a sample of 160 of 640 pictures was decoded, and can be read"]
    assert sample_lines(source_of(with_defaults({"source": "digits"})), with_defaults({"source": "digits"})) == []
