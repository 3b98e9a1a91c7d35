"""Tasks of Label Studio as JSON and JSON-MIN have them: what was annotated, by whom, and where the picture is."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from visiontune.data.picture.formats import picture_suffixes

Json = Mapping[str, Any]
Tasks = Sequence[tuple[Json, list[list[Json]]]]
"""Data of each task, and its results by annotator."""
_OF_JSON_MIN = frozenset({"id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "agreement"})


def tasks_of(document: Any) -> Tasks | None:
    """Data and results, by annotator, of each task; None for what is not Label Studio's."""
    if not isinstance(document, list) or not document or not all(isinstance(one, dict) for one in document):
        return None
    if all(isinstance(one.get("data"), dict) for one in document):
        found = [(one["data"], _results(one.get("annotations") or one.get("completions") or [])) for one in document]
    elif all("id" in one and _OF_JSON_MIN & one.keys() - {"id"} for one in document):
        rows: dict[Any, list[Json]] = {}
        for one in document:
            rows.setdefault(str(one["id"]), []).append(one)
        found = [(found[0], [list(_flat(one)) for one in found]) for found in rows.values()]
    else:
        return None
    return found if any(address_of(data) for data, _ in found) else None


def address_of(data: Json) -> str:
    """The picture's address in a task's data, "" where it has none."""
    texts = (value for value in data.values() if isinstance(value, str))
    return next((text for text in texts if posixpath.splitext(path_of(text))[1].lower() in picture_suffixes()), "")


def choices_of(results: Sequence[Json]) -> list[str]:
    """Labels of the whole picture."""
    values = [one["value"] for one in results if isinstance(one.get("value"), dict) and "x" not in one["value"]]
    return [str(choice).strip() for value in values for choice in value.get("choices") or []]


def areas_of(results: Sequence[Json]) -> list[Json]:
    """Results that are places in the picture, with a label."""
    return [
        one for one in results if isinstance(one.get("value"), dict) and labels_of(one["value"]) and {"x", "points"} & one["value"].keys()
    ]


def _results(annotations: Sequence[Json]) -> list[list[Json]]:
    """Results of each annotation that was not cancelled, the one marked as truth first."""
    given = sorted((one for one in annotations if not one.get("was_cancelled")), key=lambda one: not one.get("ground_truth"))
    return [list(one.get("result") or []) for one in given]


def _flat(row: Json) -> Iterator[Json]:
    """The results that JSON-MIN keeps by the names of their controls."""
    address = address_of(row)
    for key, value in row.items():
        if key in _OF_JSON_MIN or value == address:
            continue
        if isinstance(value, list):
            yield from ({**one, "from_name": key, "value": one} for one in value if isinstance(one, dict))
        elif isinstance(value, dict) or (isinstance(value, str) and value):
            yield {"from_name": key, "value": value if isinstance(value, dict) else {"choices": [value]}}


def labels_of(value: Json) -> list[str]:
    return [str(label).strip() for key, labels in value.items() if key.endswith("labels") and isinstance(labels, list) for label in labels]


def path_of(address: str) -> str:
    """The path in an address: of a local file whole, of what was uploaded or lies on the web the file's name."""
    parts = urlsplit(address)
    if local := parse_qs(parts.query).get("d"):
        return local[0].replace("\\", "/").strip("/")
    path = unquote(parts.path).replace("\\", "/")
    is_served = parts.scheme in ("http", "https") or path.startswith("/data/upload/")
    return posixpath.basename(path) if is_served else path.strip("/")
