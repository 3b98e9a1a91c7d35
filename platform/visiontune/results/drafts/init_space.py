"""`visiontune init`: look at pictures, ask what they can't say, write a search space that passes `visiontune check`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from visiontune.data.survey import Survey, survey
from visiontune.errors import UserError
from visiontune.filesystem.atomic_write import write_whole
from visiontune.filesystem.path_kind import kind_of
from visiontune.results.drafts.init_questions import QUESTIONS, Ask, decide
from visiontune.results.drafts.space_draft import WEIGHTS_NAME, Answers, draft, fractions
from visiontune.results.pictures.make_dataset import section_of
from visiontune.spec.declarations.image_size import image_size, written
from visiontune.spec.parse import load_study
from visiontune.spec.space.epoch_forecast import cost
from visiontune.spec.space.study_spec import StudySpec
from visiontune.spec.yaml.yaml_reader import compose
from visiontune.tuning.preflight.preflight import preflight


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
    known = {key: question.read(str(given[key])) for key, question in QUESTIONS.items() if given.get(key) is not None}
    if section["image_size"] is not None:
        known["image_size"] = image_size(section["image_size"])
    seen = survey(section)
    section |= fractions(seen, {word.partition("=")[0] for word in words} | {*(source if isinstance(source, Mapping) else ())})
    answers, said = decide(seen, known, ask)
    body = draft(study, section, seen, answers)
    spec = _checked(body, path)
    text = _header(seen, answers, spec, path, command) + body
    _write(path, text)
    return NewSpace(path, load_study(path), (_summary(seen), *filter(None, [seen.said]), *said))


def _study_name(section: Mapping[str, Any]) -> str:
    """The last word of where the pictures are."""
    place = str(next((section[key] for key in ("path", "annotations", "train", "dataset", "source") if section.get(key)), "pictures"))
    last = place.rstrip("/").rpartition("/")[2] if place.strip("./") else Path.cwd().name
    return re.sub(r"[^A-Za-z0-9_-]+", "_", last.partition(".")[0]).strip("_-")[:64] or "pictures"


def _checked_name(name: str) -> str:
    """As `study` in a file. Raises UserError."""
    example: dict[str, Any] = {"model": {"name": "lenet5"}, "optimizer": {"name": "sgd", "lr": 0.1}}
    rest = {"data": {"source": "digits"}, "budget": {"num_trials": 1, "max_epochs": 1}, "space": example}
    try:
        return load_study({"study": name, **rest}).study
    except UserError as error:
        raise UserError(*(replace(problem, file="", where="name") for problem in error.problems)) from None


def _refuse(path: Path, *, force: bool) -> None:
    if kind_of(path) == "folder":
        raise UserError(f"{path} is a folder; name the file, such as {path / 'space.yaml'}")
    if kind_of(path) is not None and not force:
        raise UserError(f"the file {path} is there already; `force=True` writes over it, `out=FILE.yaml` writes another")


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
    size = str(written(answers.image_size)).replace(" ", "")  # a shell would part it there
    return f"image_size={size} {said} --hours {answers.hours:g}"


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
