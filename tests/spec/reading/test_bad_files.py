"""Every mistake that a file can hold is told with its line, the rule, the value and what would be right."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from spec_files import BAD, FULL, GOOD, Bad, load, write

from visiontune.errors import UserError
from visiontune.spec.parse import load_recipe, load_study
from visiontune.spec.reading.study_rules import num_epochs_near


def told(folder: Path, text: str, *overrides: str) -> list[str]:
    with pytest.raises(UserError) as error:
        load(folder, text, *overrides)
    return [str(problem).removeprefix(f"{folder}/") for problem in error.value.problems]


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.text.strip())
def test_a_mistake_is_told_where_it_stands(tmp_path: Path, bad: Bad) -> None:
    problems = told(tmp_path, bad.content)
    where = [problem for problem in problems if all(word in problem for word in bad.words)]
    assert len(where) == 1, problems
    if bad.at >= 0:
        assert len(problems) == 1, problems
        assert where[0].startswith(f"space.yaml:{bad.at or bad.line}:"), where


@pytest.mark.parametrize(
    ("words", "places"),
    [
        ("budget.num_trials 8", {"budget.num_trials": "budget.num_trials=8"}),
        ("budget.num_trials = 8", {"budget.num_trials": "budget.num_trials=8"}),
        ("budget.num_trials 8 data.seed", {"budget.num_trials": "budget.num_trials=8", "data.seed": "nearest is data.seed=VALUE"}),
        ("8 data.seed=1", {"8": "like budget.num_trials=8"}),
    ],
)
def test_an_override_in_several_words_is_one_mistake(tmp_path: Path, words: str, places: dict[str, str]) -> None:
    problems = told(tmp_path, GOOD, *words.split())
    assert [problem.split(": ")[1] for problem in problems] == [*places]
    assert all(near in problem for near, problem in zip(places.values(), problems, strict=True)), problems


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    lines = GOOD.splitlines()
    lines[0], lines[3], lines[10] = "study: ../x", "budget: {num_trials: -1, max_epochs: 25}", "    lr: {float: [1, 0.1], lgo: true}"
    problems = told(tmp_path, "\n".join(lines), "sampler.seed=x")
    assert [re.match(r"space.yaml:(\d+)|command line", problem).group() for problem in problems] == [
        "space.yaml:1",
        "space.yaml:4",
        "space.yaml:4",
        "space.yaml:11",
        "space.yaml:11",
        "command line",
    ]


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("budget.num_trials", "key=value"),
        ("=3", "key=value"),
        ("budget..x=3", "key=value"),
        ("num_trials=8", "command line: num_trials: unknown key 'num_trials'; nearest is 'budget.num_trials'"),
        ("lr=.1", "nearest is 'space.optimizer.lr'"),
        ("budget.num_trial=3", "command line: budget.num_trial: unknown key 'num_trial'; nearest is 'num_trials'"),
        ("budget.num_trials=x", "command line: budget.num_trials: must be an int"),
        ("budget.num_trials.x=3", "budget.num_trials holds no keys, but is 8"),
        ("data.image_size=[24, 2000]", "command line: data.image_size: must be an int from 4 to 1,024, but got 2000; nearest is 1,024"),
        ("data.image_size=[24, 32, 3]", "must be an int from 4 to 1,024, or [height, width], but is a list: [24, 32, 3]"),
        ("space.optimizer.lr={float: [1, 0.1]}", "command line: space.optimizer.lr: `low < high`"),
        ("space.optimizer.lr={float: [1, ", "command line: space.optimizer.lr: is no YAML"),
        ("space.optimizer.lr={float: [0.1, 1], float: [0.1, 2]}", "a key may stand once"),
        ("budget={max_epochs: 9}", "command line: budget: must have at least one of num_trials"),
        ("space.optimizer.lr=&x 3", "anchors and aliases"),
    ],
)
def test_a_wrong_override_is_told_as_the_command_lines(tmp_path: Path, override: str, words: str) -> None:
    problems = told(tmp_path, GOOD, override)
    assert len(problems) == 1
    assert problems[0].startswith("command line: ")
    assert words in problems[0]


@pytest.mark.parametrize("secret", ["s3://KEY:hush@bucket/cats", "https://host/cats.zip?token=hush"])
def test_a_password_is_refused_where_the_study_would_keep_it_and_not_repeated(tmp_path: Path, secret: str) -> None:
    [problem] = told(tmp_path, GOOD, "data.source=folder", f"data.path={secret}")
    assert "data.path: must hold no password or key" in problem and "hush" not in problem
    load(tmp_path, GOOD, "storage.url=postgresql://me:hush@host/optuna")


def test_an_override_given_twice_is_refused(tmp_path: Path) -> None:
    assert "given once" in told(tmp_path, GOOD, "budget.num_trials=3", "budget.num_trials=4")[0]


HOSTILE = {
    "open": "a: {b: 1\n",
    "indented apart": "a:\n  b: {c: 1}\n   d: 2\n",
    "merge keys": "a: {<<: {b: 1}}\n",
    "aliases": "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n",
    "merge": "base: &base {a: 1}\nother: {<<: *base}\n",
    "flow depth": "[" * 1_000,
    "flow depth, closed": "a: " + "[" * 1_000 + "]" * 1_000,
    "mapping depth": "{a: " * 1_000,
    "block depth": "\n".join("  " * depth + "a:" for depth in range(350)),
    "list depth": "- " * 1_000,
    "many values": "a: [" + "1," * 40_000 + "]",
    "bytes": "#" * (10 * 2**20),
    "digits": "a: " + "9" * 5_000,
    "tag": "a: !!python/object/apply:os.system [echo]",
    "two documents": "a: 1\n---\nb: 2\n",
    "key": "[1, 2]: 3\n",
    "no YAML": "a: [1, 2\nb: 3\n",
    "tab": "a:\n\tb: 3\n",
    "indented": "study small\ndata: {source: digits}\n",
    "word": "hello world",
    "list": "- a\n- b\n",
    "empty": "",
    "comments": "# nothing\n\n",
    "brackets": "{}",
    "bell": "a: \a",
    "no-break space": "a: 1\n\u00a0b: 2\n",
    "quote": "a: 1\nb: 'c\nd: 2\n",
    "percent": "a: %5\n",
    "comma": "a: [1,, 2]\n",
    "template": "a: {{ b }}\n",
    "sweep": "method: bayes\nparameters: {lr: {min: 0.1, max: 1}}\n",
}
WORDS = {
    "open": "is no YAML: a { is never closed",
    "indented apart": "space.yaml:3: is no YAML: this line is indented otherwise than those that it should stand with",
    "merge keys": "merge keys (<<) are refused, as aliases are: write the keys out",
    "aliases": "anchors and aliases ('a') are refused: a few lines of them can grow to gigabytes",
    "merge": "anchors and aliases",
    "flow depth": "more than 32 levels",
    "flow depth, closed": "more than 32 levels",
    "mapping depth": "more than 32 levels",
    "block depth": "more than 32 levels",
    "list depth": "more than 32 levels",
    "many values": "at most 5,000 values",
    "bytes": "at most 131,072 bytes, but this one has 10,485,760",
    "digits": "a number has at most 64 characters",
    "tag": "tags ('tag:yaml.org,2002:python/object/apply:os.system') are refused",
    "two documents": "space.yaml:3: one document was expected",
    "key": "a key must be a plain word",
    "no YAML": "space.yaml:2: is no YAML: while parsing a flow sequence expected ',' or ']'",
    "tab": "space.yaml:2: is no YAML: a tab stands here, and YAML takes spaces alone",
    "indented": "space.yaml:2: is no YAML: a `key: value` can't stand here; look at how far it is indented, and at the line before",
    "word": "must be a mapping with the keys study, data, budget, space, but is a scalar",
    "list": "must be a mapping",
    "empty": "the file is empty",
    "comments": "the file is empty",
    "brackets": "the file is empty",
    "bell": "space.yaml:1: is no YAML: character U+0007 is not allowed",
    "no-break space": "space.yaml:2: U+00A0 stands beside 'b', a space that YAML takes for a letter",
    "quote": "space.yaml:2: is no YAML: a quotation mark is never closed",
    "percent": "space.yaml:1: is no YAML: a value that begins with % stands in quotes",
    "comma": "space.yaml:1: is no YAML: nothing stands before this comma",
    "template": "space.yaml:1: a key must be a plain word, but is a mapping, as of a template's {{ }}, which nothing fills in here",
    "sweep": "space.yaml:1: is a sweep of W&B: `visiontune import {}/space.yaml` makes a search space of it",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file_is_refused(tmp_path: Path, kind: str) -> None:
    (problem,) = told(tmp_path, HOSTILE[kind])
    assert WORDS[kind].replace("{}", str(tmp_path)) in problem


def test_a_place_without_a_readable_file(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    (tmp_path / "latin.yaml").write_bytes(b"study: ok\ndata: \xe9")
    (tmp_path / "wide.yaml").write_bytes(GOOD.encode("utf-16-le"))
    (tmp_path / "spcae.py").touch()
    for name, words in {
        "spcae.yaml": "there is no such file; nearest is '{0}/space.yaml'; choices: {0}/latin.yaml, {0}/space.yaml, {0}/wide.yaml",
        "space": "nearest is '{}/space.yaml'",
        "num_trials": "there is no such file; an override is written KEY=VALUE, such as budget.num_trials=8; choices: ",
        "num_trials=8": "there is no such file; an override, KEY=VALUE, stands behind the file; choices: ",
        "nowhere/space.yaml": "there is no such file; nor is there a folder {}/nowhere; nor is any ",
        "": "this is a folder",
        "latin.yaml": "latin.yaml:2: is no text in UTF-8, or UTF-16 or UTF-32 with its mark: byte 16 is 0xe9",
        "wide.yaml": "wide.yaml:1: is no text in UTF-8, or UTF-16 or UTF-32 with its mark: byte 1 is 0x00 (a NUL, as of",
    }.items():
        for load_file in (load_study, *([load_recipe] if "space" not in words else [])):
            with pytest.raises(UserError) as error:
                load_file(tmp_path / name)
            assert words.format(tmp_path) in str(error.value)
    with pytest.raises(UserError, match="can't be read: Too many levels of symbolic links"):
        (tmp_path / "round.yaml").symlink_to("round.yaml")
        load_study(tmp_path / "round.yaml")
    with pytest.raises(UserError, match="a device or a pipe"):
        load_study(Path("/dev/zero"))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_file_of_another_encoding_is_read_by_its_mark(tmp_path: Path, encoding: str) -> None:
    """As a shell of Windows writes what is redirected into a file."""
    (tmp_path / "wide.yaml").write_bytes(GOOD.encode(encoding))
    assert load_study(tmp_path / "wide.yaml").identity() == load_study(write(tmp_path, GOOD)).identity()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("# käse, grün\na: b\0c".encode(), "space.yaml:2: {}: byte 19 is 0x00 (a NUL, as of UTF-16 or UTF-32 without its mark)"),
        (b"\xef\xbb\xbf# a\n\0", "space.yaml:2: {}: byte 7 is 0x00 (a NUL)"),
        (b"\xef\xbb\xbf# a\n\xe9", "space.yaml:2: {}: byte 7 is 0xe9 (unexpected end of data)"),
        ("# \u010a\na: \0".encode("utf-16"), "space.yaml:2: {}: byte 16 is 0x00 (a NUL)"),  # its second letter has a byte 0x0a
        (b"\xfe\xff" + "# ä\n\n\0".encode("utf-16-be"), "space.yaml:3: {}: byte 12 is 0x00 (a NUL)"),
        ("a: 1\n😀\0".encode("utf-32"), "space.yaml:2: {}: byte 28 is 0x00 (a NUL)"),
        (b"\xff\xfea\0\n\0\0\xdca\0", "space.yaml:2: {}: byte 6 is 0x00 (illegal encoding)"),
    ],
)
def test_the_byte_and_the_line_of_what_is_no_text_are_the_files(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "space.yaml").write_bytes(content)
    with pytest.raises(UserError) as error:
        load_study(tmp_path / "space.yaml")
    assert str(error.value) == f"{tmp_path}/" + told.format("is no text in UTF-8, or UTF-16 or UTF-32 with its mark")


def test_a_file_that_is_not_there_is_looked_for_among_those_to_start_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "search_spaces").mkdir()
    write(tmp_path / "search_spaces", GOOD)
    for name in ("space", "spaces.yml", "search_spaces/spac.yaml"):
        with pytest.raises(UserError, match=r"no such file; nearest is 'search_spaces/space\.yaml'; choices: search_spaces/space\.yaml$"):
            load_study(name)
    with pytest.raises(UserError) as error:
        load_study("num_trials", ["8"])
    assert [one.where for one in error.value.problems] == ["", "8"] and "written key=value" in str(error.value)


def test_another_programs_file_is_told_key_by_key_and_no_recipe(tmp_path: Path) -> None:
    """Hydra's, in which model and optimizer stand at the top."""
    hydra = "defaults: [_self_]\nhydra: {sweeper: {n_trials: 8}}\nmodel: {_target_: x.Net}\noptimizer: {lr: 0.1}\n"
    problems = told(tmp_path, hydra)
    assert [problem.partition(":")[2].partition(":")[0] for problem in problems] == ["1"] * 5 + ["2", "3", "4"]
    assert "nearest is 'space.model'" in problems[-2] and "nearest is 'space.optimizer'" in problems[-1]


