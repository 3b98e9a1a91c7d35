"""The section `data` on its own: out of key=value words, for commands that have no study file; and without its defaults."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from visiontune.errors import UserError
from visiontune.spec.declarations.declare import REQUIRED, Arg, Items, chosen
from visiontune.spec.reading.overrides import COMMAND_LINE, override
from visiontune.spec.reading.section_reader import Reader
from visiontune.spec.space.sections import DATA
from visiontune.spec.space.space import fill
from visiontune.spec.tables.sources import SOURCES
from visiontune.spec.yaml.yaml_node import node_of


def load_data(found: Mapping[str, Any], words: Sequence[str] = ()) -> dict[str, Any]:
    """What `found` says and `words` add or change, checked as in a study, defaults filled in. Raises UserError with every problem.

    >>> load_data({"source": "digits"}, ["val_fraction=0.2"])["val_fraction"]
    0.2
    """
    reader = Reader(with_domains=False)
    root = override(node_of(found, COMMAND_LINE), words, reader.problems.found, DATA.fields)
    tree = reader.file(root, DATA.fields)
    if reader.problems.found:
        raise UserError(*reader.problems.sorted())
    return fill(DATA.fields, tree)


def excluded_by(words: Sequence[str]) -> tuple[str, ...]:
    """The patterns of `exclude` among words, none where they say no list of texts: that is told where all words are checked.

    >>> excluded_by(["seed=1", 'exclude=["*_mask.png", thumbs]'])
    ('*_mask.png', 'thumbs')
    """
    said = override(node_of({}, COMMAND_LINE), words, [], DATA.fields).plain().get("exclude")
    return tuple(said) if isinstance(said, list) and all(isinstance(one, str) for one in said) else ()


def without_defaults(data: Mapping[str, Any]) -> dict[str, Any]:
    """What a section says, the source first, without keys at their defaults; as JSON has it.

    So keys that came after a section was kept make no difference.
    """
    entry, _ = chosen(SOURCES, data, "source")
    fields = {**DATA.fields, **entry.args}
    known = {key: field.default for key, field in fields.items() if isinstance(field, Arg | Items)}
    defaults = {key: json.dumps(default) for key, default in known.items() if default is not REQUIRED}
    said = {key: value for key, value in data.items() if value is not None and json.dumps(value) != defaults.get(key)}
    return json.loads(json.dumps({"source": data["source"], **said}))  # type: ignore[no-any-return]
