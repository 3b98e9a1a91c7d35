"""The source's name of each row of a store, such as the file that it was made of.

A store holds no names, since it stays what it is when its source is moved. They follow from what it does hold: which pictures of the
plan could not be used, and which were dropped because they repeat others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from visiontune.data.ingest.cut_chunks import cut
from visiontune.data.ingest.plan import make_plan
from visiontune.data.prepare import source_of, with_defaults
from visiontune.data.prepared_store import retold
from visiontune.data.split import IntArray
from visiontune.data.store.store import Store
from visiontune.errors import UserError


def row_names(data: Mapping[str, Any], store: Store) -> list[str]:
    """By row. `data` is the section that made the store. Raises UserError for pictures that can't be listed, or are others now."""
    data = with_defaults(data)
    source = source_of(data)
    plan = make_plan(source, data)
    report = retold(store.report(), source, lambda: plan)
    names = [plan.names(part)[row] for part, rows in plan.rows.items() for row in rows.tolist()]
    bad = {one["name"] for one in report.set_aside if one["is_bad"]}
    dropped = {one["name"] for one in report.repeats if one["is_dropped"]}
    is_good_N = np.array([name not in bad for name in names], np.bool_)
    is_kept_N = is_good_N & np.array([name not in dropped for name in names], np.bool_)
    first = source.first() if not is_good_N.all() else (1, 1, 1)  # it decodes pictures, and says only where chunks begin
    starts = [chunk.start for chunk in cut(plan.rows, first, source.begins)]
    order_N = stored_order(np.flatnonzero(is_good_N), is_kept_N, starts)
    if not np.array_equal(plan.label_N[order_N], store.labels_N):
        raise UserError(f"the pictures of {data['source']} are not those that the store {store.path} was made of")
    return [names[place] for place in order_N.tolist()]


def stored_order(good_K: IntArray, is_kept_N: np.ndarray[Any, np.dtype[np.bool_]], starts: list[int]) -> IntArray:
    """Places in the plan in the order of the file, as `data/ingest/assemble.py` lays pictures down.

    `good_K` are the places of good pictures, `starts` those at which chunks begin. A chunk's good ones move up to its beginning; what then
    stands beyond the number that is kept fills the gaps.
    """
    chunk_K = np.searchsorted(starts, good_K, "right") - 1
    first_K = np.searchsorted(chunk_K, chunk_K, "left")
    position_K = np.asarray(starts)[chunk_K] + np.arange(len(good_K)) - first_K if len(good_K) else good_K
    is_kept_K = is_kept_N[good_K]
    place, position = good_K[is_kept_K], position_K[is_kept_K]
    is_inside = position < len(place)
    order_N = np.full(len(place), -1, np.int64)
    order_N[position[is_inside]] = place[is_inside]
    order_N[order_N < 0] = place[~is_inside]
    return order_N
