"""What stands on a command line in place of a file's own values: `key=value` items, laid over the tree of the file."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from visiontune.errors import Problem, UserError
from visiontune.filesystem.path_kind import kind_of
from visiontune.spec.declarations.declare import NOTHING, Arg, Field, Items
from visiontune.spec.reading.items_reader import declared_at
from visiontune.spec.reading.name_hints import places_of
from visiontune.spec.yaml.yaml_node import Node, node_of
from visiontune.spec.yaml.yaml_reader import compose

COMMAND_LINE = "command line"
_DOTTED = re.compile(r"[a-z]\w*(?:\.\w+)+")
_PARTED = re.compile(r"([a-z]\w*(?:\.\w+)*) (?:= ?)?([^ =]+)")


def override_texts(overrides: Mapping[str, Any]) -> list[str]:
    """Python's keyword arguments as `key=value`: two underscores stand for a dot, as in scikit-learn's set_params.

    >>> override_texts({"budget__num_trials": 8, "space.optimizer.lr": 0.1})
    ['budget.num_trials=8', 'space.optimizer.lr=0.1']
    """
    plain = {key.replace("__", "."): node_of(value, COMMAND_LINE).plain() for key, value in overrides.items()}
    # JSON is YAML, so that a string may hold whatever YAML would read as something else.
    return [f"{key}={'' if value is None else json.dumps(value, ensure_ascii=False)}" for key, value in plain.items()]


def override(root: Node, overrides: Sequence[str], found: list[Problem], fields: Mapping[str, Field] = NOTHING) -> Node:
    """The tree with every `key=value` put under its dotted key. Problems are added to `found`.

    The value is YAML; but where `fields` declare a text it is that text as it stands, `pics #2` and `null` too. Quotes around it are
    taken away, and nothing at all is null.
    """
    seen: set[str] = set()
    found += misspelt(overrides)
    for text in (one for one in overrides if not misspelt([one])):
        key, _, value = text.partition("=")
        key = key.strip()
        if key in seen:
            found.append(Problem(COMMAND_LINE, 0, key, "a key may be given once, but it is given again"))
        else:
            seen.add(key)
            try:
                root = _put(root, key.split("."), _value(key, value, found, fields), key)
            except UserError as error:
                found.extend(replace(problem, where=key) for problem in error.problems)
    return root


def misspelt(overrides: Sequence[str]) -> list[Problem]:
    """What is no `key=value`."""
    found, rest = list[Problem](), list(overrides)
    while rest:
        text = rest.pop(0)
        if "=" in text and all(text.partition("=")[0].strip().split(".")):
            continue
        parted = _PARTED.fullmatch(" ".join([text, *rest[:2]])) or _PARTED.fullmatch(" ".join([text, *rest[:1]]))
        near = f" without spaces; nearest is {parted[1]}={parted[2]}" if parted else _like(text)
        found.append(Problem(COMMAND_LINE, 0, text, f"an override is written key=value{near}"))
        del rest[: len(parted[0].split(" ")) - 1 if parted else 0]
    return found


def _like(text: str) -> str:
    return f"; nearest is {text}=VALUE" if _DOTTED.fullmatch(text) else ", like budget.num_trials=8"


def num_apart(words: Sequence[str], fields: Mapping[str, Field]) -> int:
    """How many of the first words are one override of a file with these fields that was written with spaces; 0 where they are none.

    >>> from visiontune.spec.space.sections import STUDY
    >>> num_apart(["budget.num_trials", "8"], STUDY.fields), num_apart(["other.yaml", "8"], STUDY.fields)
    (2, 0)
    """
    head, dot, _ = (words[0] if words else "").partition(".")
    if not (head in fields if dot else any(places_of(head, fields))):
        return 0
    num = next((num for num in (3, 2) if len(words) >= num and _PARTED.fullmatch(" ".join(words[:num]))), 0)
    return 0 if num and _is_own_file(words[num - 1], words[0], fields) else num


def _is_own_file(word: str, key: str, fields: Mapping[str, Field]) -> bool:
    """Whether a word behind a key is a YAML file, where the key takes none for its value."""
    declared = [field for _, field in declared_at(key.split("."), fields)]
    takes_text = not declared or any(isinstance(one, Items) or (isinstance(one, Arg) and one.type is str) for one in declared)
    return not takes_text and word.endswith((".yaml", ".yml")) and kind_of(word) == "file"


def is_key(word: str, fields: Mapping[str, Field]) -> bool:
    """Whether it is a dotted key of a file with these fields.

    >>> from visiontune.spec.space.sections import STUDY
    >>> is_key("budget.num_trials", STUDY.fields), is_key("budget.yaml", STUDY.fields)
    (True, False)
    """
    return "." in word and any(declared_at(word.split("."), fields))


def _value(key: str, text: str, found: list[Problem], fields: Mapping[str, Field]) -> Node:
    """Raises UserError for what is no YAML."""
    text = text.strip()
    is_quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    is_domain = key.startswith("space.") and text.startswith("{")
    if text and not is_quoted and not is_domain and _is_text(key, fields):
        return Node("scalar", text, COMMAND_LINE, 0)
    return compose(text, COMMAND_LINE, found, line=0)


def _is_text(key: str, fields: Mapping[str, Field]) -> bool:
    declared = [field for _, field in declared_at(key.split("."), fields)]
    return bool(declared) and all(isinstance(one, Arg) and one.type is str and not one.choices for one in declared)


def _put(node: Node, path: Sequence[str], value: Node, whole: str) -> Node:
    if not path:
        return value
    if node.kind != "mapping" and node.value is not None:
        above = whole.removesuffix(".".join(path)).rstrip(".")
        raise UserError(Problem(COMMAND_LINE, 0, whole, f"{above} holds no keys, but is {node.shown()}"))
    key, *deeper = path
    pairs = list(node.value or ())
    at = next((number for number, (one, _) in enumerate(pairs) if one.value == key), len(pairs))
    if at == len(pairs):
        pairs.append((Node("scalar", key, COMMAND_LINE, 0), Node("scalar", None, COMMAND_LINE, 0)))
    pairs[at] = (pairs[at][0], _put(pairs[at][1], deeper, value, whole))
    return Node("mapping", tuple(pairs), node.file, node.line)
