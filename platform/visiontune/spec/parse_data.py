"""The section `data` on its own, out of key=value words, for commands that have no study file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from visiontune.errors import UserError
from visiontune.spec.overrides import COMMAND_LINE, override
from visiontune.spec.section_reader import Reader
from visiontune.spec.sections import DATA
from visiontune.spec.space import fill
from visiontune.spec.yaml_node import node_of


def load_data(found: Mapping[str, Any], words: Sequence[str] = ()) -> dict[str, Any]:
    """What `found` says and `words` add or change, checked as in a study, defaults filled in. Raises UserError with every problem.

    >>> load_data({"source": "digits"}, ["val_fraction=0.2"])["val_fraction"]
    0.2
    """
    reader = Reader(with_domains=False)
    root = override(node_of(found, COMMAND_LINE), words, reader.problems.found)
    tree = reader.file(root, DATA.fields)
    if reader.problems.found:
        raise UserError(*reader.problems.sorted())
    return fill(DATA.fields, tree)
