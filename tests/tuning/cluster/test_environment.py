"""Variables that are set for a while."""

from __future__ import annotations

import os

import pytest

from visiontune.tuning.cluster.environment import environment


def test_what_was_there_is_there_again_however_the_block_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VT_HAD", "mine")
    monkeypatch.setenv("VT_KEPT", "mine")
    monkeypatch.delenv("VT_NEW", raising=False)
    before = dict(os.environ)
    with pytest.raises(ZeroDivisionError), environment({"VT_HAD": "other", "VT_NEW": "1", "VT_KEPT": None, "VT_NEVER": None}):
        assert os.environ["VT_HAD"] == "other" and os.environ["VT_NEW"] == "1" and "VT_KEPT" not in os.environ
        1 / 0  # noqa: B018
    assert dict(os.environ) == before
