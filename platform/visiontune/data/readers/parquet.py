"""Parquet in Hugging Face's image layout, struct<bytes: binary, path: string>, or with pandas' binary, beside a label."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache

import numpy as np

from visiontune.data.file_names import is_hidden
from visiontune.data.label_sets import count_classes
from visiontune.data.open_files import open_files
from visiontune.data.picture.bad_picture import BadPicture
from visiontune.data.readers.parquet_label_sets import read_label_sets
from visiontune.data.readers.parquet_labels import read_labels
from visiontune.data.readers.parquet_shards import ShardFile, Shards, digests_of_shards
from visiontune.data.readers.parquet_splits import is_numbered, missing_shards, part_of_file
from visiontune.data.source import Source, Stamps
from visiontune.data.split import IntArray
from visiontune.errors import Problem, UserError
from visiontune.spec.tables.several_labels import MANY, ONE

_PEEK = 64
_MAX_LISTED = 5


def parquet(
    *,
    train: str,
    val: str | None = None,
    test: str | None = None,
    image_column: str = "image",
    label_column: str = "label",
    labels: str = ONE,
) -> Source:
    """Check the files and read their labels, no picture. Raises UserError."""
    given = {part: text for part, text in (("train", train), ("val", val), ("test", test)) if text is not None}
    files = {part: _find(text, part) for part, text in given.items()}
    notes = [*_beside([file for found in files.values() for file in found]), *_joined_files(files)]
    return source_of_tables("parquet", files, image_column, label_column, notes, has_many=labels == MANY)


def source_of_tables(
    kind: str,
    files: Mapping[str, tuple[ShardFile, ...]],
    image_column: str,
    label_column: str,
    notes: Sequence[str] = (),
    *,
    has_many: bool = False,
) -> Source:
    """The source of these files by part, with lists of labels where pictures have many. Raises UserError."""
    found = (read_label_sets if has_many else read_labels)(files, image_column, label_column)
    class_names, labels, shards = found.class_names, found.labels, found.shards
    everything = [file for found in files.values() for file in found]
    counts_C = count_classes(labels["train"], found.sets, len(class_names))
    for part in labels if found.sets is None else ():
        _refuse_unseen(part, labels[part], counts_C, class_names, shards[part])
    many = " many" * has_many
    # Before they were taken by name, numbers of all files were those of the first one's classes: such a store is another one.
    by_name = " by name" * bool(found.renumbered)
    # So is one of files that disagree whether 1.0 is a number: each decided for itself.
    points = " points" * found.has_points
    settings = f"{image_column} {label_column}{many}{by_name}{points} {' '.join(f'{part} {len(found)}' for part, found in files.items())}"
    # Keys decide the splits. Before repeated paths were numbered, a file with some had the numbers of its rows for keys.
    numbered = cache(lambda: " numbered" * any(one.has_repeated_paths(image_column) for one in shards.values()))
    return Source(
        class_names=class_names,
        counts_C=counts_C,
        has_test="test" in labels,
        has_val="val" in labels,
        label_sets=found.sets,
        content=lambda tell=float: f"{kind} {digests_of_shards(everything, tell)} {settings}{numbered()}",
        stamps=lambda: Stamps(
            " ".join([f"{kind} 2", *(file.place() for file in everything), settings]), {part: one.stamps() for part, one in shards.items()}
        ),
        can_fork=all(file.root.can_fork for file in everything),
        first=cache(lambda: _first(shards["train"], image_column)),
        labels=lambda: labels,
        pictures=lambda part, rows: shards[part].pictures(image_column, rows),
        encoded=lambda part, rows: shards[part].encoded(image_column, rows),
        begins=lambda part: shards[part].begins(),
        names=lambda part: shards[part].names(),
        keys=lambda part: shards[part].keys(image_column),
        set_aside=tuple(found.set_aside),
        notes=(
            *notes,
            *(f"{file} numbers classes otherwise than the first file, so they are taken by name" for file in found.renumbered),
            *found.notes,
        ),
    )


def _find(text: str, part: str) -> tuple[ShardFile, ...]:
    """The file, the files of a folder, or those that match a pattern. Raises UserError for none, and for one of another part if several."""
    root, names = open_files(text, f"data.{part}", ".parquet")
    for name in names if len(names) > 1 else ():
        if (named := part_of_file(name)) not in (None, part):
            rule = f"must be files of {part}, but {text} has {root.show(name)}, which is of {named} by its name"
            raise UserError(Problem("", 0, f"data.{part}", f"{rule}; write a pattern such as {part}-*.parquet"))
    return tuple(ShardFile(root, name) for name in names)


def _beside(files: Sequence[ShardFile]) -> Iterator[str]:
    """What lies beside the files and is in no part."""
    used = {(file.root.path, file.name) for file in files}
    for root in {file.root.path: file.root for file in files}.values():
        try:
            found = [name for name in root.scan().files if name.lower().endswith(".parquet") and not is_hidden(name)]
        except UserError:
            continue  # a server that gives files and lists none
        rest = [name for name in found if (root.path, name) not in used]
        if rest:
            listed = f"{', '.join(rest[:_MAX_LISTED])}{', ...' * (len(rest) > _MAX_LISTED)}"
            yield f"in {root.show('')} {len(rest)} of {len(found)} Parquet files are read for no part: {listed}"


def _joined_files(files: Mapping[str, Sequence[ShardFile]]) -> Iterator[str]:
    for part, found in files.items():
        names = [file.name for file in found]
        yield from missing_shards(names)
        if len(names) > 1 and not any(is_numbered(name) for name in names):
            listed = f"{', '.join(names[:_MAX_LISTED])}{', ...' * (len(names) > _MAX_LISTED)}"
            yield f"{part} has the rows of {len(names)} files: {listed}"


def _refuse_unseen(part: str, label_N: IntArray, counts_C: IntArray, class_names: Sequence[str], shards: Shards) -> None:
    unseen = np.flatnonzero(counts_C[label_N] == 0)
    if len(unseen):
        row = int(unseen[0])
        rule = f"{part} labels must occur in training, but this has {class_names[label_N[row]]!r}"
        raise UserError(Problem(shards.names()[row], 0, "", rule))


def _first(shards: Shards, column: str) -> tuple[int, int, int]:
    """Size of the first good picture; most channels of the first 64, for a file may mix grey and colour."""
    found = list(shards.pictures(column, np.arange(min(_PEEK, sum(map(len, shards.rows))))))
    shapes = [picture.shape for picture in found if not isinstance(picture, BadPicture)]
    if not shapes:
        raise UserError(*(Problem(name, 0, "", f"picture {error}") for name, error in zip(shards.names()[:5], found, strict=False)))
    height, width, _ = shapes[0]
    return height, width, max(channels for _, _, channels in shapes)
