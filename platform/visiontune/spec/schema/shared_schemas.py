"""What stands in a JSON Schema more than once, written once."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from visiontune.spec.schema.value_schema import Schema

_WORTH_SHARING = 120
"""Characters of JSON from which on a repeated schema is replaced by a reference, which takes 30."""

_NAMES_TO_SCHEMAS = ("properties", "dependentSchemas", "$defs")
"""Keywords under which a mapping is no schema itself."""


def shared(schema: Schema) -> Schema:
    """The same with every schema that stands in it more than once written once, under `$defs`: a sixth of the size."""
    texts: dict[int, str] = {}
    _write(schema, texts)
    nested = [(texts[id(one)], one) for one in _schemas(schema)]
    counts = Counter(text for text, _ in nested if len(text) > _WORTH_SHARING)
    names = {text: f"shared{number}" for number, text in enumerate(text for text, count in counts.items() if count > 1)}
    by_text = dict(nested)

    def referenced(item: Any, is_schema: bool = True) -> Any:
        if isinstance(item, list):
            return [referenced(one) for one in item]
        name = names.get(texts[id(item)]) if isinstance(item, dict) and is_schema else None
        return {"$ref": f"#/$defs/{name}"} if name else inside(item)

    def inside(item: Any) -> Any:
        return {key: referenced(value, key not in _NAMES_TO_SCHEMAS) for key, value in item.items()} if isinstance(item, dict) else item

    defs = {name: inside(by_text[text]) for text, name in names.items()}
    return {**inside(schema), "$defs": {**inside(schema["$defs"]), **defs}}


def _write(item: Any, texts: dict[int, str]) -> str:
    """Its JSON, put together of its parts', each of which is written once; those of mappings are kept by identity."""
    if isinstance(item, list | tuple):
        return f"[{', '.join([_write(one, texts) for one in item])}]"
    if not isinstance(item, dict):
        return json.dumps(item)
    if id(item) not in texts:
        texts[id(item)] = f"{{{', '.join([f'{json.dumps(key)}: {_write(value, texts)}' for key, value in item.items()])}}}"
    return texts[id(item)]


def _schemas(item: Any, is_schema: bool = True) -> list[Schema]:
    """It and all that it holds, from the outside in."""
    found: list[Schema] = [item] if isinstance(item, dict) and is_schema else []
    if isinstance(item, dict):
        for key, value in item.items():
            if isinstance(value, dict | list):
                found += _schemas(value, key not in _NAMES_TO_SCHEMAS)
    for one in item if isinstance(item, list) else ():
        found += _schemas(one)
    return found
