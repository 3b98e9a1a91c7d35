"""The digests by which stores are found: of content and settings; paths are left out, so that a moved file is not decoded again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from visiontune.data.source import Source
from visiontune.data.store.layout import VERSION
from visiontune.spec.declarations.fingerprint import fingerprint


def key_of_pixels(source: Source, data: Mapping[str, Any], content: str) -> str:
    """What decides which pictures are kept and how, whatever their splits are; with max_pictures those decide it too."""
    if data["max_pictures"] is not None:
        return digest_of(source, {**data, "duplicates": ""}, content)
    return digest_of(source, {**data, "duplicates": "", "seed": 0, "val_fraction": None, "test_fraction": None}, content)


def digest_of(source: Source, data: Mapping[str, Any], content: str) -> str:
    """Of a store: what it holds, and how it is split."""
    names = ("seed", "image_size", "max_pictures", "duplicates", "store")
    settings: dict[str, Any] = {name: data[name] for name in names}
    if data["image_size"] is not None and "frame" in data:  # else no picture is resized, or it is a store of before
        settings["frame"] = data["frame"]
    if "depth" in data:
        settings["depth"] = data["depth"]
    settings["val_fraction"] = None if source.has_val else data["val_fraction"]
    settings["test_fraction"] = None if source.has_test else data["test_fraction"]
    return fingerprint({"version": VERSION, "content": content, **settings})
