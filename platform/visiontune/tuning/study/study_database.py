"""Which database a study lives in, kept in its folder: whoever has the folder finds the study without being told its URL."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from visiontune.errors import Problem, UserError
from visiontune.filesystem.atomic_write import write_whole
from visiontune.filesystem.json_text import read_mapping
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.filesystem.uri import has_secret, shown

_SQLITE, _SQLITE_URI = "sqlite:///", "sqlite:///file:"


def keep_url(folder: StudyFolder, url: str) -> None:
    """Of a study in a database; a password is not kept."""
    if url == "journal":
        return
    if url.startswith(_SQLITE) and not url.startswith(_SQLITE_URI):
        url = _SQLITE + str(Path(url.removeprefix(_SQLITE)).absolute())
    content = json.dumps({"url": shown(url) if has_secret(url) else url, "is_whole": not has_secret(url), "study": folder.name})
    with suppress(OSError):
        if not folder.database.exists() or folder.database.read_text() != content:
            write_whole(folder.database, content)


def storage_url(folder: StudyFolder, url: str = "journal") -> str:
    """The URL that is given; where none is, that of the study's database, if it has one. Raises UserError where that has a password."""
    if url != "journal" or folder.journal.is_file() or not folder.database.is_file():
        return url
    try:
        kept = read_mapping(folder.database, "url", "is_whole")
    except (OSError, UserError):
        return url
    url, is_whole = str(kept["url"]), bool(kept["is_whole"])
    if not is_whole:
        raise UserError(f"study {folder.name} is in the database {url}, whose password is not kept: say `storage=URL`, as its file does")
    return url


def refuse_other_home(folder: StudyFolder, url: str) -> None:
    """Raise UserError for a file without `storage.url` whose study is in a database: it would begin a second one."""
    if url == "journal" and folder.database.is_file() and not folder.journal.is_file():
        where = read_mapping(folder.database, "url")["url"]
        rule = f"study {folder.name} is in the database {where}: say storage.url, or begin another with `name=NAME`"
        raise UserError(Problem("", 0, "storage.url", rule))


def refuse_absent(url: str) -> None:
    """Raise UserError for a SQLite file that is not there, which reading would make."""
    if not url.startswith(_SQLITE) or url.startswith(_SQLITE_URI):
        return
    if not (path := Path(url.removeprefix(_SQLITE).partition("?")[0])).exists():
        raise UserError(f"no database {path}: a relative path is one from the folder that its search was started in")
