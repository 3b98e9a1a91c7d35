"""A journal that is damaged anywhere: noticed, mended out of its copy, and the study is what it was."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from simulated_search import drive, make_spec

from visiontune.errors import UserError
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.tuning.study.open_storage import mend_journal, open_existing
from visiontune.tuning.study.read_study import read_study


@pytest.fixture
def study(tmp_path: Path) -> StudyFolder:
    drive(make_spec(tmp_path / "study", 6, sampler="random"), tmp_path / "study")
    return StudyFolder(tmp_path / "study")


def flipped(content: bytes, at: int, bit: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :]


@pytest.mark.parametrize("seed", range(20))
def test_any_flipped_bit_is_mended(study: StudyFolder, seed: int) -> None:
    whole, before, draw = study.journal.read_bytes(), read_study(study), random.Random(seed)
    # The first line may be an earlier version's, without a sum, and the last one under way: a reader lets both pass.
    first, last = whole.index(b"\n"), whole[:-1].rindex(b"\n")
    study.journal.write_bytes(flipped(whole, draw.randrange(first, last), draw.randrange(8)))
    with pytest.raises(UserError, match=r"study\.journal:\d+: is damaged; the next `visiontune search FILE`"):
        read_study(study)
    assert "mended out of its copy" in mend_journal(study)
    assert study.journal.read_bytes() == whole and read_study(study).trials == before.trials
    assert mend_journal(study) == ""


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.999])
def test_what_is_cut_off_comes_back(study: StudyFolder, kept: float) -> None:
    whole = study.journal.read_bytes()
    study.journal.write_bytes(whole[: int(kept * len(whole))])
    mend_journal(study)
    assert study.journal.read_bytes() == whole
    study.journal.unlink()
    mend_journal(study)
    assert study.journal.read_bytes() == whole == study.journal_copy.read_bytes()


def test_a_line_that_a_kill_tore_goes_and_the_copy_follows(study: StudyFolder) -> None:
    """The journal is written first, so a torn line has no copy."""
    whole = study.journal.read_bytes()
    study.journal.write_bytes(whole + b'{"op_code":4,"worker')
    study.journal_copy.write_bytes(whole[:-40])
    assert mend_journal(study) == ""
    assert study.journal.read_bytes() == whole == study.journal_copy.read_bytes()


def test_what_is_damaged_twice_is_told_by_its_line(study: StudyFolder) -> None:
    for path in (study.journal, study.journal_copy):
        path.write_bytes(flipped(path.read_bytes(), 30, 0))
    with pytest.raises(UserError, match=r"study\.journal:1: is damaged, and so is its copy"):
        mend_journal(study)


def test_a_journal_that_is_gone_begins_no_new_study_in_silence(study: StudyFolder) -> None:
    study.outbox.write_text("{}\n")
    study.journal.unlink()
    study.journal_copy.unlink()
    with pytest.raises(UserError, match=r"the study's journal is gone, but outbox\.jsonl tells of its trials"):
        mend_journal(study)


def test_texts_of_all_trials_are_the_same_objects(study: StudyFolder) -> None:
    """Ten thousand trials say the same hundred things."""
    one, other, *_ = (trial.user_attrs["recipe"] for trial in open_existing(study).trials())
    assert one["data"]["source"] is other["data"]["source"]
    assert all(key is same for key, same in zip(one["training"], other["training"], strict=True))
