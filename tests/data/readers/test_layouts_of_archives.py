"""Archives as people have them: each row is what lies in one and what is trained on, set aside and said."""

from __future__ import annotations

import json
import multiprocessing
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from archive_files import link, tar_of, zip_of
from layouts import Row, classes_of, differences, read
from picture_files import COLOUR, png
from source_files import given, tree

from visiontune.data.open_files import open_folder
from visiontune.data.picture.bad_picture import BadPicture
from visiontune.data.prepare import prepare
from visiontune.errors import UserError
from visiontune.results.pictures.make_dataset import section_of

Files = Mapping[str, bytes]


def _pictures(*names: str) -> dict[str, bytes]:
    return {name: png(COLOUR[index % 30]) for index, name in enumerate(names)}


_PETS = _pictures("cat/a.png", "dog/b.png")
_CATS_AND_DOGS = {"train": {"cat/a.png": "cat", "dog/b.png": "dog"}}
_WRAPPED = {"train": {"pets/cat/a.png": "cat", "pets/dog/b.png": "dog"}}
_TABLE = {"labels.csv": b"path,label\ncat/a.png,cat\ndog/b.png,dog\n"}


_FIRST = {**_pictures("0001.jpg", "0002.jpg"), "0001.cls": b"3", "0002.cls": b"10\n"}
_SECOND = {**_pictures("0001.jpg"), "0001.cls": b"3"}
_FIRST_SAMPLES = {"train/a-0.tar/0001.jpg": "3", "train/a-0.tar/0002.jpg": "10"}
_SAMPLES = {**_FIRST_SAMPLES, "train/a-1.tar/0001.jpg": "3"}
_COCO = json.dumps(
    {
        "images": [{"id": number, "file_name": name, "width": 12, "height": 12} for number, name in enumerate(_PETS)],
        "annotations": [{"id": number, "image_id": number, "category_id": number, "bbox": [1, 1, 8, 8]} for number in range(2)],
        "categories": [{"id": 0, "name": "cat"}, {"id": 1, "name": "dog"}],
    }
).encode()


def _parquet() -> bytes:
    file, rows = pa.BufferOutputStream(), [{"image": {"bytes": png(COLOUR[row]), "path": f"{row}.png"}, "label": row} for row in range(2)]
    pq.write_table(pa.Table.from_pylist(rows), file)
    return file.getvalue().to_pybytes()


def _zip(files: Files, inner: str = "", name: str = "pets.zip", method: int = zipfile.ZIP_DEFLATED) -> Callable[[Path], str]:
    return lambda root: zip_of(root / name, files, method) + inner


def _tar(files: Mapping[str, bytes | tarfile.TarInfo], name: str = "pets.tar", mode: str = "w") -> Callable[[Path], str]:
    return lambda root: tar_of(root / name, files, mode)


def _patched(files: Files, old: bytes, new: bytes, **given: object) -> Callable[[Path], str]:
    """A zip with other bytes, as archives have that Python does not write."""

    def make(root: Path) -> str:
        path = Path(_zip(files, **given)(root))  # type: ignore[arg-type]
        content = path.read_bytes()
        assert old in content
        path.write_bytes(content.replace(old, new))
        return str(path)

    return make


def _shards(**samples: Mapping[str, bytes]) -> Callable[[Path], str]:
    """Tar files by name, in which members are named as they are in webdataset."""

    def make(root: Path) -> str:
        for name, files in samples.items():
            path = root / f"{name.replace('__', '/')}.tar"
            path.parent.mkdir(exist_ok=True)
            tar_of(path, files)
        return str(root)

    return make


def _at(make: Callable[[Path], str], inner: str) -> Callable[[Path], str]:
    return lambda root: f"{make(root)}/{inner}"


def _several(root: Path) -> str:
    for name in ("train.zip", "test.zip"):
        zip_of(root / name, _PETS)
    return str(root)


def _cut(root: Path) -> str:
    path = Path(_tar(_PETS)(root))
    path.write_bytes(path.read_bytes()[:700])
    return str(path)


def _named(name: str, content: bytes = b"no picture at all") -> Callable[[Path], str]:
    def make(root: Path) -> str:
        (root / name).write_bytes(content)
        return str(root / name)

    return make


def _lying(*names: str) -> Callable[[Path], None]:
    return lambda root: [(root / name).write_bytes(b"no picture at all") for name in names] and None