@pytest.mark.parametrize("text", [GOOD, GOOD + "#" * 300, "{" + "study: small, " * 30 + "}"])
def test_content_in_place_of_a_path_is_told_as_such(text: str) -> None:
    for load_text in (load_study, load_recipe):
        with pytest.raises(UserError, match=r"'.?study: small.* looks like a file's content; give the file's path, or in Python"):
            load_text(text)


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert load_study(path).study == "small"


def test_any_garbled_file_gives_problems_with_lines_and_nothing_else(tmp_path: Path) -> None:
    rng = random.Random(0)
    words = [
        "[",
        "]",
        "{",
        "}",
        ":",
        ",",
        "null",
        "true",
        "0",
        "-1",
        ".nan",
        "'",
        '"',
        "choice",
        "float",
        "sgd",
        "&",
        "*",
        "!",
        "|",
        "\n",
        "-",
    ]
    num_refused = 0
    for _ in range(120):
        tokens = re.findall(r"\w+|\s+|.", FULL)
        for _ in range(rng.randint(1, 3)):
            place = rng.randrange(len(tokens))
            tokens[place : place + rng.randint(0, 1)] = [rng.choice(words)]
        try:
            load(tmp_path, "".join(tokens))
        except UserError as error:
            num_refused += 1
            assert all(problem.line > 0 and problem.rule for problem in error.problems)
    assert num_refused > 60


def test_the_nearest_full_budget_is_the_nearest() -> None:
    for low, factor in [(1, 2), (1, 3), (2, 3), (5, 4)]:
        valid = [low * factor**k for k in range(12)]
        for wanted in range(low, 400):
            near = num_epochs_near(low, wanted, factor)
            assert near in valid
            assert abs(near - wanted) == min(abs(budget - wanted) for budget in valid)


def test_other_trial_schedulers_take_any_full_budget(tmp_path: Path) -> None:
    for name in ("median", "none"):
        assert load(tmp_path, GOOD, f"trial_scheduler.name={name}", "budget.max_epochs=25").budget.max_epochs == 25
