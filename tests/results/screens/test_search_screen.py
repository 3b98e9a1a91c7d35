"""The screen on a fake clock, on a pseudo-terminal of the system, and on pipes that close."""

from __future__ import annotations

import contextlib
import io
import os
import pty
import shlex
from pathlib import Path

import pytest
from sample_study import SNAPSHOT, TRIALS, later

from visiontune.cli import main
from visiontune.errors import UserError
from visiontune.results.screens.search_screen import CHANGE_S, QUIET_S, Screen, line


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def plain(out: io.StringIO, clock: Clock) -> Screen:
    return Screen(is_plain=True, out=out, clock=clock)


def test_a_line_reads_back_as_a_shell_reads_it() -> None:
    words = dict(word.split("=", 1) for word in shlex.split(line(SNAPSHOT)))
    assert words["done"] == "1" and words["running"] == "2" and words["best"] == "0.9" and words["time_left_s"] == "75"
    assert words["best_recipe"].startswith("cnn width=64")


def test_a_sentence_tells_commands_as_they_are_typed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """On the command line; in Python it stays as it is."""
    monkeypatch.setattr("visiontune.cli.terminal.program", lambda: ["/env/bin/visiontune"])

    def said(*args: object, **more: object) -> None:
        Screen(is_plain=True).say("`visiontune data 12ab` lists all")
        raise UserError("that was all")

    monkeypatch.setattr("visiontune.api.search", said, raising=True)
    main(["search", "space.yaml"])
    with pytest.raises(UserError):
        said()
    typed, called = map(shlex.split, capsys.readouterr().out.splitlines())
    assert typed == ["note=`/env/bin/visiontune data 12ab` lists all"] and called == ["note=`visiontune data 12ab` lists all"]


def test_lines_come_on_news_but_not_in_a_flood() -> None:
    out, clock = io.StringIO(), Clock()
    with plain(out, clock) as screen:
        for step in range(1000):  # 20 s of one report every 20 ms
            clock.now_s = step * 0.02
            screen.update(later(num_done=step))
    lines = out.getvalue().splitlines()
    assert 20 / CHANGE_S <= len(lines) <= 20 / CHANGE_S + 2
    assert "done=999" in lines[-1]  # the last state is always told


def test_without_news_there_is_a_line_now_and_then() -> None:
    out, clock = io.StringIO(), Clock()
    with plain(out, clock) as screen:
        for second in range(61):
            clock.now_s = float(second)
            screen.update(later(elapsed_s=float(second)))
    assert len(out.getvalue().splitlines()) == 1 + 60 // QUIET_S


def test_the_best_recipe_is_told_when_it_is_new() -> None:
    out, clock = io.StringIO(), Clock()
    with plain(out, clock) as screen:
        for step, best in enumerate([TRIALS[0], TRIALS[0], TRIALS[2]]):
            clock.now_s = step * 10.0
            screen.update(later(num_done=step, best=best))
    assert ["best_recipe" in text for text in out.getvalue().splitlines()] == [True, False, True]


def test_a_reader_that_goes_away_does_not_stop_the_search() -> None:
    read, write = os.pipe()
    os.close(read)
    clock = Clock()
    with os.fdopen(write, "w") as out, Screen(is_plain=True, out=out, clock=clock) as screen:
        for step in range(5):
            clock.now_s = step * 10.0
            screen.update(later(num_done=step))
        out_is_dead = screen._is_gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())  # what is still buffered has somewhere to go
    assert out_is_dead


@pytest.mark.parametrize("fails", [False, True])
def test_a_terminal_is_left_as_it_was(fails: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TERM", "xterm")
    reader, writer = pty.openpty()
    with os.fdopen(writer, "w") as terminal:
        try:
            with Screen(out=terminal) as screen:
                screen.update(SNAPSHOT)
                if fails:
                    raise RuntimeError
        except RuntimeError:
            pass
    shown = everything(reader)
    assert "6 of 6 trials" in shown and "0.9 by trial 0" in shown and "1:15 min left" in shown
    assert "\x1b[?1049h" not in shown  # no alternate screen
    assert shown.rfind("\x1b[?25h") > shown.rfind("\x1b[?25l")  # the cursor is on


def everything(reader: int) -> str:
    """What came out of a terminal that is closed; it comes in pieces."""
    pieces = []
    with contextlib.suppress(OSError):  # the end, on Linux
        while piece := os.read(reader, 65536):
            pieces.append(piece)
    os.close(reader)
    return b"".join(pieces).decode()


def test_a_terminal_is_redrawn_at_most_four_times_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    reader, writer = pty.openpty()
    clock, drawn = Clock(), 0
    with os.fdopen(writer, "w") as terminal, Screen(out=terminal, clock=clock) as screen:
        monkeypatch.setattr(screen._live, "update", lambda *_, **__: None)
        draw = screen._draw

        def counted(snapshot: object) -> None:
            nonlocal drawn
            drawn += 1
            draw(snapshot)  # type: ignore[arg-type]

        monkeypatch.setattr(screen, "_draw", counted)
        for step in range(200):  # two seconds
            clock.now_s = step * 0.01
            screen.update(later(num_done=step))
    os.close(reader)
    assert 7 <= drawn <= 9
