"""What `visiontune init` asks: four questions at most, each with an option that decides it and an answer that the pictures suggest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from visiontune.data.survey import Survey
from visiontune.errors import UserError
from visiontune.results.drafts.space_draft import WEIGHTS, WEIGHTS_NAME, Answers, image_size_for, likely
from visiontune.spec.declarations.image_size import ImageSize, image_size, pixels
from visiontune.spec.reading.value_reader import Problems, read_constant
from visiontune.spec.space.sections import DATA, STUDY
from visiontune.spec.yaml.yaml_reader import compose

Ask = Callable[[str, str], str]
"""Takes a question and its default in words, gives the answer; an empty one means the default."""
_YES, _NO = ("yes", "y", "true"), ("no", "n", "false")


@dataclass(frozen=True)
class Question:
    """`option` decides it on the command line; `read` makes a value of an answer or raises UserError."""

    key: str
    text: str
    option: str
    read: Callable[[str], Any]


def _constant(key: str, text: str, section: Any) -> Any:
    """A number as a file would have it, with the same range and message."""
    problems = Problems()
    node = compose(text, "", problems.found, line=0)
    value = read_constant(node, section.fields[key], key, problems)
    if problems.found:
        raise UserError(*problems.found)
    if value is None:
        raise UserError(f"{key} needs a number, but got {text!r}")
    return value


def _flag(text: str) -> bool:
    if text.lower() not in (*_YES, *_NO):
        raise UserError(f"must be yes or no, but got {text!r}")
    return text.lower() in _YES


def _hours(text: str) -> float:
    return float(_constant("hours", text, STUDY.fields["budget"]))


def _image_size(text: str) -> ImageSize:
    return image_size(_constant("image_size", text, DATA))


IMAGE_SIZE = Question("image_size", "pixels of a square's side, or of height and width in brackets", "image_size=PX", _image_size)
PRETRAINED = Question("use_pretrained", f"start from {WEIGHTS_NAME}", "`pretrained=True` or `pretrained=False`", _flag)
MIRRORED = Question("is_mirrored", "a mirrored picture keeps its class", "`mirrored=True` or `mirrored=False`", _flag)
HOURS = Question("hours", "hours that the search may take", "`hours=H`", _hours)
QUESTIONS: Mapping[str, Question] = {question.key: question for question in (PRETRAINED, IMAGE_SIZE, MIRRORED, HOURS)}


def decide(seen: Survey, known: Mapping[str, Any], ask: Ask | None) -> tuple[Answers, list[str]]:
    """What is known, else asked, else likely; and a line for each that says which."""
    found = vars(likely(seen, has_weights=_has_weights(seen))).copy()
    said = []
    for key, question in QUESTIONS.items():
        if key == "image_size":
            found[key] = image_size_for(seen.short_side, use_pretrained=found["use_pretrained"])
        why = "as given" if key in known else f"by default; {question.option} decides it"
        if key in known:
            found[key] = known[key]
        elif ask is not None:
            found[key], why = _asked(ask, question, found[key]), "as answered"
        said.append(f"  {question.text}: {_word(found[key])} ({why})")
    return Answers(**found), said


def _asked(ask: Ask, question: Question, default: Any) -> Any:
    """Again until the answer can be used."""
    text = question.text
    while True:
        answer = ask(text, _word(default)).strip()
        if not answer:
            return default
        try:
            return question.read(answer)
        except UserError as error:
            text = f"{error}\n{question.text}"


def _has_weights(seen: Survey) -> bool:
    """Only where they would be used: this imports torchvision."""
    if seen.channels != 3 or seen.short_side <= 64:
        return False
    from visiontune.models.published_weights import is_at_hand

    return is_at_hand(WEIGHTS)


def _word(value: Any) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else pixels(value) if isinstance(value, tuple) else f"{value:g}"