def _with(make: Callable[[Path], str], files: Files) -> Callable[[Path], str]:
    """The same with files beside."""

    def made(root: Path) -> str:
        for name, content in files.items():
            (root / name).write_bytes(content)
        return make(root)

    return made


_TEN = [f"class {number}" for number in range(11)]

ROWS = {
    "a zip": Row(_zip(_PETS), _CATS_AND_DOGS, source="folder"),
    "a zip without compression": Row(_zip(_PETS, method=zipfile.ZIP_STORED), _CATS_AND_DOGS),
    "a tar": Row(_tar(_PETS), _CATS_AND_DOGS, source="folder"),
    "a tar of `tar -cf pets.tar .`": Row(_tar({f"./{name}": content for name, content in _PETS.items()}), _CATS_AND_DOGS),
    "what macOS makes of a folder": Row(
        _zip({**{f"pets/{name}": content for name, content in _PETS.items()}, "__MACOSX/pets/cat/._a.png": b"x", "pets/.DS_Store": b"x"}),
        _WRAPPED,
        {"__MACOSX": "is a hidden folder", ".DS_Store": "is a hidden file"},
        said=("pets.zip/pets is read, since", "pets.zip, and would be others if the inner folder was named itself"),
    ),
    "a folder in a zip": Row(_zip({f"a/{name}": content for name, content in _PETS.items()}, "/a"), _CATS_AND_DOGS),
    "names of macOS, in UTF-8 without a mark": Row(
        _patched({**_PETS, "B@@r/c.png": png(COLOUR[2])}, b"B@@r", "Bär".encode()),
        {"train": {**_CATS_AND_DOGS["train"], "Bär/c.png": "Bär"}},
    ),
    "separators of Windows": Row(_patched(_PETS, b"cat/", b"cat\\"), _CATS_AND_DOGS),
    "a table in a zip": Row(_zip({**_PETS, **_TABLE}, "/labels.csv"), _CATS_AND_DOGS, source="manifest"),
    "a Parquet file in a zip": Row(_zip({"a/train.parquet": _parquet()}), {"train": {"0.png": "0", "1.png": "1"}}, source="parquet"),
    "a Parquet file in a tar": Row(_tar({"a/train.parquet": _parquet()}), {"train": {"0.png": "0", "1.png": "1"}}, source="parquet"),
    "COCO's JSON in a zip": Row(
        _zip({**_PETS, "all.json": _COCO}),
        {"train": {"cat/a.png#0": "cat", "dog/b.png#0": "dog"}},
        source="coco",
        said=("2 annotated objects",),
    ),
    "annotations and tables in a zip that are left out": Row(
        _zip({**_PETS, "all.json": _COCO, "old/train.parquet": _parquet()}),
        _CATS_AND_DOGS,
        source="folder",
        said=("'*.json' leaves out 1 file", "'old' leaves out 1 folder"),
        data={"exclude": ["*.json", "old"]},
    ),
    "shards that are left out": Row(
        lambda root: _shards(**{"train-0": _FIRST, "val-0": _SECOND})(root) and tree(root, {"cat/a.png": 0, "dog/b.png": 1}),
        _CATS_AND_DOGS,
        source="folder",
        said=("'*.tar' leaves out 2 files",),
        data={"exclude": ["*.tar"]},
    ),
    "parts in a tar": Row(
        _tar(_pictures("train/cat/a.png", "train/dog/b.png", "test/cat/c.png")),
        {"train": {"train/cat/a.png": "cat", "train/dog/b.png": "dog"}, "test": {"test/cat/c.png": "cat"}},
    ),
    "links in a tar": Row(
        _tar({**_PETS, "dog/c.png": link("dog/c.png", "cat/a.png", tarfile.LNKTYPE), "dog/d.png": link("dog/d.png", "/etc/passwd")}),
        {"train": {**_CATS_AND_DOGS["train"], "dog/c.png": "dog"}},
        {"d.png": "is neither a file nor a folder"},
    ),
    "a name twice": Row(
        _tar({"./cat/a.png": b"old", "./.x": b"old", **_PETS, ".x": b"new", "./dog/b.png": _PETS["dog/b.png"]}),
        _CATS_AND_DOGS,
        {".x": "is a hidden file"},
        said=("1 name stands several times in /", "pets.tar with other contents, and the last counts, as when it is unpacked: cat/a.png"),
    ),
    "a label twice in shards": Row(
        _shards(**{"a-0": {"./0001.cls": b"4", **_FIRST}, "a-1": {**_SECOND, "./0001.cls": b"3"}}),
        {"train": _SAMPLES},
        said=("1 name stands several times in /", "and the last counts, as when it is unpacked: train/a-0.tar/0001.cls"),
    ),
    "a name twice in a zip": Row(
        _patched({**_PETS, "cow/a.png": b"other", "dig/b.png": _PETS["dog/b.png"]}, b"cow/", b"cat/"),
        {"train": {**_CATS_AND_DOGS["train"], "dig/b.png": "dig"}},
        said=("1 name stands several times in /", "unpacked: cat/a.png"),
    ),
    # WebDataset's shards.
    "one shard": Row(_at(_shards(**{"a-0": _FIRST}), "a-0.tar"), {"train": _FIRST_SAMPLES}, source="webdataset"),
    "a folder of shards": Row(_shards(**{"a-0": _FIRST, "a-1": _SECOND}), {"train": _SAMPLES}, source="webdataset"),
    "a range of shards": Row(_at(_shards(**{"a-0": _FIRST, "a-1": _SECOND, "b": {}}), "a-{0..1}.tar"), {"train": _SAMPLES}),
    "a pattern of shards": Row(_at(_shards(**{"a-0": _FIRST, "a-1": _SECOND, "b": {}}), "a-*.tar"), {"train": _SAMPLES}),
    "a shard that is missing": Row(
        _at(_shards(**{"a-0": _FIRST}), "a-{0..2}.tar"), refused=("all 3 shards must be there", "lacks 2: a-1.tar, a-2.tar")
    ),
    "a shard that is missing in a folder": Row(
        _shards(**{"a-08": _FIRST, "a-09": {}, "a-11": _SECOND, "b": {}, "b2021": {}, "b20210304": {}}),
        {"train": {"train/a-08.tar/0001.jpg": "3", "train/a-08.tar/0002.jpg": "10", "train/a-11.tar/0001.jpg": "3"}},
        said=("1 shard between a-08.tar and a-11.tar is not there: a-10.tar",),
    ),
    "parts in names of shards": Row(
        _shards(**{"train-0": _FIRST, "train-1": _SECOND, "val-0": _SECOND}),
        {
            "train": {key.replace("/a-", "/train-"): label for key, label in _SAMPLES.items()},
            "val": {"val/val-0.tar/0001.jpg": "3"},
        },
        source="webdataset",
    ),
    "what is not read in all parts": Row(
        _shards(**{"train-0": {**_FIRST, "0001.id": b"x"}, "val-0": {**_SECOND, "0001.id": b"x", "0002.id": b"x"}}),
        {"train": {key.replace("/a-", "/train-"): label for key, label in _FIRST_SAMPLES.items()}, "val": {"val/val-0.tar/0001.jpg": "3"}},
        {"0002": "has no picture: there is only id"},
        said=("labels are those of .cls; not read: .id (3)",),
    ),
    "shards of parts beside others": Row(
        _shards(**{"train-0": _FIRST, "val-0": _SECOND, "more": _FIRST}),
        refused=("called after parts, or none, but has train-0.tar and more.tar; say source=webdataset train=",),
    ),
    "shards without those of train": Row(_shards(**{"val-0": _FIRST, "test-0": _SECOND}), refused=("has test-0.tar and none of train",)),
    "parts in folders of shards": Row(
        _shards(**{"train__a-0": _FIRST, "test__a-0": _pictures("1.jpg")}),
        {"train": _FIRST_SAMPLES},
        {"1.jpg": "has no label: there is no .cls beside it"},
    ),
    "labels in JSON, one field of several": Row(
        _shards(**{"a-0": {**_pictures("x/1.png", "x/2.png"), "x/1.json": b'{"label": 7.0, "id": 1}', "x/2.json": b'{"label": "dog"}'}}),
        {"train": {"train/a-0.tar/x/1.png": "7", "train/a-0.tar/x/2.png": "dog"}},
    ),
    "labels in text, and what is not whole": Row(
        _shards(**{"a-0": {**_pictures("1.png", "2.png", "3.png"), **{"1.txt": b"cat\n", "2.txt": b"dog", "4.txt": b"dog", "1.id": b"x"}}}),
        {"train": {"train/a-0.tar/1.png": "cat", "train/a-0.tar/2.png": "dog"}},
        {"3.png": "has no label: there is no .txt beside it", "4": "has no picture: there is only txt"},
        said=("labels are those of .txt; not read: .id (1)",),
    ),
    "several classes where one is asked for": Row(
        _shards(
            **{
                "a-0": {
                    **_pictures("1.png", "2.png", "3.png"),
                    **{"1.json": b'{"label": "cat"}', "2.json": b'{"label": ["cat", "dog"]}', "3.json": b'{"label": "dog"}'},
                }
            }
        ),
        {"train": {"train/a-0.tar/1.png": "cat", "train/a-0.tar/3.png": "dog"}},
        {"2.png": "has several labels in 2.json; labels: many takes them"},
    ),
    "lists in another field of JSON": Row(
        _shards(**{"a-0": {**_pictures("1.png", "2.png"), "1.json": b'{"id": 1, "tags": ["cat"]}', "2.json": b'{"tags": ["dog"]}'}}),
        data={"labels": "many"},
        refused=("data.label_field: must be a field of the .json beside pictures, but 'label' is none; ", "choices: id, tags"),
    ),
    "a field of JSON that is spelt otherwise": Row(
        _shards(**{"a-0": {**_pictures("1.png", "2.png"), "1.json": b'{"id": 1, "tags": ["cat"]}', "2.json": b'{"tags": ["dog"]}'}}),
        data={"labels": "many", "label_field": "tag"},
        refused=("'tag' is none; nearest is 'tags'; choices: id, tags",),
    ),
    "the same beside captions, and with the suffix": Row(
        _shards(**{"a-0": {**_pictures("1.png"), "1.json": b'{"tags": ["cat"]}', "1.txt": b"a cat"}}),
        data={"labels": "many", "label_field": "tag", "label_suffix": "json"},
        refused=("data.label_field", "'tag' is none; nearest is 'tags'"),
    ),
    "a field that was given, beside captions": Row(
        _shards(**{"a-0": {**_pictures("1.png"), "1.json": b'{"tags": ["cat"]}', "1.txt": b"a cat"}}),
        data={"labels": "many", "label_field": "tag"},
        refused=("data.label_field", "'tag' is none; nearest is 'tags'"),
    ),
    "a field that holds no label": Row(
        _shards(**{"a-0": {**_pictures("1.png"), "1.json": b'{"label": {"name": "cat"}, "tags": ["cat"]}'}}),
        refused=("data.label_field: must hold a text, an integer or a list of them", "'label' does not; other fields: tags"),
    ),
    "JSON whose first has no label": Row(
        _shards(
            **{
                "a-0": {
                    **_pictures("1.png", "2.png", "3.png"),
                    **{"1.json": b'{"id": 1}', "2.json": b'{"label": "cat"}', "3.json": b'{"label": "dog"}'},
                }
            }
        ),
        {"train": {"train/a-0.tar/2.png": "cat", "train/a-0.tar/3.png": "dog"}},
        {"1.png": "has no label in 1.json"},
    ),
    "a shard by a name that is none": Row(
        _at(_shards(**{"list-000": _FIRST}), "list-00.tar"),
        refused=("SOURCE: must be a folder or a file, but there is no ", "nearest is '/", "/list-000.tar'"),
    ),
    "a label that is no text": Row(
        _shards(**{"a-0": {**_pictures("1.png", "2.png", "3.png"), "1.txt": b"cat", "2.txt": b"dog", "3.txt": b"\xffr"}}),
        {"train": {"train/a-0.tar/1.png": "cat", "train/a-0.tar/2.png": "dog"}},
        {"3.png": "has a file for its label that is no text in UTF-8, or UTF-16 or UTF-32 with its mark (invalid start byte): 3.txt"},
    ),
    "lists with a place for each class": Row(
        _shards(**{"a-0": {**_pictures("1.png", "2.png"), "1.json": b'{"label": [0, 1, 1]}', "2.json": b'{"label": [1, 0, 0]}'}}),
        data={"labels": "many"},
        refused=("data.labels: lists must hold the classes of a picture by name or number", "a table with label_columns"),
    ),
    "two pictures in a sample": Row(
        _shards(**{"a-0": {**_FIRST, "0001.png": png(COLOUR[0])}}), refused=("data.image_suffix", "a-0.tar/0001 has jpg, png")
    ),
    "two pictures in a sample of val alone": Row(
        _shards(**{"train-0": _FIRST, "val-0": {**_SECOND, **_pictures("0001.webp")}}), refused=("data.image_suffix", "val-0.tar/0001 has")
    ),
    "the same, said": Row(
        _shards(**{"a-0": {**_FIRST, "0001.png": png(COLOUR[0])}}),
        {"train": _FIRST_SAMPLES},
        data={"image_suffix": ".jpg"},
        said=("not read: .png (1)",),
    ),
    "other labels": Row(_shards(**{"a-0": _FIRST}), data={"label_suffix": "id"}, refused=("has none; 2 were set aside",)),
    "LabelMe's files in a tar": Row(
        _tar({"1.png": png(COLOUR[0]), "1.json": b'{"shapes": [], "imagePath": "1.png"}'}), refused=("must hold training pictures",)
    ),
    "names of classes beside shards": Row(
        _with(_shards(**{"a-0": _FIRST}), {"labels.txt": b"3\n10\n3\n", "classnames.txt": "\n".join(_TEN).encode()}),
        {"train": {"train/a-0.tar/0001.jpg": "class 3", "train/a-0.tar/0002.jpg": "class 10"}},
        source="webdataset",
    ),
    "the same as Keras has ImageNet's, above parts": Row(
        _with(
            _shards(**{"train__a-0": _FIRST, "test__a-0": _SECOND}),
            {"imagenet_class_index.json": json.dumps({str(number): [name, "words"] for number, name in enumerate(_TEN)}).encode()},
        ),
        {
            "train": {"train/a-0.tar/0001.jpg": "class 3", "train/a-0.tar/0002.jpg": "class 10"},
            "test": {"test/a-0.tar/0001.jpg": "class 3"},
        },
    ),
    "fewer names than labels": Row(
        _with(_shards(**{"a-0": _FIRST}), {"classes.json": json.dumps({name: number for number, name in enumerate(_TEN[:6])}).encode()}),
        refused=("data.class_names: must name every label by its number, 0 to 5, but 1 have none, such as '10'",),
    ),
    # What is refused.
    "a name that climbs out": Row(_zip({**_PETS, "../../b.png": b"x"}), refused=("must lie within it", "'../../b.png'")),
    "an absolute name": Row(_tar({**_PETS, "/b.png": b"x"}), refused=("must lie within it", "'/b.png'")),
    "a password": Row(
        # Flags in the header of a file and in the index, each after the version that it needs.
        _patched(_PETS, b"PK\x01\x02\x14\x03\x14\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01\x00"),
        refused=("pets.zip must have no password, but 2 (cat/a.png, dog/b.png) of 2 members", "7z x"),
    ),
    "another method": Row(_zip(_PETS, method=zipfile.ZIP_LZMA), refused=("must be stored or deflated, but 2 (cat/a.png",)),
    "a tar with compression": Row(
        _tar(_PETS, "my pets.tar.gz", "w:gz"), refused=("compressed by gzip", "mkdir 'my pets' && tar -xf", "-C 'my pets'")
    ),
    "the same by another name": Row(_tar(_PETS, "pets.tar", "w:xz"), refused=("compressed by xz",)),
    "no zip at all": Row(_named("pets.zip"), refused=("pets.zip must be a zip archive that can be read, but: File is not a zip file",)),
    "half of a tar": Row(_cut, refused=("pets.tar must be a tar archive that can be read, but: unexpected end of data",)),
    "no such folder in it": Row(_zip(_PETS, "/cats"), refused=("pets.zip/cats", "nearest is '/", "/pets.zip/cat'")),
    "a folder of archives": Row(_several, refused=("2 .zip and no pictures, archives; to read them, unpack them, or give one of them: /",)),
    # What is in formats that nothing reads.
    "arrays": Row(_named("mnist.npz"), refused=("mnist.npz holds arrays; to read it, write the arrays as pictures",)),
    "records": Row(_lying("train.tfrecord-00000-of-00002", "train.tfrecord-00001-of-00002"), refused=("2 .tfrecord", "to_parquet")),
    "a database": Row(_lying("data.mdb", "lock.mdb"), refused=("an LMDB database; to read them, write its values as files",)),
    "a film": Row(_named("film.MP4"), refused=("holds videos", "ffmpeg")),
    "a pickle": Row(_named("data.pt"), refused=("not opened",)),
    "a rar": Row(_named("pets.rar"), refused=("unpack them",)),
    "nothing known": Row(_named("pets.xyz"), refused=("must be a folder, an archive (.zip, .tar), a table",)),
}


