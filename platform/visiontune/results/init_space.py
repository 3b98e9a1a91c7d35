"""`visiontune init`: look at pictures, ask what they can't say, write a search space that passes `visiontune check`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from visiontune.data.survey import Survey, survey
from visiontune.errors import UserError
from visiontune.filesystem.atomic_write import write_whole
from visiontune.filesystem.path_kind import kind_of
from visiontune.results.make_dataset import section_of
from visiontune.results.space_draft import WEIGHTS, WEIGHTS_NAME, Answers, draft, image_size_for, likely
from visiontune.spec.epoch_forecast import cost
from visiontune.spec.parse import load_study
from visiontune.spec.sections import DATA, STUDY
from visiontune.spec.study_spec import StudySpec
from visiontune.spec.value_reader import Problems, read_constant
from visiontune.spec.yaml_reader import compose
from visiontune.tuning.preflight import preflight

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


IMAGE_SIZE = Question("image_size", "pixels of the square that pictures are resized to", "image_size=PX", lambda text: _image_size(text))
PRETRAINED = Question("use_pretrained", f"start from {WEIGHTS_NAME}", "--pretrained, --no-pretrained", lambda text: _flag(text))
MIRRORED = Question("is_mirrored", "a mirrored picture keeps its class", "--mirrored, --no-mirrored", lambda text: _flag(text))
HOURS = Question("hours", "hours that the search may take", "--hours H", lambda text: _hours(text))


@dataclass(frozen=True)
class NewSpace:
    """The file that was written. `print(space)` says what was seen of the pictures and what was decided, and by whom."""

    path: Path
    spec: StudySpec
    seen: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join([*self.seen, f"wrote {self.path}"])


def init_space(
    source: Path | str | Mapping[str, Any],
    words: Sequence[str],
    *,
    out: Path | None,
    name: str | None,
    given: Mapping[str, Any],
    ask: Ask | None,
    force: bool,
    command: str,
) -> NewSpace:
    """Raises UserError for pictures that can't be used, a file that is there, or answers that the pictures don't fit."""
    section = section_of(source, words)
    study = _study_name(section) if name is None else _checked_name(name)
    path = Path(f"{study}.yaml") if out is None else out
    _refuse(path, force=force)
    known = {key: question.read(str(given[key])) for key, question in _questions().items() if given.get(key) is not None}
    if section["image_size"] is not None:
        known["image_size"] = section["image_size"]
    seen = survey(section)
    answers, said = _answers(seen, known, ask)
    body = draft(study, section, seen, answers)
    spec = _checked(body, path)
    text = _header(seen, answers, spec, path, command) + body
    _write(path, text)
    return NewSpace(path, load_study(path), (_summary(seen), *said))


def _questions() -> dict[str, Question]:
    return {question.key: question for question in (PRETRAINED, IMAGE_SIZE, MIRRORED, HOURS)}


def _answers(seen: Survey, known: Mapping[str, Any], ask: Ask | None) -> tuple[Answers, list[str]]:
    """What is known, else asked, else likely; and a line for each that says which."""
    found = vars(likely(seen, has_weights=_has_weights(seen))).copy()
    said = []
    for key, question in _questions().items():
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
    return ("yes" if value else "no") if isinstance(value, bool) else f"{value:g}"


def _flag(text: str) -> bool:
    if text.lower() not in (*_YES, *_NO):
        raise UserError(f"must be yes or no, but got {text!r}")
    return text.lower() in _YES


def _hours(text: str) -> float:
    return float(_constant("hours", text, STUDY.fields["budget"]))


def _image_size(text: str) -> int:
    return int(_constant("image_size", text, DATA))


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


def _study_name(section: Mapping[str, Any]) -> str:
    """The last word of where the pictures are."""
    place = str(next((section[key] for key in ("path", "annotations", "train", "dataset", "source") if section.get(key)), "pictures"))
    last = place.rstrip("/").rpartition("/")[2] if place.strip("./") else Path.cwd().name
    return re.sub(r"[^A-Za-z0-9_-]+", "_", last.partition(".")[0]).strip("_-")[:64] or "pictures"


def _checked_name(name: str) -> str:
    """As `study` in a file. Raises UserError."""
    example: dict[str, Any] = {"model": {"name": "lenet5"}, "optimizer": {"name": "sgd", "lr": 0.1}}
    rest = {"data": {"source": "digits"}, "budget": {"num_trials": 1, "max_epochs": 1}, "space": example}
    return load_study({"study": name, **rest}).study


def _refuse(path: Path, *, force: bool) -> None:
    if kind_of(path) == "folder":
        raise UserError(f"--out {path} is a folder; name the file, such as {path / 'space.yaml'}")
    if kind_of(path) is not None and not force:
        raise UserError(f"the file {path} is there already; --force writes over it, --out FILE.yaml writes another")


def _checked(body: str, path: Path) -> StudySpec:
    """The draft as a search would check it. Raises UserError where the pictures or the machine do not allow what was asked for."""
    try:
        spec = load_study(compose(body, str(path), []).plain())
        preflight(spec)
    except UserError as error:
        raise UserError(*(replace(problem, file=f"{path} (not written)", line=0) for problem in error.problems)) from None
    return spec


def _summary(seen: Survey) -> str:
    colour = "colour" if seen.channels == 3 else "grey"
    sizes = f"{seen.short_side} px" if seen.short_side == seen.long_side else f"{seen.short_side} x {seen.long_side} px"
    return f"{seen.num_pictures:,} {colour} pictures of {len(seen.counts)} classes, about {sizes}"


def _options(answers: Answers) -> str:
    """The answers as options: what gives the same file without questions."""
    flags = {"pretrained": answers.use_pretrained, "mirrored": answers.is_mirrored}
    said = " ".join(f"--{'' if value else 'no-'}{name}" for name, value in flags.items())
    return f"image_size={answers.image_size} {said} --hours {answers.hours:g}"


def _header(seen: Survey, answers: Answers, spec: StudySpec, path: Path, command: str) -> str:
    """What it is, its command, its cost, as the files in search_spaces/ open."""
    forecast, shown = cost(spec), shlex.quote(str(path))
    start = f"from {WEIGHTS_NAME}" if answers.use_pretrained else "networks from scratch"
    low, high = spec.rungs[0], spec.rungs[-1]
    return "".join(
        f"# {' '.join(line.splitlines())}\n"
        for line in (
            f"What:    {_summary(seen)}; {start}.",
            f"         Written by: {command}",
            f"         with        {_options(answers)}",
            f"Command: visiontune search {shown}",
            f"         (before it: visiontune check {shown} --run)",
            f"Cost:    {answers.hours:g} h at most, or {forecast.num_trials} trials of {low} to {high} epochs: about "
            f"{forecast.expected_epochs:,} epochs of {seen.num_pictures:,} pictures, fewer for val and test.",
            "Expect:  not measured. `auto` is a range of the tables (visiontune list optimizers), the rest rules of thumb: change them.",
        )
    )


def _write(path: Path, text: str) -> None:
    try:
        write_whole(path, text)
    except OSError as error:
        raise UserError(f"the file {path} can't be written: {error.strerror or error}") from None
