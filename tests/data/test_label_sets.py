"""Pictures of several classes: every way to say them reads the same, and their splits keep what those of one class promise."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from annotation_files import TWO, Objects, write_coco
from archive_files import tar_of
from picture_files import COLOUR, png
from tiny import make_store

from visiontune.data.folds import fold_of
from visiontune.data.ingest.plan import make_plan
from visiontune.data.iterative_stratification import stratified_parts
from visiontune.data.label_sets import count_classes, members_SK, pairs_of
from visiontune.data.prepare import describe, prepare, source_of, with_defaults
from visiontune.data.readers import labels_beside
from visiontune.data.readers.annotations.coco import coco
from visiontune.data.readers.manifest_labels import separator_of
from visiontune.data.source import Source
from visiontune.data.split import LEFT_OUT, TEST, TRAIN, VAL, split_rows
from visiontune.data.store.store import Store
from visiontune.errors import UserError
from visiontune.training.checks.made_store import in_memory

TAGS = {"a.png": ["cat", "dog"], "b.png": [], "c.png": ["dog"], "d.png": ["cat", "sea lion"]}


def rows_of(kind: str, folder: Path) -> dict[str, object]:
    """Write the table, and say what reads it."""
    names = [*TAGS]
    if kind == "lists":
        pq.write_table(pa.table({"path": names, "label": [*TAGS.values()]}), folder / "t.parquet")
        return {"path": str(folder / "t.parquet")}
    if kind == "lines":
        (folder / "t.jsonl").write_text("\n".join(json.dumps({"path": name, "label": tags}) for name, tags in TAGS.items()))
        return {"path": str(folder / "t.jsonl")}
    if kind == "columns":
        lines = [
            "path,cat,dog,sea lion",
            *(f"{n},{','.join(str(int(c in t)) for c in ('cat', 'dog', 'sea lion'))}" for n, t in TAGS.items()),
        ]
        more: dict[str, object] = {"label_columns": ["cat", "dog", "sea lion"]}
    elif kind == "a row each":
        lines = ["path,label", *(f"{name},{tag}" for name, tags in TAGS.items() for tag in tags or [""])]
        more = {}
    else:
        lines, more = (
            ["path,label", *(f"{name},{kind.join(tags)}" for name, tags in TAGS.items())],
            {"label_separator": kind} if kind == "/" else {},
        )
    (folder / "t.csv").write_text("\n".join(lines))
    return {"path": str(folder / "t.csv"), **more}


def sets_of(source: Source) -> dict[str, list[str]]:
    assert source.label_sets is not None
    labels = source.labels()["train"].tolist()
    return {key: [source.class_names[k] for k in source.label_sets[label]] for key, label in zip(source.keys("train"), labels, strict=True)}


@pytest.mark.parametrize("kind", ["|", " ; ", "/", "lists", "lines", "columns", "a row each"])
def test_every_way_to_say_several_classes_reads_the_same(kind: str, tmp_path: Path) -> None:
    for number, name in enumerate(TAGS):
        (tmp_path / name).write_bytes(png(COLOUR[number]))
    source = source_of(with_defaults({"source": "manifest", "labels": "many", **rows_of(kind, tmp_path)}))
    assert sets_of(source) == TAGS
    assert source.counts_C.tolist() == [2, 2, 1] and source.set_aside == ()


SAID = {
    "lists in JSON": ("webdataset", ".json", lambda tags: json.dumps({"label": tags, "id": 3})),
    "a list as text": ("webdataset", ".cls", json.dumps),
    "a class in each line": ("webdataset", ".txt", "\n".join),
    "lines beside pictures": ("folder", ".txt", "\n".join),
    "tags beside pictures": ("folder", ".txt", ", ".join),
    "lines of an old Mac beside pictures": ("folder", ".txt", "\r".join),
    "numbers": ("webdataset", ".cls", lambda tags: " ".join(str(["cat", "dog", "sea lion"].index(tag)) for tag in tags)),
}


@pytest.mark.parametrize("kind", SAID)
def test_files_beside_pictures_say_several_classes(kind: str, tmp_path: Path) -> None:
    """As shards of WebDataset's, and as those who keep tags have them: a.png and a.txt."""
    source, suffix, said = SAID[kind]
    files = {name: png(COLOUR[number]) for number, name in enumerate(TAGS)}
    files |= {Path(name).stem + suffix: said(tags).encode() for name, tags in TAGS.items()}
    place: dict[str, object] = {"path": str(tmp_path), "label_from": "text"}
    if source == "webdataset":
        (tmp_path / "names.txt").write_text("cat\ndog\nsea lion")
        place = {"train": tar_of(tmp_path / "a.tar", files)} | ({"class_names": str(tmp_path / "names.txt")} if kind == "numbers" else {})
    else:
        for name, content in files.items():
            (tmp_path / name).write_bytes(content)
    found = source_of(with_defaults({"source": source, "labels": "many", **place}))
    assert {Path(key).name: tags for key, tags in sets_of(found).items()} == TAGS
    assert found.counts_C.tolist() == [2, 2, 1] and found.set_aside == ()