@pytest.mark.parametrize("name", ROWS)
def test_what_lies_there_is_what_is_read(name: str, tmp_path: Path) -> None:
    assert differences(ROWS[name], tmp_path) == []


def test_an_archive_has_the_store_of_its_folder(tmp_path: Path) -> None:
    """Made once, whichever comes first: names, labels and bytes are the same."""
    files = _pictures(*(f"{label}/{number}.png" for label in ("cat", "dog") for number in range(15)))
    zip_of(tmp_path / "pets.zip", files)
    tar_of(tmp_path / "pets.tar", files)
    shutil.unpack_archive(tmp_path / "pets.zip", tmp_path / "pets")
    section = {"source": "folder", "val_fraction": 0.2, "test_fraction": 0.2}
    stores = {prepare({**section, "path": str(tmp_path / name)}, tmp_path / "cache") for name in ("pets.zip", "pets.tar", "pets")}
    assert len(stores) == 1


def test_a_damaged_member_is_a_bad_picture(tmp_path: Path) -> None:
    path = Path(_zip(_PETS, method=zipfile.ZIP_STORED)(tmp_path))
    content = bytearray(path.read_bytes())
    content[content.index(_PETS["cat/a.png"]) + 40] ^= 1
    path.write_bytes(content)
    _, source = read(str(path), {})
    found = given(source)
    assert isinstance(found["cat/a.png"][1], BadPicture)
    assert "damaged in its archive: its checksum" in str(found["cat/a.png"][1])
    np.testing.assert_array_equal(found["dog/b.png"][1], COLOUR[1])


