"""What once was a traceback, a hang or four gigabytes is refused in a sentence, and right inputs are taken, by the fuzzer's own targets."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from parts import fuzz_examples as right
from parts.fuzz_study import StudyFiles, reheaded, sealed, summed
from parts.fuzz_targets import REFUSALS, Target, targets


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Target]:
    return targets(tmp_path_factory.mktemp("fuzz"))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyFiles:
    return StudyFiles.made(tmp_path_factory.mktemp("study") / "made")


def stated(study: StudyFiles, name: str, change: Callable[[Any], Any]) -> bytes:
    """The file of weights with other metadata."""

    def change_strings(header: Any) -> Any:
        header["__metadata__"][name] = json.dumps(change(json.loads(header["__metadata__"][name])))
        return header

    return reheaded(study.weights, change_strings)


def with_two_faults(jpeg: bytes) -> bytes:
    """Bytes between its tables, of which a decoder only warns, and half of its end mark."""
    at = jpeg.index(b"\xff\xdb")
    return jpeg[:at] + bytes(40) + jpeg[at:-1]


def nameless(archive: bytes) -> bytes:
    """A zip whose first member's name begins with a NUL, where zipfile ends it."""
    return archive.replace(b"cat/a.png", b"\0at/a.png")


def with_large_member(archive: bytes) -> bytes:
    """Its index says that the first member takes 4 GiB in it."""
    at = archive.index(b"PK\1\2") + 20
    return archive[:at] + b"\xf0\xff\xff\xff" + archive[at + 4 :]


def bad_column(parquet: bytes) -> bytes:
    return parquet.replace(b"label", b"l\xf4bel")


def without_paths(parquet: bytes) -> bytes:
    """The header of the page of paths says that it has none."""
    header = b"\x15\x00\x15\x14\x15\x18,\x15\x08"
    assert parquet.count(header) == 1
    return parquet.replace(header, header[:-1] + b"\0")


WRONG: list[tuple[str, Callable[[StudyFiles], bytes], str]] = [
    ("recipe", lambda _: right.RECIPE.replace(b"NAME.py", b"~nobody-of-that-name/NAME.py"), "is not there"),
    ("recipe", lambda _: right.RECIPE.replace(b"NAME.py", b'"\\0/NAME.py"'), "is not there"),
    ("recipe", lambda _: right.RECIPE + b"loss: {teacher: distillation, teacher_from: %s}\n" % (b"x" * 300), "there is no xxx"),
    ("manifest", lambda _: right.TABLES[0].replace(b"sub/c.png", b"s\0b/c.png"), ""),
    ("manifest", lambda _: right.TABLES[0].replace(b"val", b"val" + b"2024" * 20 + b"x"), "train, val or test"),
    ("manifest", lambda _: right.TABLES[0].replace(b"val", b"val" + b"dataset" * 40 + b"x"), "train, val or test"),
    ("manifest, JSON lines", lambda _: right.ROWS.replace(b"dog", b"d\xffg"), "UTF-8"),
    ("manifest, JSON lines", lambda _: right.ROWS.replace(b"label", b"labe\xff"), "UTF-8"),
    ("manifest, JSON lines", lambda _: right.ROWS.replace(b'"dog"', b"18446744073709551616").replace(b'"cat"', b"1"), "too large"),
    ("manifest, JSON lines", lambda _: b"null" + right.ROWS, "line 1 is no JSON object"),
    ("manifest, JSON lines", lambda _: right.ROWS + b'{"path": ' + b"[" * 100_000, "line 3 is no JSON object"),
    ("recipe", lambda _: right.RECIPE.replace(b"NAME", b"x" * 300), "is not there"),
    ("Parquet", lambda _: bad_column(right.parquets()[0]), "must be a Parquet file"),
    ("Parquet", lambda _: without_paths(right.parquets()[0]), "its paths cannot be read"),
    ("COCO", lambda _: right.coco().replace(b"[0, 0, 40, 30]", b"[0, 0, 4%s, 30]" % (b"0" * 400)), ""),
    ("LabelMe", lambda _: right.labelme().replace(b"[3, 4]", b"[3%s, 4]" % (b"0" * 400)), "is no LabelMe file"),
    ("Label Studio", lambda _: right.label_studio().replace(b'"x": 10', b'"x": 1%s' % (b"0" * 400)), ""),
    ("CVAT", lambda _: right.CVAT.replace(b"utf-8", b"lutf-8"), "CVAT's XML"),
    ("zip", lambda _: nameless(right.zips()[0]), ""),
    ("zip", lambda _: with_large_member(right.zips()[0]), "would end behind it"),
    ("picture", lambda _: with_two_faults(right.PICTURES[1]), "is truncated or damaged"),
    ("journal", lambda study: summed(study.journal + b"null\n{}\n"), "is damaged"),
    ("journal", lambda study: summed(study.journal + b'{"op_code":99,"worker_id":"x"}\n'), "is no journal of Optuna"),
    ("journal", lambda study: summed(re.sub(rb"identity", b"identify", study.journal)), "visiontune did not write"),
    ("journal", lambda study: summed(study.journal.replace(b'"made"', b'"../../made"')), "no study named made"),
    ("journal", lambda study: summed(study.journal.replace(b'"made"', b'["made"]')), ""),
    ("journal", lambda study: summed(re.sub(rb"(budget.reduction_factor[^0-9]*)3", rb"\g<1>1", study.journal)), "visiontune did not write"),
    ("checkpoint", lambda _: sealed(b"\x80\x02\x87."), ""),
    ("checkpoint", lambda _: sealed(b"cos\nsystem\n(S'touch ../ran'\ntR."), ""),
    ("weights", lambda study: stated(study, "class_names", lambda names: [[name] for name in names]), "don't say which network"),
    ("weights", lambda study: stated(study, "recipe", lambda recipe: {**recipe, "loss": 1.5}), "don't say which network"),
    ("weights", lambda study: stated(study, "recipe", lambda one: {**one, "model": {**one["model"], "width": 10**9}}), "model.width"),
]