@pytest.mark.parametrize("kind", ["texts", "table"])
def test_one_mark_parts_all_and_another_is_told(kind: str, tmp_path: Path) -> None:
    """One stray text decides: that others hold another mark must not be left for the list of classes to show."""
    first, second = ("cat\ndog", "\n") if kind == "texts" else ("cat|dog", "|")
    said = [first, "cat, dog", "dog, cat", "cat", "dog, cat", "cat, dog"]
    for number, text in enumerate(said):
        (tmp_path / f"{number}.png").write_bytes(png(COLOUR[number]))
        if kind == "texts":
            (tmp_path / f"{number}.txt").write_text(text)
    place: dict[str, object] = {"source": "folder", "path": str(tmp_path), "label_from": "text"}
    if kind == "table":
        (tmp_path / "t.csv").write_text("\n".join(["path,tags", *(f'{number}.png,"{text}"' for number, text in enumerate(said))]))
        place = {"source": "manifest", "path": str(tmp_path / "t.csv"), "label_column": "tags"}
    source = source_of(with_defaults({"labels": "many", **place}))
    what = ".txt" if kind == "texts" else "'tags'"
    parted = f"classes in {what} are parted by {second!r}"
    assert source.notes == (f"{parted}; 4 texts hold ',' too, as part of a name: 'cat, dog' is one class",)
    assert "cat, dog" in source.class_names


def test_many_texts_beside_pictures_take_a_look_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(60):
        (tmp_path / f"{number}.png").write_bytes(png(COLOUR[number % 30]))
        (tmp_path / f"{number}.txt").write_text("cat" if number % 2 else "dog")
    stems: list[str] = []
    monkeypatch.setattr(labels_beside, "identity", lambda name: stems.append(name) or name)
    source_of(with_defaults({"source": "folder", "path": str(tmp_path), "label_from": "text"}))
    assert len(stems) <= 5 * 60


def test_a_separator_that_stands_nowhere_names_the_one_that_does(tmp_path: Path) -> None:
    """Taken as it is, each combination of classes would become a class."""
    for number, name in enumerate(TAGS):
        (tmp_path / name).write_bytes(png(COLOUR[number]))
    section = {"source": "manifest", "labels": "many", **rows_of("|", tmp_path), "label_separator": ";"}
    with pytest.raises(UserError, match=r"';' stands nowhere in it; nearest is '\|'"):
        source_of(with_defaults(section))
    assert separator_of(["circle/line"], "tags") is None


def test_a_picture_has_the_classes_of_its_objects(tmp_path: Path) -> None:
    pictures: dict[str, Objects] = {**TWO, "c": [("cat", (0, 0, 5, 5)), ("cat", (9, 9, 12, 12))], "d": []}
    source = coco(annotations=write_coco(tmp_path, pictures), use_crops=False, labels="many")
    assert sets_of(source) == {"a.png": ["cat", "dog"], "b.png": ["dog"], "c.png": ["cat"], "d.png": []}
    with pytest.raises(UserError, match="nearest is use_crops: false"):
        coco(annotations=str(tmp_path / "instances.json"), labels="many")


REFUSED = {
    "one picture at least must have a class, but none of its 2 has one": "path,label\na.png,\nb.png,",
    r"but 'eel' has 2 \(.*c.png, .*d.png\); add pictures of such a class or take it out": "path,label\n"
    + "\n".join(f"{name}.png,cat|dog{'|eel' * (name in 'cd')}" for name in "abcdefg"),
    r"labels of val must occur in train, but 'eel' of .*c.png does not; put pictures of it into train or leave them out of val": (
        "path,label,split\na.png,cat,train\nb.png,cat|dog,train\nd.png,,val\nc.png,dog|eel,val"
    ),
}


