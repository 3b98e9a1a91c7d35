"""What people are shown of URIs."""

from __future__ import annotations

import pytest

from visiontune.filesystem.uri import is_uri, shown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgresql://me:secret@db:5432/optuna", "postgresql://db:5432/optuna"),
        ("mysql+pymysql://me@db/x?ssl=1", "mysql+pymysql://db/x?ssl=1"),
        ("s3://KEY:SECRET@bucket/cats?region=eu&secret_key=abc", "s3://bucket/cats?region=eu&secret_key=..."),
        ("https://host/x?X-Amz-Signature=abc&X-Amz-Credential=d", "https://host/x?X-Amz-Signature=...&X-Amz-Credential=..."),
        ("no answer from http://u:p@h/ and http://v:q@i/", "no answer from http://h/ and http://i/"),
        ("sqlite:////home/me@work/x.db", "sqlite:////home/me@work/x.db"),
        ("pictures/me@work/cats", "pictures/me@work/cats"),
    ],
)
def test_nothing_that_opens_a_door_is_shown(text: str, expected: str) -> None:
    assert shown(text) == expected
    assert shown(expected) == expected


def test_a_uri_is_no_path() -> None:
    assert is_uri("gs://bucket/x") and is_uri("file:///x") and not is_uri("c:/x") and not is_uri("a/b://c")
