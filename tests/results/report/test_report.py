"""The report in a real browser and by its bytes: what is seen, that nothing is asked for, and that names stay names."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import CHROMIUM, page
from sample_study import RECORD
from simulated_search import drive, make_spec

from visiontune.errors import UserError
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.inspection.confusion import Confusion
from visiontune.results.inspection.inspection_views import View
from visiontune.results.report import to_mlflow, write_report
from visiontune.results.report.section_table import SECTIONS
from visiontune.results.report.shown_trials import shown_trials
from visiontune.spec.space.study_spec import Objective
from visiontune.tuning.ranking.ranking import ranked
from visiontune.tuning.records.records import Candidate, Confirmation, Ending, StudyRecord
from visiontune.tuning.study.driver_lock import driver_lock
from visiontune.tuning.study.read_study import read_study

EVIL = "<script>document.title = 'owned'</script>"
CONFUSION = Confusion((EVIL, "b"), np.array([[40, 3], [1, 56]]))
TEST = {"classes": [EVIL, "b"], "support": [43, 57], "confusion": [[40, 3], [1, 56]]}
FIGURES = {"precision": [0.9756, 0.9492], "recall": [0.9302, 0.9825], "f1": [0.9524, 0.9655]}
MISTAKE = f"{EVIL} 0.910, but is b (0.050): photographs/{EVIL}.png"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a study of 200 trials, 40 simulated ones over and over, with a winner whose network was looked at."""
    folder = StudyFolder(tmp_path_factory.mktemp("studies") / "study")
    drive(make_spec(folder.path, 40), folder.path)
    record = read_study(folder)
    record = replace(record, trials=tuple(replace(record.trials[number % 40], number=number) for number in range(200)))
    folder.winner.write_text("model: {name: cnn}\n")
    folder.winner_test.write_text(json.dumps({**TEST, **FIGURES}))
    second = ranked(record.trials, record.objective)[1]
    on_seeds = tuple(Confirmation(seed, value, 0.96, 0.1) for seed, value in enumerate((0.7, 0.8, 0.9)))
    candidates = (Candidate(0, 0.9, on_seeds[:1], 0.1), Candidate(second.number, 0.85, on_seeds, 0.9))
    race = {"winner": second, "candidates": candidates, "confirmations": on_seeds, "num_tests": 1}
    known = {"image_size": 8, "channels": 1, "classes": [EVIL, "b"]}
    sheet = np.random.default_rng(0).integers(0, 255, (900, 1800, 3), np.uint8)
    views = (
        View("confusion", "Which", records=(CONFUSION,), pictures={"confusion.png": sheet}),
        View("mistakes", "Wrong", (MISTAKE,), {"mistakes.png": sheet}, (0,)),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(write_report, "look_at", lambda *args, **how: views)
        return write_report.write_report(
            folder,
            folder.path,
            replace(record, pictures=known, ending=Ending({"num_trials": 200.0}, "num_trials", 0), **race),
            folder.report,
            device="cpu",
            is_looking=True,
        )


class Elements(HTMLParser):
    """Every element's tag and attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.mark.heavy
def test_the_page_stands_alone_says_everything_in_words_and_is_small(report: Path) -> None:
    text = report.read_text()
    elements = Elements(text).found
    assert {file.name for file in (report.parent / "inspection").iterdir()} == {"index.md", "confusion.png", "mistakes.png"}
    assert len(text) < 5_000_000 and EVIL not in text
    assert not [url for _, attrs in elements for key in ("src", "href") if (url := attrs.get(key)) and not re.match("data:|#", url)]
    headings = [int(tag[1]) for tag, _ in elements if re.fullmatch("h[1-6]", tag)]
    assert headings[0] == 1 and headings.count(1) == 1 and all(after - before <= 1 for before, after in pairwise(headings))
    assert all(attrs.get("scope") in ("col", "row") for tag, attrs in elements if tag == "th")
    assert all(attrs["alt"] for tag, attrs in elements if tag == "img")
    plots = [attrs for _, attrs in elements if "data-plot" in attrs]
    in_words = [attrs["aria-label"] or "" for _, attrs in elements if attrs.get("role") == "img"]
    assert len(plots) == len(in_words) > 4 and min(map(len, in_words)) > 60
    there = [section.slug for section in SECTIONS if f'<section id="{section.slug}"' in text]
    assert there == ["leaderboard", "race", "curves", "importance", "costs", "classes", "mistakes", "recipe"]
    assert re.search("Trial [0-9]+ has won: its (cnn|lenet5) gets 96.0\xa0% of 100 test pictures right", text)
    assert "over 3 fresh seeds; " in text and "the best of 2 recipes with probability 90%" in text
    assert "<dt>the network</dt><dd><b>" in text and "55.2 to 100.0\xa0%" in text, (
        "Student's interval is 4.303 * 0.1 / sqrt(3) to either side"
    )
    assert "95 % interval 90.2 to 98.4\xa0%" in text


async def _looked_at(url: str, profile: Path) -> dict[str, Any]:
    async with page(url, profile) as browser:
        seen = {"title": await browser.until("document.title"), "h1": await browser.evaluate("document.querySelector('h1').innerText")}
        seen["first"] = await browser.evaluate("document.querySelector('#leaderboard tbody tr').innerText")
        await browser.evaluate("document.getElementById('plot-curves').scrollIntoView({block: 'center', behavior: 'instant'})")
        point = "document.querySelector('#plot-curves .scatterlayer .trace:last-child .points path')"
        await browser.until(f"!!{point}")
        place = await browser.evaluate(f"(({{x, y, width, height}}) => [x + width / 2, y + height / 2])({point}.getBoundingClientRect())")
        await browser.point_at(*place)
        seen["hover"] = await browser.until("document.querySelector('#plot-curves .hovertext')?.textContent")
        await browser.evaluate("document.querySelector('[data-copies]').click()")
        seen["copied"] = await browser.until("document.getElementById('said').textContent")
        await browser.resize(390, 844, is_phone=True)
        seen["width"] = await browser.until("innerWidth == 390 && document.documentElement.scrollWidth")
        seen |= {"requests": browser.requests, "errors": browser.errors}
    return seen


@pytest.mark.heavy
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (Debian's package chromium)")
def test_a_browser_shows_it_and_asks_nobody(report: Path, tmp_path: Path) -> None:
    seen = asyncio.run(_looked_at(report.as_uri(), tmp_path))
    best = read_study(StudyFolder(report.parent)).best
    assert best is not None and best.value is not None
    assert (seen["title"], seen["h1"]) == ("study: report", "study")
    assert seen["first"].split("\t")[:4] == [str(best.number), "complete", f"{100 * best.value:.1f}\xa0%", str(best.epoch)]
    assert seen["hover"].startswith(f"trial {best.number}")
    assert seen["copied"]
    assert seen["width"] <= 390
    assert [url for url in seen["requests"] if not url.startswith(("data:", "blob:"))] == [report.as_uri()]
    assert seen["errors"] == []


def test_a_study_without_a_value_has_no_report_and_a_folder_is_no_file(tmp_path: Path) -> None:
    for study, out, message in (
        (replace(RECORD, best=None), tmp_path / "report.html", "needs a trial with a finite value of val_top1, but study digits has none"),
        (RECORD, tmp_path, "is a file, such as .*report.html"),
        (RECORD, tmp_path / "answer.pdf", r"is an HTML file, but got .*answer\.pdf; nearest is .*answer\.html"),
    ):
        with pytest.raises(UserError, match=message):
            write_report.write_report(StudyFolder(tmp_path), tmp_path, study, out, device="cpu", is_looking=False)
    assert not [*tmp_path.iterdir()]


def gone_from(folder: Path) -> StudyRecord:
    """A study of no space that a file can have, and of no pictures."""
    data = {"source": "folder", "path": str(folder / "gone"), "val_fraction": 0.1, "test_fraction": 0.1, "seed": 0}
    identity = {"budget.min_epochs": 1, "budget.max_epochs": 9, "space.model.gone": "cnn"}
    return replace(RECORD, identity=identity, trials=tuple(replace(one, recipe={**one.recipe, "data": data}) for one in RECORD.trials))


def test_a_report_whose_winner_nobody_could_ask_says_so_at_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder, out = StudyFolder(tmp_path), tmp_path / "answer.html"
    folder.winner.write_text("model: {name: cnn}\n")
    ended = replace(gone_from(tmp_path), ending=Ending({"num_trials": 6.0}, "num_trials", 0))
    for is_looking in (False, True):
        write_report.write_report(folder, tmp_path, ended, out, device="cpu", is_looking=is_looking)
        assert "has won: its cnn has 95.0\xa0% validation accuracy." in out.read_text()
        assert caplog.text.count("Nobody looked at its answers: the study in") == is_looking


def test_without_a_test_the_answer_is_what_fresh_seeds_say_and_not_the_best_of_many(tmp_path: Path) -> None:
    folder, seeds = StudyFolder(tmp_path), tuple(Confirmation(seed, value) for seed, value in enumerate((0.8, 0.9)))
    folder.winner.write_text("model: {name: cnn}\n")
    race = {"winner": RECORD.trials[2], "candidates": (Candidate(2, 0.95, seeds, 1.0),), "confirmations": seeds}
    ended = replace(gone_from(tmp_path), ending=Ending({"hours": 1.0}, "hours", 3), **race)
    page = write_report.html_of(folder, tmp_path, ended, device="cpu", is_looking=False)
    assert "Trial 2 has won: its cnn has 85.0\xa0% validation accuracy over 2 fresh seeds." in page


def test_a_search_under_way_has_a_report_that_says_so_and_what_it_can_not_know(tmp_path: Path) -> None:
    text = write_report.html_of(StudyFolder(tmp_path), tmp_path, gone_from(tmp_path), device="cpu", is_looking=True)
    assert "not ended: 6 trials so far, of which trial 2 is the best, with 95.0\xa0% validation accuracy after 9 epochs." in text
    loss = replace(gone_from(tmp_path), objective=Objective("val_macro_f1", "max"))
    assert "Validation F1, mean over classes by epoch" in write_report.html_of(
        StudyFolder(tmp_path), tmp_path, loss, device="cpu", is_looking=False
    )
    assert "What mattered can&#39;t be told: " in text and "visiontune show digits" in text and "visiontune predict" not in text


@pytest.mark.parametrize(("num", "num_best", "num_shown"), [(1_000, 1_000, 1_000), (3_000, 500, 1_000)])
def test_of_very_many_trials_the_best_and_a_sample_are_shown_and_that_is_said(
    num: int, num_best: int, num_shown: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page of 10,000 had 12.7 MB, and the networks of all of them were counted, which took most of a minute."""
    kinds = sorted(RECORD.trials, key=lambda trial: trial.epoch)
    trials = tuple(replace(kinds[-1 if number == 7 else number % 3], number=number) for number in range(num))
    study = replace(RECORD, trials=trials, best=trials[7], pictures={"image_size": 8, "channels": 1, "classes": ["a", "b"]})
    counted = list[Any]()
    monkeypatch.setattr("visiontune.training.known_costs.known_costs", lambda *args, **how: counted.append(args) or {})
    monkeypatch.setattr("visiontune.results.tables.trial_costs.TrialRecipe", dict)
    monkeypatch.setattr(write_report, "_importance", lambda study: (None, "not looked at"))
    text = write_report.html_of(StudyFolder(tmp_path), tmp_path, study, device="cpu", is_looking=False)
    said = f"Of {num:,} trials the 500 that rank first and one in 5 of the others are shown one by one"
    assert (said in text) == (num_shown < num) and f"a line for each of {num_shown:,} trials" in text
    assert f"The best of {num:,} trials" in text and (f"{num - num_best:,} trials that rank behind" in text) == (num_best < num)
    assert len(counted) == num_best and 7 in {trial.number for trial in shown_trials(study).trials}
    assert len(shown_trials(study).trials) == num_shown


def test_it_goes_to_the_mlflow_that_has_the_study_and_to_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = StudyFolder(tmp_path)
    monkeypatch.setattr(to_mlflow, "send_leftovers", lambda folder: None)
    assert not to_mlflow.send_report(folder, folder.report) and not folder.outbox.exists(), "a study without MLflow"
    folder.outbox.write_text("")
    sheet = folder.inspection / "mistakes.png"
    assert to_mlflow.send_report(folder, folder.report, [sheet])
    events = map(json.loads, folder.outbox.read_text().splitlines())
    told = [(event["event"], event["path"], event["artifact_folder"]) for event in events]
    assert told == [("artifact", str(folder.report), "report"), ("artifact", str(sheet), "inspection")]
    assert not to_mlflow.send_report(folder, folder.report), "this MLflow has not had that"
    with driver_lock(folder):
        folder.outbox.write_text("")
        assert not to_mlflow.send_report(folder, folder.report), "a driver is at work"


def _contrast(one: str, other: str) -> float:
    """Of WCAG 2.2: relative luminances of sRGB."""

    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_colours_have_the_contrast_of_wcag_aa() -> None:
    css = (Path(write_report.__file__).parent / "templates/page.css").read_text()
    roots = [dict(re.findall(r"(--\w+): (#\w{6})", block)) for block in re.findall(r":root \{(.*?)\}", css, re.DOTALL)]
    assert len(roots) == 2, "light and dark"
    for of in roots:
        for text, ground in product(("--text", "--faint", "--link"), ("--page", "--raised")):
            assert _contrast(of[text], of[ground]) >= 4.5, (text, ground)
        assert _contrast(of["--focus"], of["--page"]) >= 3