@pytest.mark.parametrize("rule", REFUSED)
def test_a_refusal_names_the_class_its_picture_and_what_to_do(rule: str, tmp_path: Path) -> None:
    for name in "abcdefg":
        (tmp_path / f"{name}.png").write_bytes(png(COLOUR[0]))
    (tmp_path / "t.csv").write_text(REFUSED[rule])
    with pytest.raises(UserError, match=rule):
        describe(with_defaults({"source": "manifest", "labels": "many", "path": str(tmp_path / "t.csv"), "label_separator": "|"}))


def made(num: int) -> tuple[np.ndarray, list[str], tuple[tuple[int, ...], ...]]:
    """Pictures of up to eight classes, of which the last is rare."""
    random = np.random.default_rng(1)
    is_NK = random.random((num, 8)) < np.array([0.4, 0.3, 0.2, 0.2, 0.1, 0.1, 0.05, 0.004])
    is_NK[:5, 7] = True
    sets = tuple(sorted({tuple(np.flatnonzero(row).tolist()) for row in is_NK}))
    return np.array([sets.index(tuple(np.flatnonzero(row).tolist())) for row in is_NK]), [f"{n}.png" for n in range(num)], sets


@pytest.mark.parametrize("has_groups", [False, True])
def test_every_class_is_in_every_part_and_new_pictures_move_none(has_groups: bool) -> None:
    labels, keys, sets = made(1500)
    groups = [str(number // 3) for number in range(1500)] if has_groups else None
    how = {"class_names": "abcdefgh", "seed": 0, "val_fraction": 0.1, "test_fraction": 0.1, "sets": sets}
    code = split_rows(labels, keys, groups, **how)
    for part, share in ((TRAIN, 0.81), (VAL, 0.09), (TEST, 0.1)):
        counts = count_classes(labels[code == part], sets, 8)
        assert (counts > 0).all() and abs(counts[0] / count_classes(labels, sets, 8)[0] - share) < 0.05
    if groups is not None:
        assert all(len({*code[low : low + 3].tolist()}) == 1 for low in range(0, 1500, 3))
    fewer = split_rows(labels[:1200], keys[:1200], groups and groups[:1200], **how)
    assert (fewer == code[:1200]).mean() > 0.995  # but for the rare class, of which each part needs one
    if groups is None:  # of few groups a class may have too few
        least = split_rows(labels, keys, groups, max_pictures=40, **how)
        assert all((count_classes(labels[least == part], sets, 8) > 0).all() for part in (TRAIN, VAL))
    some = split_rows(labels, keys, groups, max_pictures=600, **how)
    assert (some == TRAIN).sum() + (some == VAL).sum() == 600 and set(np.flatnonzero(some == TEST)) == set(np.flatnonzero(code == TEST))
    with pytest.raises(UserError, match="two for each class, but got 5"):
        split_rows(labels, keys, groups, max_pictures=5, **how)


@pytest.mark.parametrize("num_parts", [2, 3, 5, 10])
def test_every_fold_has_its_share_of_every_class_to_within_a_picture(num_parts: int) -> None:
    """What Sechidis et al. 2011 promise; of rare classes too, and of pictures without any."""
    labels, _, sets = made(1500)
    picture_P, class_P = pairs_of(labels, sets)
    part_N = stratified_parts(picture_P, class_P, np.ones(1500, np.int64), 8, num_parts)
    assert np.ptp(np.bincount(part_N, minlength=num_parts)) <= 2
    has_NK = members_SK(sets, 8)[labels]
    for part in range(num_parts):
        assert np.abs(has_NK[part_N == part].sum(0) - has_NK.sum(0) / num_parts).max() <= 1
    at_random = np.random.default_rng(0).integers(num_parts, size=1500)
    assert max(np.abs(has_NK[at_random == part].sum(0) - has_NK.sum(0) / num_parts).max() for part in range(num_parts)) > 5


def test_folds_of_several_classes_are_val_once_keep_equal_pictures_together_and_follow_content_alone() -> None:
    store = make_store(num=200)
    images, sets = store.images_NHWC.copy(), ((), (0,), (0, 2), (1, 2))
    pool, labels = np.union1d(store.train_idx, store.val_idx), np.arange(200) % 4
    images[pool[7]], images[pool[9]] = images[pool[3]], images[pool[3]]
    several = replace(in_memory(images, labels, (store.train_idx, store.val_idx, store.test_idx), "several"), label_sets=sets)
    folds = [fold_of(several, 5, number, 0) for number in range(5)]
    assert np.array_equal(np.sort(np.concatenate([fold.val_idx for fold in folds])), pool)
    assert sum({pool[3], pool[7], pool[9]} <= {*fold.val_idx} for fold in folds) == 1
    counts = np.array([fold.counts_C(fold.val_idx) for fold in folds])
    assert counts.sum(0).tolist() == several.counts_C(pool).tolist() and (np.ptp(counts, axis=0) <= 4).all()
    assert not np.array_equal(fold_of(several, 5, 0, 1).val_idx, folds[0].val_idx)
    with pytest.raises(UserError, match="every class must have a picture in each of 90 folds"):
        fold_of(several, 90, 0, 0)


def test_a_store_keeps_the_sets(tmp_path: Path) -> None:
    names = [f"{number}.png" for number in range(40)]
    random = np.random.default_rng(0)
    tags = [[*np.array(["x", "y", "z"])[random.random(3) < 0.5]] for _ in names]
    for name in names:
        (tmp_path / name).write_bytes(png(random.integers(0, 256, (8, 8, 3), np.uint8)))
    (tmp_path / "t.csv").write_text("\n".join(["path,label", *(f"{name},{'|'.join(tag)}" for name, tag in zip(names, tags, strict=True))]))
    data = with_defaults({"source": "manifest", "path": str(tmp_path / "t.csv"), "labels": "many"})
    source, store = source_of(data), Store.open(prepare(data, tmp_path / "cache"))
    assert store.label_sets == source.label_sets and store.label_sets is not None
    plan, has_NK = make_plan(source, data), members_SK(store.label_sets, 3)[store.labels_N]
    assert (store.labels_N == plan.label_N).all() and LEFT_OUT not in plan.code_N
    by_file = [[name for name, has in zip("xyz", row, strict=True) if has] for row in has_NK]
    assert by_file == [tags[names.index(Path(name).name)] for name in source.names("train")]


@pytest.mark.parametrize("is_declared", [False, True])
def test_lists_of_labels_beside_pictures_in_parquet(is_declared: bool, tmp_path: Path) -> None:
    """As Hugging Face's datasets writes a list of ClassLabels, or as a plain list of names; null is no label."""
    tags = [[0, 2], [], [1], None, [2]] if is_declared else [["cat", "sea lion"], [], ["dog"], None, ["sea lion"]]
    pictures = [{"bytes": png(COLOUR[number]), "path": f"{number}.png"} for number in range(5)]
    table = pa.table({"image": pa.array(pictures), "label": pa.array(tags)})
    features = {"label": {"feature": {"names": ["cat", "dog", "sea lion"], "_type": "ClassLabel"}, "_type": "Sequence"}}
    if is_declared:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, tmp_path / "train.parquet")
    data = with_defaults({"source": "parquet", "train": str(tmp_path / "train.parquet"), "labels": "many"})
    source = source_of(data)
    assert list(sets_of(source).values()) == [["cat", "sea lion"], [], ["dog"], ["sea lion"]]
    assert source.class_names == ("cat", "dog", "sea lion") and len(source.set_aside) == 1
    with pytest.raises(UserError, match="must hold texts or integers"):
        source_of({**data, "labels": "one"})
    pq.write_table(pa.table({"image": pictures[:1], "label": [["eel"]]}), tmp_path / "val.parquet")
    if is_declared:
        features["label"]["feature"]["names"] = ["dog", "sea lion"]  # type: ignore[index]
        other = pa.table({"image": pictures[:1], "label": [[1]]}).replace_schema_metadata(
            {"huggingface": json.dumps({"info": {"features": features}})}
        )
        pq.write_table(other, tmp_path / "val.parquet")
        found = source_of({**data, "val": str(tmp_path / "val.parquet")})
        assert [found.class_names[label] for label in found.label_sets[found.labels()["val"][0]]] == ["sea lion"]  # type: ignore[index]
    else:
        with pytest.raises(UserError, match=r"val.parquet: row 0: labels of val must occur in train, but 'eel' does not; put pictures"):
            source_of({**data, "val": str(tmp_path / "val.parquet")})
