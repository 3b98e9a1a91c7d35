"""What pictures may be kept in and visiontune doesn't read: what each is, and how to convert it."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple


class Foreign(NamedTuple):
    """`way` completes "to read it, ..."."""

    what: str
    way: str


_FOLDERS = "a folder for each class"
_SUFFIXES = {
    (".zip", ".tar", ".tgz", ".tbz", ".tbz2", ".txz"): Foreign("archives", "unpack them, or give one of them"),
    (".7z", ".rar", ".gz", ".bz2", ".xz", ".zst", ".lz4", ".iso"): Foreign("archives that can't be read in place", "unpack them"),
    (".npy", ".npz", ".mat", ".h5", ".hdf5", ".hdf", ".zarr", ".nii", ".nc"): Foreign(
        "arrays", f"write the arrays as pictures, {_FOLDERS}: PIL.Image.fromarray(array).save(f'{{label}}/{{number}}.png')"
    ),
    (".pkl", ".pickle", ".pt", ".pth", ".joblib"): Foreign(
        "pickles, which may run anybody's code and are not opened", f"write the arrays as pictures, {_FOLDERS}"
    ),
    (".tfrecord", ".tfrecords"): Foreign(
        "TensorFlow's records",
        "write them as Parquet: datasets.Dataset.from_generator(rows).to_parquet('train.parquet'), where rows() reads a TFRecordDataset "
        "and yields {'image': the file's bytes, 'label': its class}",
    ),
    (".lmdb", ".mdb"): Foreign("an LMDB database", f"write its values as files, {_FOLDERS}: lmdb.open(...).begin().cursor()"),
    (".db", ".sqlite", ".sqlite3"): Foreign("a database", "write its pictures as files and their labels as a table (source: manifest)"),
    (".rec",): Foreign("MXNet's records", f"write them as pictures, {_FOLDERS}: mxnet.recordio.unpack_img(...)"),
    (".beton",): Foreign("FFCV's file", "give the data that it was written from"),
    (".mp4", ".avi", ".mov", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".m4v"): Foreign(
        "videos", f"write the frames as pictures, {_FOLDERS}: ffmpeg -i film.mp4 -vf fps=1 class/film_%05d.jpg"
    ),
    (".pdf", ".docx", ".pptx"): Foreign("documents", f"write their pictures as files, {_FOLDERS}: pdfimages -png file.pdf class/page"),
    (".xls", ".xlsx", ".ods"): Foreign("spreadsheets", "save the table as CSV (source: manifest)"),
    (".svs", ".ndpi"): Foreign("whole slides of a microscope", "write tiles of them as pictures, such as by OpenSlide"),
}
_BY_SUFFIX = {suffix: foreign for suffixes, foreign in _SUFFIXES.items() for suffix in suffixes}
_SHARD = re.compile(r"-\d+-of-\d+$")


def foreign_suffix(name: str) -> str | None:
    """The suffix that says it, shard numbers left out: .tfrecord of train.tfrecord-00000-of-00002; None for all else."""
    suffix = posixpath.splitext(_SHARD.sub("", name.lower()))[1]
    return suffix if suffix in _BY_SUFFIX else None


def foreign_of(suffix: str) -> Foreign | None:
    """What files with this suffix are, if they are none that is read."""
    return _BY_SUFFIX.get(suffix)


def commonest(names: Iterable[str]) -> tuple[str, int] | None:
    """Of the suffixes that are foreign the commonest one, and its number; None where none is."""
    counts = Counter(suffix for name in names if (suffix := foreign_suffix(name)) is not None)
    return counts.most_common(1)[0] if counts else None
