"""What of a study has no meaning for pictures of several classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from visiontune.spec.reading.section_reader import Reader
from visiontune.spec.reading.value_reader import BAD
from visiontune.spec.space.space import Space
from visiontune.spec.tables.several_labels import NO_TEST_TIME, has_many, problems_of_many


def label_rules(reader: Reader, tree: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """As study_rules.py has them: the keys that must be right, where a rule is broken, what is broken."""
    if not has_many(tree["data"]):
        return
    if tree["confirm"]["use_val"] is True:
        rule = "thresholds of several classes are chosen on validation pictures that the network has not seen; nearest is false"
        yield ("data", "confirm.use_val"), "confirm.use_val", rule
    if tree["confirm"]["test_time"] not in ("none", BAD):
        yield ("data", "confirm.test_time"), "confirm.test_time", f"{NO_TEST_TIME}; nearest is none"
    if reader.problems.none_under("space"):
        space = Space(tree["space"])
        corners = ((section, corner) for section in ("loss", "balance", "augmentation") for corner in space.corners(section))
        found = dict.fromkeys(problem for section, corner in corners for problem in problems_of_many({section: corner}))
        yield from ((("space",), f"space.{where}", rule) for where, rule in found)