@pytest.mark.parametrize("make", [_zip, _tar])
def test_threads_and_forked_processes_read_at_once(make: Callable[[Files], Callable[[Path], str]], tmp_path: Path) -> None:
    """A position shared between them would give others' bytes."""
    rng = np.random.default_rng(0)
    files = {f"{number}.bin": rng.bytes(30_000 + number) for number in range(40)}
    root = open_folder(make(files)(tmp_path), "here")
    global _read
    _read = root.read
    names = [*files] * 10
    with ThreadPoolExecutor(4) as threads, ProcessPoolExecutor(2, multiprocessing.get_context("fork")) as forked:
        others = forked.map(_call, names, chunksize=20)
        assert all(content == files[name] for name, content in zip(names, threads.map(_call, names), strict=True))
        assert all(content == files[name] for name, content in zip(names, others, strict=True))


_read: Callable[[str], bytes]


def _call(name: str) -> bytes:
    return _read(name)


def test_archives_elsewhere(tmp_path: Path) -> None:
    """By ranges of bytes; threads alone read them."""
    import fsspec

    memory = fsspec.filesystem("memory")
    for name, path in {"zip": _zip(_PETS)(tmp_path), "tar": _tar(_PETS)(tmp_path), "shard": _tar(_FIRST, "a-0.tar")(tmp_path)}.items():
        memory.pipe(f"/{name}/{Path(path).name}", Path(path).read_bytes())
    for text in ("memory://zip/pets.zip", "memory://tar/pets.tar"):
        _, source = read(text, {})
        assert not source.can_fork
        assert source.names("train")[0] == f"{text}/cat/a.png"
        np.testing.assert_array_equal(given(source)["dog/b.png"][1], COLOUR[1])
    section, source = read("memory://shard", {})
    assert section["source"] == "webdataset"
    assert classes_of(source, "train") == _FIRST_SAMPLES


def test_the_argument_is_called_as_the_user_knows_it(tmp_path: Path) -> None:
    (tmp_path / "a.npz").touch()
    for name, rule in (("nothere", "DATA: must be a folder or a file, but there is no"), ("a.npz", r"DATA /\S*a.npz holds arrays")):
        with pytest.raises(UserError, match=f"^{rule}"):
            section_of(str(tmp_path / name), [], "DATA")


def test_another_archive_in_its_place_is_noticed(tmp_path: Path) -> None:
    path = _zip(_PETS)(tmp_path)
    _, source = read(path, {})
    assert source.stamps is not None
    before = source.stamps().text
    _zip(dict.fromkeys(_PETS, _PETS["cat/a.png"]))(tmp_path)
    assert source.stamps().text != before
    _, other = read(path, {})
    np.testing.assert_array_equal(given(other)["dog/b.png"][1], COLOUR[0])
