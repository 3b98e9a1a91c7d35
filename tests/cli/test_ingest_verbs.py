"""`visiontune ingest` and `visiontune data` on real folders: what they find by looking, what they say, the sheet they draw."""

from __future__ import annotations

import errno
import io
import json
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from picture_files import COLOUR, LABELS, png, write
from PIL import Image

from visiontune.cli import main
from visiontune.data.ingest.progress import Progress
from visiontune.data.readers.detect import detect_source
from visiontune.errors import UserError
from visiontune.results.screens.ingest_progress import IngestScreen

NAMES = ("cat", "dög", "犬")


@pytest.fixture(autouse=True)
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VISIONTUNE_STUDIES", raising=False)
    for number, (picture, label) in enumerate(zip(COLOUR, LABELS, strict=True)):
        path = tmp_path / "pets" / NAMES[label] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(picture))
    return tmp_path / "pets"


def run(*argv: str, code: int, capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    assert main(list(argv)) == code
    return capsys.readouterr()


def test_ingest_says_what_it_found_and_data_says_it_again(pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (pictures / "cat" / "empty.jpg").write_bytes(b"")
    (pictures / "notes.txt").write_text("x")
    _, err = run("ingest", "pets", code=2, capsys=capsys)
    assert "pets/cat/empty.jpg: picture has no bytes" in err and "1 can't be used" in err
    out, _ = run("ingest", "pets", "--name", "pets", "allow_bad=0.1", "val_fraction=0.3", code=0, capsys=capsys)
    assert out.startswith("pets:\n30 pictures of 3 classes: train ") and "pets/cat/empty.jpg: has no bytes" in out
    assert "1 bad of 31 pictures, 1 other file\n" in out and "notes.txt" in out
    assert "data: {source: folder, path: pets, val_fraction: 0.3, allow_bad: 0.1}" in out
    again, _ = run("data", "pets", "--verify", code=0, capsys=capsys)
    assert again == out.replace("  in a study", "  verified   all 1 shards are as they were written\n  in a study")
    found = json.loads(run("data", "pets", "--json", code=0, capsys=capsys)[0])
    counts = found["classes"]
    assert list(counts) == list(NAMES) and [sum(one.values()) for one in counts.values()] == [10, 10, 10]
    unit = COLOUR[np.sort(np.concatenate([np.flatnonzero(label == LABELS) for label in range(3)]))] / 255
    assert np.allclose(found["mean"], unit.mean((0, 1, 2)), atol=0.02)  # of train alone, which is most of it
    assert run("data", found["digest"][:6], code=0, capsys=capsys)[0].splitlines()[1:6] == out.splitlines()[1:6]


def test_names_that_would_break_lines_or_colour_a_terminal_are_shown_escaped(pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (pictures / "cat").rename(pictures / "big\ncat")
    (pictures / "dög" / "\x1b[31m.png").write_bytes(next((pictures / "犬").iterdir()).read_bytes())
    (pictures / "\x1b[2J\n.txt").touch()
    out, _ = run("ingest", "pets", code=0, capsys=capsys)
    assert "\n  big\\ncat  " in out and "pets/dög/\\x1b[31m.png (" in out and "pets/\\x1b[2J\\n.txt: is" in out
    assert all(char.isprintable() for char in out.replace("\n", ""))


def test_pictures_that_are_known_from_elsewhere_are_told_as_they_lie_here(pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    twin = next((pictures / "dög").iterdir())
    shutil.copy(twin, pictures / "cat" / "twin.png")
    (pictures / "cat" / "empty.jpg").write_bytes(b"")
    (pictures / "old.txt").touch()
    shutil.copytree(pictures, "one/pets")
    shutil.copytree(pictures, "two/pets")
    Path("two/pets/old.txt").rename("two/new.txt")
    first, found = (run("ingest", name, "--name", name, "allow_bad=0.1", code=0, capsys=capsys)[0] for name in ("one", "two"))
    assert len(list(Path("studies/.data").glob("*.arrow"))) == 1
    assert "two/pets is read" in found and "two/new.txt: is" in found and "old.txt" not in found
    assert "two/pets/cat/empty.jpg: has no bytes" in found
    repeats = first[first.index("  repeats") : first.index("  in a study")]
    assert "one/pets/cat/twin.png" in repeats and repeats.replace("one/", "two/") in found
    assert [run("data", name, code=0, capsys=capsys)[0] for name in ("two", "one")] == [found, first]


def test_damage_is_told_with_an_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    run("ingest", "pets", "--name", "p", code=0, capsys=capsys)
    path = next(Path("studies/.data").glob("*.arrow"))
    content = path.read_bytes()
    place = content.index(COLOUR[0].tobytes())
    path.write_bytes(content[:place] + b"\xff\xfe\xfd" + content[place + 3 :])
    assert "DAMAGED    1 of 1 shards: rows 0 to 29" in run("data", "p", "--verify", code=1, capsys=capsys)[0]


def test_the_sheet_shows_training_pictures_of_each_class(capsys: pytest.CaptureFixture[str]) -> None:
    run("ingest", "digits", "--name", "digits", code=0, capsys=capsys)
    run("data", "digits", "--sheet", "out/sheet.png", code=0, capsys=capsys)
    sheet = np.asarray(Image.open("out/sheet.png"))
    assert sheet.ndim == 3 and sheet.shape[0] > 10 * 64 and sheet.shape[1] > 12 * 64
    bands = np.split(sheet[: sheet.shape[0] // 10 * 10], 10)
    # In every band pictures, each of 64 px blown up from 8: blocks of 8 x 8 equal pixels.
    for band in bands:
        tile = band[26 : 26 + 64, 8 : 8 + 64, 0]
        assert np.array_equal(tile, np.kron(tile[::8, ::8], np.ones((8, 8), np.uint8))) and tile.std() > 30


def test_names_and_digests_that_are_none(capsys: pytest.CaptureFixture[str]) -> None:
    run("ingest", "pets", "--name", "pets", code=0, capsys=capsys)
    assert "nearest is 'pets'" in run("data", "pest", code=2, capsys=capsys)[1]
    assert "no data '../pets'" in run("data", "../pets", code=2, capsys=capsys)[1]
    assert "a name of pictures may have up to 100" in run("ingest", "pets", "--name", "a/b", code=2, capsys=capsys)[1]


def test_a_name_stays_with_its_pictures(pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same folder grown takes it along and says so; another source may not have it, and is not even looked at."""
    first, _ = run("ingest", "pets", "--name", "pets", code=0, capsys=capsys)
    assert "before" not in first and run("ingest", "pets", "--name", "pets", code=0, capsys=capsys)[0] == first
    before = next(Path("studies/.data").glob("*.arrow")).stem
    _, err = run("ingest", "digits", "--name", "pets", code=2, capsys=capsys)
    assert "is that of other pictures (path: pets)" in err and len(list(Path("studies/.data").glob("*.arrow"))) == 1
    (pictures / "cat" / "one_more.png").write_bytes(png(255 - COLOUR[0]))
    grown, _ = run("ingest", "pets", "--name", "pets", "seed=3", code=0, capsys=capsys)
    assert f"the name meant 30 pictures, still to be had as {before[:12]}" in grown and "31 pictures" in grown
    assert "31 pictures" in run("data", "pets", code=0, capsys=capsys)[0] and "30 pictures" in run("data", before, code=0, capsys=capsys)[0]


def test_every_mistake_in_data_args_is_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    _, err = run("ingest", "pets", "val_fractio=0.3", "image_size=2", "allow_bad=2", code=2, capsys=capsys)
    assert len(err.splitlines()) == 3 and "nearest is 'val_fraction'" in err and "image_size" in err and "allow_bad" in err


def test_a_key_may_stand_as_messages_have_it(pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is said of `data.seed` is pasted as it is."""
    out, _ = run("ingest", "pets", "data.seed=3", 'data.exclude=["*0.png"]', code=0, capsys=capsys)
    assert "seed: 3" in out and "exclude: [" in out


def test_source_by_words_alone(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = run("ingest", "source=folder", "path=pets", "seed=4", code=0, capsys=capsys)
    assert "data: {source: folder, path: pets, seed: 4}" in out


def test_looking_finds_what_a_path_is(tmp_path: Path) -> None:
    coco = {"images": [], "annotations": [], "categories": []}
    files = {
        "a.csv": "path,label\n",
        "coco/all.json": json.dumps(coco),
        "lm/1.json": '{"shapes": []}',
        "voc/Annotations/1.xml": "<annotation/>",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    write(tmp_path / "hf.parquet", [png(COLOUR[0])], [0])
    expected = {
        "digits": {"source": "digits"},
        "torchvision:CIFAR10": {"source": "torchvision", "dataset": "CIFAR10", "root": "data"},
        "pets": {"source": "folder", "path": "pets"},
        "a.csv": {"source": "manifest", "path": "a.csv"},
        "hf.parquet": {"source": "parquet", "train": "hf.parquet", "image_column": "image"},
        "coco/all.json": {"source": "coco", "annotations": "coco/all.json"},
        "coco": {"source": "coco", "annotations": "coco/all.json", "images": "coco"},
        "lm": {"source": "labelme", "path": "lm"},
        "voc": {"source": "voc", "path": "voc"},
    }
    assert {text: detect_source(text) for text in expected} == expected
    with pytest.raises(UserError, match="nearest is 'pets'"):
        detect_source("petz")


def test_lines_tell_rate_and_time_left_without_what_was_kept() -> None:
    out, now = io.StringIO(), [0.0]
    with IngestScreen(out=out, clock=lambda: now[0]) as screen:
        screen.tell(Progress("decoding", 10, 1000, 0, 0))
        assert out.getvalue() == ""
        for second in (2.0, 3.0, 8.0):
            now[0] = second
            screen.tell(Progress("decoding", 600, 1000, 200, 3))
        now[0] = 9.0
        screen.tell(Progress("writing", 1000, 1000, 200, 3))
    assert out.getvalue().splitlines() == [
        "stage=decoding done=600 total=1000 kept=200 bad=3 per_s=200 left_s=2",
        "stage=decoding done=600 total=1000 kept=200 bad=3 per_s=50 left_s=8",
        "stage=writing done=1000 total=1000 kept=200 bad=3 per_s=89 left_s=0",
    ]


def test_a_first_line_has_no_rate_and_a_stage_of_several_words_is_one_value() -> None:
    out, now = io.StringIO(), [0.0]
    with IngestScreen(out=out, clock=lambda: now[0]) as screen:
        now[0] = 5.0  # as long as nothing was told, no rate was measured
        screen.tell(Progress("training 1 of 3", 92, 92, 0, 0))
    words = dict(word.split("=") for word in shlex.split(out.getvalue()))
    assert words["stage"] == "training 1 of 3" and (words["per_s"], words["left_s"]) == ("0", "-")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Closed(io.StringIO):
    """Its reader has left after the first line: of a pipe, or with the terminal."""

    def __init__(self, *, is_terminal: bool) -> None:
        super().__init__()
        self.is_terminal = is_terminal

    def isatty(self) -> bool:
        return self.is_terminal

    def write(self, text: str) -> int:
        if self.getvalue():
            raise OSError(errno.EIO if self.is_terminal else errno.EPIPE, "gone")
        return super().write(text)


@pytest.mark.parametrize("is_terminal", [True, False])
def test_an_ingest_outlives_who_reads_its_progress(is_terminal: bool) -> None:
    out, now = Closed(is_terminal=is_terminal), [0.0]
    with IngestScreen(out=out, clock=lambda: now[0]) as screen:
        for second in (2.0, 8.0, 14.0):
            now[0] = second
            screen.tell(Progress("decoding", 600, 1000, 200, 3))
        assert screen._is_gone and out.getvalue()


def test_a_terminal_gets_a_bar() -> None:
    out, now = Terminal(), [0.0]
    with IngestScreen(out=out, clock=lambda: now[0]) as screen:
        now[0] = 5.0  # files were listed
        screen.tell(Progress("decoding", 0, 1000, 0, 0))
        now[0] = 7.0
        screen.tell(Progress("decoding", 600, 1000, 200, 3))
        screen._bar.refresh()
    assert "600 of 1,000, 200 a second, 2 s left, 3 bad" in out.getvalue()
