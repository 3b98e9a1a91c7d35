"""What is said of picture files that were read, but not as their names let one expect."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from visiontune.data.ingest.plan import Plan
from visiontune.data.picture.digest import Bytes
from visiontune.data.picture.formats import kind_named
from visiontune.data.picture.traits import SEVERAL_FRAMES, kind_in
from visiontune.data.split import IntArray

_MOST_NAMED = 3


def notes_of_files(plan: Plan, place_K: IntArray, trait_K: Bytes) -> Iterator[str]:
    """Sentences with a count and three names each: of files of another format than they are named, and of those with several frames."""
    kinds = {traits: kind_in(traits) for traits in np.unique(trait_K).tolist()}
    others = []
    for place, traits in zip(place_K.tolist(), trait_K.tolist(), strict=True):
        if (kind := kinds[traits]) is not None and kind_named(name := plan.name(place)) not in (None, kind):
            others.append(f"{name} is {kind}")
    if others:
        yield _said(others, "of another format than the name says, each read as what it is")
    frames = [plan.name(place) for place in place_K[trait_K & SEVERAL_FRAMES != 0].tolist()]
    if frames:
        yield _said(frames, "with several frames, of which the first is used")


def _said(listed: Sequence[str], what: str) -> str:
    shown = ", ".join(listed[:_MOST_NAMED]) + (", ..." if len(listed) > _MOST_NAMED else "")
    return f"{len(listed):,} {'file' if len(listed) == 1 else 'files'} {what}: {shown}"