@pytest.mark.parametrize(("target", "make", "words"), WRONG, ids=[f"{number}-{target}" for number, (target, _, _) in enumerate(WRONG)])
def test_a_wrong_input_is_refused_in_a_sentence(
    known: Mapping[str, Target], study: StudyFiles, target: str, make: Callable[[StudyFiles], bytes], words: str, tmp_path: Path
) -> None:
    said = ""
    try:
        known[target].run(make(study), tmp_path)
    except REFUSALS as error:
        said = str(error)
    assert words in said, said


DEEP = b"[" * 100_000
EVENTS = (b'{"time_ms":"x","kind":"a","trial":null,"text":""}', b'{"time_ms":1e300,"kind":"a","trial":0,"text":""}', DEEP, b"null", b"[]")


def test_lines_of_an_event_log_that_are_no_events_are_left_out(known: Mapping[str, Target], tmp_path: Path) -> None:
    good = b'{"time_ms":1,"kind":"a","trial":0,"text":"b"}'
    assert known["event log"].run(b"\n".join([*EVENTS, good, b'{"time_ms":1,"kind":[],"trial":0,"text":"b"}', b""]), tmp_path)
    assert not known["event log"].run(b"\n".join([*EVENTS, b""]), tmp_path)


def test_right_inputs_are_taken(known: Mapping[str, Target], study: StudyFiles, tmp_path: Path) -> None:
    taken = {
        "search space": (right.SPACE, right.BRANCHED),
        "recipe": (right.RECIPE,),
        "plugin": (right.PLUGIN,),
        "manifest": right.TABLES,
        "COCO": (right.coco(),),
        "LabelMe": (right.labelme(),),
        "Label Studio": (right.label_studio(),),
        "CVAT": (right.CVAT,),
        "Pascal VOC": (right.VOC,),
        "YOLO": (right.YOLO,),
        "zip": right.zips(),
        "tar": right.tars(),
        "Parquet": right.parquets(),
        "picture": right.PICTURES,
        "journal": (study.journal,),
        "checkpoint": (study.checkpoint,),
        "weights": (study.weights,),
    }
    for name, examples in taken.items():
        for number, content in enumerate(examples):
            folder = tmp_path / f"{name}{number}"
            folder.mkdir()
            assert known[name].run(content, folder), name
