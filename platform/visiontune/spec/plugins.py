"""Code of the user's own: `plugins: [my_models.py]` in a search space or a recipe adds rows to the tables, for what is read from it.

A plugin is known by its name and the SHA-256 of its content, `my_models.py@sha256:...`: so recipes and identities name it. What is
loaded stays in this process under that key, for whoever names it; tables have its rows only within `in_use`.
"""

from __future__ import annotations

import hashlib
import logging
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import wraps
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from visiontune.errors import Problem, UserError, first_line, nearest
from visiontune.filesystem.atomic_write import write_whole
from visiontune.filesystem.path_kind import kind_of, with_home
from visiontune.spec.declarations.copies_at_hand import copy_of
from visiontune.spec.declarations.declare import Added, adding
from visiontune.spec.plugin_rows import Rows, rows_of
from visiontune.spec.reading.items_reader import read_items
from visiontune.spec.reading.value_reader import Problems
from visiontune.spec.space.sections import PLUGINS
from visiontune.spec.yaml.yaml_node import Node

GROUP = "visiontune.plugins"
"""Of the entry points of installed packages, each a module."""
KEPT = "plugins"
"""The folder beside a winner's recipe with the files that it names, by digest."""
_MARK = "@sha256:"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plugin:
    """`given` is how a file named it, `path` where it was read; `content` is None for an installed package's."""

    name: str
    digest: str
    given: str
    path: Path
    content: bytes | None
    rows: Rows

    @property
    def key(self) -> str:
        """The name with the digest."""
        return f"{self.name}{_MARK}{self.digest}"


_loaded: dict[str, Plugin] = {}


class HasPlugins(Protocol):
    """A study's spec or a recipe."""

    @property
    def plugins(self) -> tuple[str, ...]: ...


_Subject = TypeVar("_Subject", bound=HasPlugins)
_P = ParamSpec("_P")
_T = TypeVar("_T")


