"""argparse's parser with errors of our own: one sentence with the verb, what is wrong, what was given and the verb's nearest choice."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Sequence
from typing import Any, NoReturn

from visiontune.cli.option_hints import nearest_option, override_hint
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
        if options := [word.partition("=")[0] for word in words if word.startswith("-")]:
            self.error(f"there is no option {options[0]}; {self._option_hint(options[0])}")
        if words:
            takes = " ".join(_name(action) for action in self._get_positional_actions()) or "only options"
            self.error(f"{words[0]!r} is one word too many; it takes {takes}")

    def refuse_before_verb(self, words: Sequence[str]) -> None:
        """Raise UserError where the words begin with an option that only verbs have, or nothing has."""
        verbs: dict[str, Parser] = dict(self._get_positional_actions()[0].choices or {})
        known = {name: action for verb in verbs.values() for name, action in verb._option_string_actions.items()}
        front, behind, rest = list[str](), list[str](), list(words)
        while rest and rest[0].startswith("-") and rest[0] != "--":
            option, is_whole, _ = rest[0].partition("=")
            if option not in {**known, **self._option_string_actions}:
                self.refuse([option])
            num = 1 if is_whole or option in self._option_string_actions else 1 + _num_values(known[option])
            (front if option in self._option_string_actions else behind).extend(rest[:num])
            del rest[:num]
        if behind:
            whole = shlex.join([*self.prog.split(), *front, *(rest or ["VERB"]), *behind])
            self.error(f"{behind[0].partition('=')[0]} stands behind the verb: {whole}")

    def _option_hint(self, option: str) -> str:
        known = [one for one, action in self._option_string_actions.items() if _is_like(option, one, action)]
        takes_keys = any(_name(one).endswith("KEY=VALUE") for one in self._get_positional_actions())
        return nearest_option(option, known) + (override_hint(option, self.prog.rpartition(" ")[2]) if takes_keys else "")

    def _sentence(self, message: str) -> str:
        if wrong := re.fullmatch(r"argument VERB: invalid choice: '(.*?)' \(choose from .*", message):
            return f"there is no verb {wrong[1]!r}; {nearest(wrong[1], self._get_positional_actions()[0].choices or ())}"
        if message.startswith("the following arguments are required: "):
            self._refuse_unknown()
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

    def _refuse_unknown(self) -> None:
        """Raise UserError for an option that there is not: it may be what is missing, by another name."""
        given = [word for word in self.words if re.match(r"--?[a-z]", word)]
        self.refuse([word for word in given if word.partition("=")[0] not in self._option_string_actions])

    def _action(self, option: str) -> argparse.Action | None:
        return next((one for one in self._actions if option in ("/".join(one.option_strings), _name(one))), None)

    def _after(self, action: argparse.Action) -> str:
        """What was given in its place: argparse takes a word with a dash for the next option."""
        for word, after in zip(self.words, self.words[1:], strict=False):
            if word in action.option_strings and after.startswith("-"):
                return f", but {after!r} begins as an option does"
        return ""


def _is_like(option: str, known: str, action: argparse.Action) -> bool:
    """Whether it may be meant by one with as many dashes: where both dashes were given, no letter that stands for a word."""
    return len(known) > 2 or not option.startswith("--") or len(action.option_strings) == 1


def _num_values(action: argparse.Action) -> int:
    return action.nargs if isinstance(action.nargs, int) else 1


def _is_lacking(action: argparse.Action, names: Sequence[str]) -> bool:
    return action.nargs != "*" and ("/".join(action.option_strings) or _name(action)) in names


def _name(action: argparse.Action) -> str:
    return action.metavar if isinstance(action.metavar, str) else " ".join(action.metavar or [action.dest.upper()])


def _told(action: argparse.Action) -> str:
    return f"{_name(action)} ({action.help})" if action.help else _name(action)
