"""argparse's parser with the nearest verb or option in its errors."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NoReturn

from visiontune.errors import near_names, nearest


class Parser(argparse.ArgumentParser):
    """Tells the nearest verb or option too; `options` are those of each verb, by its function, `verb` the one at hand."""

    options: Mapping[Any, tuple[str, ...]] = MappingProxyType({})
    verb: Any = None

    def error(self, message: str) -> NoReturn:
        """Print usage and message, exit with 2."""
        if wrong := re.search(r"(.*invalid choice: '([^']*)') \(choose from (.*)\)", message):
            known = re.findall(r"[\w-]+", wrong[3])
            message = f"{wrong[1]}; {nearest(wrong[2], known)}"
        elif wrong := re.search(r"unrecognized arguments:.*?(--?[\w-]+)", message):
            message += near_names(wrong[1], self.options.get(self.verb, ()))
        super().error(message)
