"""A study is of one set of pictures: what its storage knows of them, and what differs when a command finds others.

Values of trials that saw different pictures can't be compared, and a checkpoint goes on with what it began with.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

from visiontune.data.store.layout import VERSION
from visiontune.data.store.store import Store
from visiontune.errors import Problem, UserError, plural
from visiontune.filesystem.study_folder import StudiesFolder
from visiontune.spec.space.study_spec import StudySpec
from visiontune.tuning.study.study_place import moved
from visiontune.tuning.study.study_storage import Storage

ATTRIBUTE = "pictures"
CROPS = "squares"
"""How annotated objects are cut out. Studies from before they were squares, and some since, say nothing of it."""

_MOST_LISTED = 5


def keep_pictures(storage: Storage, store: Store, study: str, file: str = "", studies: StudiesFolder | None = None) -> None:
    """Record the pictures in a study that has none recorded. Raises UserError for other pictures than recorded, with what differs.

    `file` is that of its space, where there is one, and `studies` where it lies: for the command that starts another study.
    """
    attributes = storage.attributes()
    found, noted = facts_of(store), attributes.get(ATTRIBUTE)
    if attributes["identity"].get("data.use_crops"):
        found["crops"] = CROPS
    if noted is None:
        storage.set_attribute(ATTRIBUTE, found)
    elif noted["digest"] != found["digest"]:
        another = _other_study(study, file, studies or StudiesFolder.of(), noted, found)
        head = f"study {study} was begun on other pictures; put those back, or {another}"
        raise UserError(head, *(Problem("", 0, "data", rule) for rule in differences(noted, found)))


def _other_study(study: str, file: str, studies: StudiesFolder, noted: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """Where there are only more of each, the best recipes are tried on those first: values of two sets in one study can't be compared."""
    counts = [(noted[key][name], found[key].get(name, 0)) for key in ("splits", "classes") for name in noted[key]]
    if not file or any(now < was for was, now in counts):
        return "start another study with `name=NAME`"
    name = next(name for number in count(2) if not studies.study(name := f"{study}_{number}").path.exists())
    where = [] if studies.path == Path("studies") else ["--studies-dir", str(studies.path)]
    more = ["--name", name, f"start.studies=[{study}]", *where]
    return f"start from its best recipes on those that there are now: {shlex.join(['visiontune', 'search', file, *more])}"


def follow_pictures(storage: Storage, spec: StudySpec) -> str:
    """Once the pictures are known to be the study's: where they lie now is where it has them. Gives what has changed, "" for nothing."""
    old, new = storage.attributes()["identity"], spec.identity()
    if keys := moved(old, new):
        storage.set_attribute("identity", {**old, **{key: new[key] for key in keys}})
    return ", ".join(f"{key} was {old[key]}, is now {new[key]}" for key in keys)


def facts_of(store: Store) -> dict[str, Any]:
    """The store's digest and version, size and channels of its pictures, how many pictures each split has, and each class in train."""
    count_C = store.counts_C(store.train_idx).tolist()
    splits = {"train": len(store.train_idx), "val": len(store.val_idx), "test": len(store.test_idx)}
    shape = {"image_size": store.image_size, "channels": store.info.channels}
    classes = dict(zip(store.class_names, count_C, strict=True))
    return {"digest": store.digest, "version": VERSION, **shape, "splits": splits, "classes": classes}


def differences(noted: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[str]:
    """What differs, the coarsest first; at least one sentence."""
    if noted["version"] != found["version"]:
        yield f"they were kept in stores of version {noted['version']}, and this visiontune makes version {found['version']}"
    yield from (f"{split} had {plural(num, 'picture')}, now {found['splits'][split]:,}" for split, num in _changed(noted, found, "splits"))
    was, now = noted["classes"], found["classes"]
    rules = [f"class {name!r} is new" for name in now if name not in was] + [f"class {name!r} is gone" for name in was if name not in now]
    rules += [
        f"class {name!r} had {num:,} training pictures, now {now[name]:,}" for name, num in _changed(noted, found, "classes") if name in now
    ]
    yield from rules[:_MOST_LISTED]
    if len(rules) > _MOST_LISTED:
        yield f"and {plural(len(rules) - _MOST_LISTED, 'class')} more"
    if found.get("crops") != noted.get("crops"):
        yield f"their annotated objects may have been cut out as rectangles, as by versions of before, and are {found['crops']} now"
    if all(noted[key] == found[key] for key in ("version", "splits", "classes")):
        yield "as many pictures of each class, but not the same ones: some were replaced, or have another label, name or split"


def _changed(noted: Mapping[str, Any], found: Mapping[str, Any], key: str) -> Iterator[tuple[str, int]]:
    return ((name, num) for name, num in noted[key].items() if found[key].get(name) != num)
