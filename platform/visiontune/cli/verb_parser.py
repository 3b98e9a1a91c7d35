"""argparse's parser with errors of our own: one sentence with the verb, what is wrong, what was given and the verb's nearest choice."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from visiontune.errors import UserError, nearest

_KINDS = {"int": "an int", "float": "a number"}


class Parser(argparse.ArgumentParser):
    """Takes options by their whole names only, so that one that comes later changes no command; raises UserError, never exits."""

    words: Sequence[str] = ()

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        self.allow_abbrev = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse's, but remembers the words."""
        self.words = tuple(args or ())
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Raise UserError with what argparse found."""
        raise UserError(f"{self.prog}: {self._sentence(message)}")

    def refuse(self, words: Sequence[str]) -> None:
        """Raise UserError for the first of them that is an option, else the first, if there is any: this verb takes none of these."""
        options = [word.partition("=")[0] for word in words if word.startswith("-")]
        for option in options:
            known = [one for one in self._option_string_actions if len(one) > 2 or not option.startswith("--")]
            self.error(f"there is no option {option}; {nearest(option, known)}{self._override_hint()}")
        for word in words:
            takes = " ".join(_name(action) for action in self._get_positional_actions()) or "only options"
            self.error(f"{word!r} is one word too many; it takes {takes}")

    def _override_hint(self) -> str:
        overrides = [one.help for one in self._get_positional_actions() if _name(one).endswith("KEY=VALUE")]
        return "; what a file says is changed without dashes, by KEY=VALUE" if overrides else ""

    def _sentence(self, message: str) -> str:
        if wrong := re.fullmatch(r"argument VERB: invalid choice: '(.*?)' \(choose from .*", message):
            return f"there is no verb {wrong[1]!r}; {nearest(wrong[1], self._get_positional_actions()[0].choices or ())}"
        if message.startswith("the following arguments are required: "):
            names = message.partition(": ")[2].split(", ")
            lacking = [one for one in self._actions if _is_lacking(one, names)]
            return " and ".join(" ".join([*one.option_strings[-1:], _told(one)]) for one in lacking) + " must be given"
        found = re.fullmatch(r"argument ([^:]+): (.*)", message, re.DOTALL)
        option, rule = (found[1], found[2]) if found else ("", message)
        if rule.startswith("expected ") and (action := self._action(option)):
            return f"{option} needs {_told(action)}{self._after(action)}"
        if wrong := re.fullmatch(r"ignored explicit argument '(.*)'", rule):
            return f"{option} takes no value, but got {wrong[1]!r}"
        if wrong := re.fullmatch(r"invalid (\w+) value: ('.*')", rule):
            return f"{option} must be {_KINDS.get(wrong[1], wrong[1])}, but got {wrong[2]}"
        return f"{option} {rule}".replace("not allowed with argument", "is not allowed with").strip()

    def _action(self, option: str) -> argparse.Action | None:
        return next((one for one in self._actions if option in ("/".join(one.option_strings), _name(one))), None)

    def _after(self, action: argparse.Action) -> str:
        """What was given in its place: argparse takes a word with a dash for the next option."""
        for word, after in zip(self.words, self.words[1:], strict=False):
            if word in action.option_strings and after.startswith("-"):
                return f", but {after!r} begins as an option does"
        return ""


def _is_lacking(action: argparse.Action, names: Sequence[str]) -> bool:
    return action.nargs != "*" and ("/".join(action.option_strings) or _name(action)) in names


def _name(action: argparse.Action) -> str:
    return action.metavar if isinstance(action.metavar, str) else " ".join(action.metavar or [action.dest.upper()])


def _told(action: argparse.Action) -> str:
    return f"{_name(action)} ({action.help})" if action.help else _name(action)
