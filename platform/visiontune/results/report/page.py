"""The page: templates, and plotly.js within it.

Measured on plotly 6.6: plotly.min.js has 4.8 MB, gzip and base64 1.96 MB, which a browser unpacks in 0.1 s
(DecompressionStream: Chromium 80, Firefox 113, Safari 16.4). The package has no smaller bundle.
"""

from __future__ import annotations

import base64
import gzip
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

from visiontune.results.report.blocks import Block, Plot
from visiontune.results.report.first_screen import Answer

Shown = tuple[str, str, Sequence[Block]]
"""Slug, title and blocks of one section."""


def render(name: str, answer: Answer, sections: Sequence[Shown]) -> str:
    """The page as HTML. Names are shown as they are, whatever they hold: the templates escape them."""
    plots = {block.name: block.to_dict() for _, _, blocks in sections for block in blocks if isinstance(block, Plot)}
    known = {"name": name, "answer": answer, "sections": sections, "plots": plots}
    page: str = _environment().get_template("page.html").render(**known, plotly=packed_plotly() if plots else "")
    return page


@cache
def packed_plotly() -> str:
    """plotly.min.js as base64 of gzip, the same bytes each time."""
    source = resources.files("plotly").joinpath("package_data", "plotly.min.js").read_bytes()
    return base64.b64encode(gzip.compress(source, 9, mtime=0)).decode()


def _environment() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("visiontune.results.report")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
