"""What `visiontune ingest` and `visiontune data` do, without their arguments' parsing."""

from __future__ import annotations

import contextlib
import json
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

from visiontune.data.prepare import prepare
from visiontune.data.readers.detect import look
from visiontune.data.store.names import find_store, give_name, refuse_name
from visiontune.data.store.store import Store
from visiontune.errors import UserError
from visiontune.results.class_sheet import write_sheet
from visiontune.results.data_summary import damage_lines, lines, study_line, to_json
from visiontune.results.ingest_progress import IngestScreen
from visiontune.spec.parse_data import load_data


def ingest(source: str, words: Sequence[str], cache: Path, *, name: str | None = None, is_plain: bool = False) -> list[str]:
    """Make or find the store of a source ("source=..." and words alone say it too) and describe it. Raises UserError."""
    data = load_data({}, [source, *words]) if source.startswith("source=") else load_data(look(source), words)
    if name is not None:
        refuse_name(cache, name, data)
    with _sigterm_interrupts(), IngestScreen(is_plain=is_plain) as screen:
        path = prepare(data, cache, tell=screen.tell)
    before = None if name is None else give_name(cache, name, path, data)
    return [f"{name or path.stem}:", *lines(Store.open(path)), *_before(before), f"  {study_line(data)}"]


def _before(path: Path | None) -> list[str]:
    """What the name meant until now."""
    if path is None:
        return []
    try:
        known = f"{len(Store.open(path).labels_N):,} pictures, still to be had as {path.stem[:12]}"
    except UserError:
        known = "pictures that are gone"
    return [f"  before     the name meant {known}"]


@contextlib.contextmanager
def _sigterm_interrupts() -> Iterator[None]:
    """As ctrl-C does, so that it is said how to go on."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def tell(text: str, cache: Path, *, is_json: bool = False, is_verified: bool = False, sheet: Path | None = None) -> tuple[bool, str]:
    """Whether no damage was found (it is looked for only if `is_verified`), and the description. Raises UserError, OSError."""
    if sheet is not None and sheet.suffix != ".png":
        raise UserError(f"--sheet names a picture, such as sheet.png, but got {str(sheet)!r}")
    path, section = find_store(cache, text)
    store = Store.open(path)
    damaged = list(store.damaged()) if is_verified else None
    if sheet is not None:
        write_sheet(store, sheet)
    if is_json:
        return not damaged, json.dumps(to_json(store, damaged), indent=1, ensure_ascii=False)
    more = [] if damaged is None else damage_lines(store, damaged)
    more += [] if sheet is None else [f"  contact sheet in {sheet}"]
    more += [] if section is None else [f"  {study_line(section)}"]
    return not damaged, "\n".join([f"{text}:", *lines(store), *more])
