"""Errors that users see: mistakes in their input, all at once, each with place, rule, value and nearest choice; and what else ends work."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePath


@dataclass(frozen=True)
class Problem:
    """One broken rule. `where` is a dotted path or a flag; `line` counts from 1, 0 when there is no line."""

    file: str
    line: int
    where: str
    rule: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return ": ".join(part for part in (place, self.where, self.rule) if part)


class UserError(Exception):
    """Input that can't be used; the command line prints its problems and exits with 2."""

    def __init__(self, *problems: Problem | str) -> None:
        self.problems = tuple(p if isinstance(p, Problem) else Problem("", 0, "", p) for p in problems)
        super().__init__("\n".join(str(p) for p in self.problems))


class NotAtHand(UserError):
    """What the input names in good order is not to be had on this machine (a file, a download, a whole copy); on another it may be."""


class SearchFailed(Exception):
    """The search can't go on, through no fault of the file: one sentence that says why."""


class NoCluster(Exception):
    """No Ray cluster answers at the address, or what answers can't be joined."""


class MachineFault(RuntimeError):
    """A machine is at fault and no recipe: the message is one line that names it. The process that raises it should end."""


class UnfitMachine(MachineFault):
    """The machine, or this process on it, can take no trial at all: none had begun."""


class Preempted(MachineFault):
    """The machine is about to go, or this process was told to end: what it trained is on the disk, and its leg goes on elsewhere."""


class Superseded(RuntimeError):
    """Another worker has gone on with this one's leg, or its trial has ended: nothing more of it is wanted."""


class Died(RuntimeError):
    """A process that decodes pictures was ended from outside, most likely for want of memory; what is decoded is kept for the same call."""


class LostRank(RuntimeError):
    """One of several processes that train one recipe together was ended, and so the others were; `is_begun`: they had met by then."""

    def __init__(self, said: str, *, is_begun: bool = True) -> None:
        super().__init__(said)
        self.is_begun = is_begun

    @staticmethod
    def rank_in(said: str) -> int:
        """Which one is said to be at fault, from 0; 0 also where that is not said.

        >>> LostRank.rank_in("node7: worker 2 of 4 was lost with its process")
        1
        """
        found = _WORKER.search(said)
        return int(found[1]) - 1 if found else 0


class Diverged(Exception):
    """The loss became NaN or infinite in `epoch`, which counts from 1."""

    def __init__(self, epoch: int) -> None:
        super().__init__(f"the loss became NaN or infinite in epoch {epoch}")
        self.epoch = epoch

    def __reduce__(self) -> tuple[type[Diverged], tuple[int]]:
        return type(self), (self.epoch,)


_LONGEST = 300
_CLOSE = 0.65
_LONG = 4
"""Letters of a name that is looked for within another program's, such as adam in torch.optim.Adam."""
_WORKER = re.compile(r"\bworker (\d+) of \d+ (?:was lost|failed)")
_SENTENCE_END = re.compile(r"[.!?](?= )")


def shortened(text: str, longest: int = _LONGEST) -> str:
    """As many of its sentences as have room; of the first one its beginning where that alone is longer, which ends with a word unless
    that would take half of it.

    >>> shortened("It died. It was out of memory. One more.", 34), shortened("It died of something.", 12)
    ('It died. It was out of memory.', 'It died of …')
    >>> shortened("Failed: /a/long/path.txt", 20), shortened("a" * 400) == "a" * 299 + "…"
    ('Failed: /a/long/pat…', True)
    """
    if len(text) <= longest:
        return text
    ends = [found.end() for found in _SENTENCE_END.finditer(text[: longest + 1])]
    if ends:
        return text[: ends[-1]]
    begin = text[: longest - 1]
    words = begin.rpartition(" ")[0]
    return f"{words} …" if 2 * len(words) > longest else f"{begin}…"


def first_line(error: BaseException) -> str:
    """What an error says, in one line; its kind where it says nothing."""
    return next(iter(str(error).strip().splitlines()), "") or type(error).__name__


def last_line(error: BaseException) -> str:
    """The same of an error that carries another process's traceback: that ends with what it says."""
    return shortened(next(iter(str(error).strip().splitlines()[::-1]), "").strip()) or type(error).__name__


def plural(num: int, word: str) -> str:
    """
    >>> plural(1, "trial"), plural(1200, "trial"), plural(2, "class")
    ('1 trial', '1,200 trials', '2 classes')
    """
    return f"{num:,} {word}{'' if num == 1 else 'es' if word.endswith('s') else 's'}"


def closest(word: str, names: Iterable[str], num: int = 1) -> list[str]:
    """Those of the names, `num` at most, that may be meant by a word, the nearest first: misspelt, or parts of one that has "_" or "-".

    A misspelling is told from another word by difflib's ratio, .65 or more, capitals apart (CONTRIBUTING.md: why that).

    >>> closest("resnet81", ["resnet18", "vgg11"]), closest("trials", ["num_trials", "epochs"]), closest("left", ["beta", "weights"])
    (['resnet18'], ['num_trials'], [])
    >>> closest("CosineAnnealingLR", ["cosine", "step"]), closest("torch.optim.Adam", ["adam", "sgd"])
    (['cosine'], ['adam'])
    """
    folded = {name.casefold(): name for name in reversed([*names])}
    suffix = PurePath(word.casefold()).suffix
    if any(name.endswith(suffix) for name in folded):  # of files, which it makes no more alike
        folded = {name.removesuffix(suffix): whole for name, whole in folded.items()}
        word = word[: len(word) - len(suffix)]
    text, parts = word.casefold(), _parts(word)
    whole = sorted((name for name in folded if parts and parts <= _parts(name)), key=len)
    within = sorted((name for name in folded if len(name) >= _LONG and name in text), key=len, reverse=True)
    found = [*whole[:num], *difflib.get_close_matches(text, folded, n=num, cutoff=_CLOSE), *within]
    return [folded[name] for name in dict.fromkeys(found)][:num]


def _parts(name: str) -> frozenset[str]:
    """Its words, without the s of a plural."""
    return frozenset(part.removesuffix("s") for part in re.split(r"[_-]", name.casefold()) if part)


def near_names(name: str, known: Iterable[str]) -> str:
    """The tail of a rule about a name out of thousands: the closest few, nothing where none is close.

    >>> near_names("resnet81", ["resnet18", "vgg11"])
    '; nearest is resnet18'
    """
    close = closest(name, sorted(known), num=3)
    return f"; nearest {'is' if len(close) == 1 else 'are'} {', '.join(close)}" if close else ""


def nearest(word: object, choices: Iterable[object], before: str = "") -> str:
    """The tail of a rule: the closest choice if one is close, then all of them; the closest has `before` before it.

    >>> nearest("adamm", ["adam", "sgd"])
    "nearest is 'adam'; choices: adam, sgd"
    """
    names = [str(choice) for choice in choices]
    close = closest(str(word), names)
    listed = "choices: " + (", ".join(names) or "none")
    return f"nearest is {before + close[0]!r}; {listed}" if close else listed