def uses_plugins(function: Callable[Concatenate[_Subject, _P], _T]) -> Callable[Concatenate[_Subject, _P], _T]:
    """The function with the plugins of its first argument, a spec or a recipe, in use; not for generators, which run in their caller."""

    @wraps(function)
    def within(subject: _Subject, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        with in_use(subject.plugins):
            return function(subject, *args, **kwargs)

    return within  # type: ignore[return-value]  # mypy sees a name in place of a position


def in_use(keys: Iterable[str]) -> AbstractContextManager[None]:
    """A block in which tables have the rows of these plugins. Raises UserError for one that was not loaded in this process."""
    plugins = [loaded(key) for key in keys]
    rows: Rows = {}
    for plugin in plugins:
        for what, entries in plugin.rows.items():
            rows[what] = {**rows.get(what, {}), **entries}
    return adding(Added(tuple(plugin.key for plugin in plugins), rows))


def loaded(key: str) -> Plugin:
    """A plugin that was loaded in this process. Raises UserError."""
    if key not in _loaded:
        raise UserError(f"the plugin {key} was not loaded in this process: read the recipe from its file, or the study from its folder")
    return _loaded[key]


def load_named(root: Node) -> tuple[str, ...]:
    """Load what stands under `plugins` in a file; the keys, sorted. Raises UserError."""
    if "plugins" not in root.items or root.items["plugins"][1].value is None:
        return ()
    node, problems = root.items["plugins"][1], Problems()
    read_items(node, PLUGINS, "plugins", problems)
    if problems.found:
        raise UserError(*problems.found)
    found = [_named(one, f"plugins[{number}]") for number, one in enumerate(node.value)]
    if clashes := [Problem(node.file, node.line, "plugins", rule) for rule in _clashes(found)]:
        raise UserError(*clashes)
    return tuple(sorted({plugin.key for plugin in found}))


def load_plugin(path: Path) -> Plugin:
    """A file by itself, as `visiontune check --plugin` names it. Raises UserError."""
    return _named(Node("scalar", str(path), "", 0), "plugin")


def load_kept(keys: Iterable[str], folder: Path) -> None:
    """Load those of which a study's folder has a copy (`keep`). Raises UserError for one that is wrong or gone."""
    for key in (key for key in keys if key not in _loaded):
        name, _, digest = key.partition(_MARK)
        if not name.endswith(".py"):
            _installed(name, digest)
            continue
        try:
            _read(folder / f"{digest}.py", name, name, digest)
        except OSError as error:
            raise UserError(f"the plugin {name} is gone from {folder}: {error.strerror or error}") from error


def keep(keys: Iterable[str], folder: Path) -> None:
    """Copy the files into a folder, each under its digest. Raises OSError."""
    for plugin in map(loaded, keys):
        path = folder / f"{plugin.digest}.py"
        if plugin.content is not None and not path.exists():
            write_whole(path, plugin.content)


def _clashes(found: Sequence[Plugin]) -> Iterator[str]:
    for number, one in enumerate(found):
        for other in (two for two in found[:number] if two.key != one.key):
            same = [(what, name) for what, rows in one.rows.items() for name in rows if name in other.rows.get(what, {})]
            yield from (f"{other.name} and {one.name} both declare the {what} {name!r}; one of them must go" for what, name in same)


def _named(node: Node, where: str) -> Plugin:
    """What one item of the list names, a file from the folder of the file that it stands in; of one that is gone the copy that is at hand,
    which is logged as a warning.
    """
    given, _, digest = str(node.value).partition(_MARK)
    try:
        if not given.endswith(".py"):
            return _installed(given, digest)
        if (key := f"{Path(given).name}{_MARK}{digest}") in _loaded:
            return _loaded[key]
        base = Path(node.file).parent if Path(node.file).is_file() else Path()
        kept = base / KEPT / f"{digest}.py"
        path = kept if digest and kind_of(kept) == "file" else base / with_home(given)
        if not digest and kind_of(path) is None and (copied := copy_of(Path(given).name)) is not None:
            _log.warning("there is no %s any more: the study's copy takes its place, %s", path.absolute(), copied)
            return loaded(copied)
        if kind_of(path) != "file":
            raise UserError(f"the plugin {given} is not there: {path.absolute()}")
        return _read(path, Path(given).name, given, digest)
    except UserError as error:
        raise UserError(*(one if one.line else Problem(node.file, node.line, where, one.rule) for one in error.problems)) from error


def _read(path: Path, name: str, given: str, digest: str) -> Plugin:
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    _compare(name, digest, found)
    key = f"{name}{_MARK}{found}"
    if key not in _loaded or _loaded[key].path != path:  # as it is named now, for `submit`
        rows = _loaded[key].rows if key in _loaded else _imported(path, content, found)
        _loaded[key] = Plugin(name, found, given, path.resolve(), content, rows)
    return _loaded[key]


def _imported(path: Path, content: bytes, digest: str) -> Rows:
    """The rows of the very bytes that the digest is of, as a module that no other file's takes the place of."""
    module = ModuleType(f"visiontune_plugin_{digest[:16]}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # dataclasses and pickle look there
    try:
        exec(compile(content, str(path), "exec", dont_inherit=True), module.__dict__)
        return rows_of(vars(module), str(path), content.decode())
    except UserError:
        del sys.modules[module.__name__]
        raise
    except (Exception, SystemExit) as error:
        del sys.modules[module.__name__]
        rule = f"can't be imported: {type(error).__name__}: {first_line(error)}"
        raise UserError(Problem(str(path), line_in(error, str(path)) or 1, "", rule)) from error


def line_in(error: BaseException, file: str) -> int:
    """The last line of a file that an exception came from, 0 where it is not from there."""
    if isinstance(error, SyntaxError) and error.filename == file:
        return error.lineno or 0
    return next((frame.lineno or 0 for frame in reversed(traceback.extract_tb(error.__traceback__)) if frame.filename == file), 0)


def _installed(name: str, digest: str) -> Plugin:
    """An installed package's; the digest is over all of its package's source, relative paths included."""
    known = {point.name: point for point in entry_points(group=GROUP)}
    if name not in known:
        rule = f"a plugin is a file that ends in .py, or the name of an entry point of group {GROUP}, but got {name!r}"
        raise UserError(f"{rule}; {nearest(name, known)}")
    origin, found = _digest_of(known[name])
    _compare(name, digest, found)
    if (key := f"{name}{_MARK}{found}") not in _loaded:
        if any(one.name == name and one.content is None for one in _loaded.values()):
            raise UserError(f"the plugin {name} has changed since this process imported it; a new process takes it as it is now")
        try:
            module = known[name].load()
        except Exception as error:
            raise UserError(f"the plugin {name} can't be imported: {type(error).__name__}: {first_line(error)}") from error
        file = Path(module.__file__)
        _loaded[key] = Plugin(name, found, name, origin, None, rows_of(vars(module), str(file), file.read_text()))
    return _loaded[key]


def _digest_of(point: EntryPoint) -> tuple[Path, str]:
    package = find_spec(point.module.partition(".")[0])
    if package is None or package.origin is None:
        raise UserError(f"the plugin {point.name} is of the module {point.module}, which is not installed")
    origin = Path(package.origin)
    if not package.submodule_search_locations:
        return origin, hashlib.sha256(origin.read_bytes()).hexdigest()
    content = hashlib.sha256()
    for path in sorted(origin.parent.rglob("*.py")):
        content.update(f"{path.relative_to(origin.parent).as_posix()}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\0".encode())
    return origin, content.hexdigest()


def _compare(name: str, wanted: str, found: str) -> None:
    if wanted and wanted != found:
        raise UserError(f"the plugin {name} has changed: its SHA-256 must be {wanted}, but is {found}")
