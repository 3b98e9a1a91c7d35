"""Sources of pictures. A builder takes `args` and gives a `data.source.Source`: pictures, labels and class names of train, val and test."""

from __future__ import annotations

from visiontune.spec.declarations.declare import Arg, Entry, Items, Table
from visiontune.spec.declarations.label_pattern import settle_label_pattern
from visiontune.spec.tables.several_labels import MANY, ONE

_PATH = "a path, or a URI that pyarrow or fsspec opens (s3://, gs://, file://)"
_LABELS = {
    "labels": Arg(str, "classes of a picture: one; or many for any number of them, none too (multi-label)", ONE, choices=(ONE, MANY))
}
_CROPS = {
    "use_crops": Arg(bool, "a picture for each annotated object; false: one for each file, whose objects are all of one class", True),
    "crop_margin": Arg(float, "share of a box's longer side that is kept around it", 0.1, 0.0, 10.0),
    **_LABELS,
}
_EXCLUDE = {
    "exclude": Items(
        'left out: names of files and folders at any depth ("*_mask.png", thumbs), or paths with "/" from the folder above (train/old/*)',
        item=Arg(str, "a shell's pattern"),
    )
}
_READERS = "visiontune.data.readers"

SOURCES = Table(
    "source",
    {
        "digits": Entry("1,797 grey 8 x 8 digits that come with scikit-learn", f"{_READERS}.digits:digits"),
        "parquet": Entry(
            "Parquet in Hugging Face's image layout, struct<bytes, path>, or pandas' binary, and integer or string labels or lists",
            f"{_READERS}.parquet:parquet",
            {
                "train": Arg(str, "the training file, a folder of files, or a pattern (data/train-*.parquet)"),
                "val": Arg(str, "the same for validation; without it val_fraction is split off", None),
                "test": Arg(str, "the same for the test; without it test_fraction is split off", None),
                "image_column": Arg(str, "name of the column of pictures", "image"),
                "label_column": Arg(str, "name of the column of labels", "label"),
                **_LABELS,
            },
        ),
        "saved_dataset": Entry(
            "what Hugging Face's save_to_disk wrote: Arrow files, in a folder for each split if there are several",
            f"{_READERS}.saved_dataset:saved_dataset",
            {
                "path": Arg(str, f"the folder: {_PATH}"),
                "image_column": Arg(str, "name of the column of pictures", "image"),
                "label_column": Arg(str, "name of the column of labels", "label"),
                **_LABELS,
            },
        ),
        "folder": Entry(
            "a folder for each class, with or without folders train, val and test above",
            f"{_READERS}.folder:folder",
            {
                "path": Arg(str, f"the folder above: {_PATH}"),
                "class_depth": Arg(
                    int, "folders that make a class, joined by /; leaf: all of them; without it the first one", None, 1, 9, also=("leaf",)
                ),
                "label_from": Arg(
                    str,
                    "where a picture's class stands: in its folders, in its file's name, or in a text beside it (a.jpg and a.txt)",
                    "folder",
                    choices=("folder", "name", "text"),
                ),
                "label_pattern": Arg(
                    str,
                    "regular expression whose group is the class in a file's name; without it all before a last number: cat of cat.0.jpg",
                    None,
                    settle=settle_label_pattern,
                ),
                **_LABELS,
                **_EXCLUDE,
            },
        ),
        "manifest": Entry(
            "a CSV, TSV, JSONL or Parquet table of paths and labels",
            f"{_READERS}.manifest:manifest",
            {
                "path": Arg(str, f"the table: {_PATH}"),
                "val": Arg(str, "a table of the validation pictures, if they have one of their own", None),
                "test": Arg(str, "the same for the test", None),
                "images": Arg(str, "folder that the paths start from; without it the table's own", None),
                "path_column": Arg(str, "name of the column of paths", "path"),
                "label_column": Arg(str, "name of the column of labels", "label"),
                "label_columns": Items("in place of label_column: a column for each class, 1 in its rows and else 0", item=Arg(str, "")),
                "split_column": Arg(str, "name of the column that says train, val or test; a table may do without `split`", "split"),
                "group_column": Arg(str, "name of a column: rows with the same value stay together in the split", None),
                "suffix": Arg(str, "is added to each path, such as .jpg; without it a name that only one picture has will do", None),
                "vote": Arg(
                    str,
                    "of rows of one picture that have different labels. refuse: it is set aside as bad; majority: most rows decide, "
                    "a tie is set aside",
                    "refuse",
                    choices=("refuse", "majority"),
                ),
                **_LABELS,
                "label_separator": Arg(
                    str,
                    "of many: what parts the classes in label_column, where it holds no lists; without it the first of | ; , there",
                    None,
                ),
            },
        ),
        "voc": Entry(
            "Pascal VOC's XML, as LabelImg writes it: annotated objects",
            f"{_READERS}.annotations.voc:voc",
            {"path": Arg(str, f"the folder of pictures and XML files: {_PATH}"), **_CROPS, **_EXCLUDE},
        ),
        "coco": Entry(
            "COCO's JSON: annotated objects",
            f"{_READERS}.annotations.coco:coco",
            {
                "annotations": Arg(str, f"the JSON file, or a folder of several, which may be parts: {_PATH}"),
                "images": Arg(str, "folder of the pictures; without it that of the JSON", None),
                **_CROPS,
                **_EXCLUDE,
            },
        ),
        "labelme": Entry(
            "LabelMe's JSON: annotated objects",
            f"{_READERS}.annotations.labelme:labelme",
            {"path": Arg(str, f"the folder of pictures and JSON files: {_PATH}"), **_CROPS, **_EXCLUDE},
        ),
        "yolo": Entry(
            "YOLO's text files, with data.yaml or a list of classes: annotated objects",
            f"{_READERS}.annotations.yolo:yolo",
            {"path": Arg(str, f"the folder of pictures and labels, or its data.yaml: {_PATH}"), **_CROPS, **_EXCLUDE},
        ),
        "cvat": Entry(
            "CVAT's XML (CVAT for images 1.1): annotated objects, or tags of whole pictures",
            f"{_READERS}.annotations.cvat:cvat",
            {
                "annotations": Arg(str, f"the XML file: {_PATH}"),
                "images": Arg(str, "folder of the pictures; without it the XML file's own", None),
                **_CROPS,
                **_EXCLUDE,
            },
        ),
        "label_studio": Entry(
            "Label Studio's JSON or JSON-MIN: annotated objects, or choices for whole pictures",
            f"{_READERS}.annotations.label_studio:label_studio",
            {
                "annotations": Arg(str, f"the JSON file: {_PATH}"),
                "images": Arg(str, "folder of the pictures; without it the JSON file's own", None),
                "control": Arg(str, "name of the control whose labels count; without it all", None),
                **_CROPS,
                **_EXCLUDE,
            },
        ),
        "webdataset": Entry(
            "WebDataset's shards: tar files of pictures and labels, 0001.jpg and 0001.cls",
            f"{_READERS}.webdataset:webdataset",
            {
                "train": Arg(str, "a shard, a folder of them, or a pattern (train-{000000..000099}.tar, train-*.tar)"),
                "val": Arg(str, "the same for validation; without it val_fraction is split off", None),
                "test": Arg(str, "the same for the test; without it test_fraction is split off", None),
                "image_suffix": Arg(str, "what the name of a picture ends with after its first dot; without it any picture's", None),
                "label_suffix": Arg(str, "the same of its label; without it cls, json (if it has the field) or txt", None),
                "label_field": Arg(str, "of labels in JSON: the field", "label"),
                "class_names": Arg(str, "a file with the names of labels that are numbers from 0: a line each, or JSON", None),
                **_LABELS,
            },
        ),
        "torchvision": Entry(
            "a data set that torchvision knows by name",
            f"{_READERS}.torchvision_datasets:torchvision",
            {
                "dataset": Arg(str, "which", choices=("CIFAR10", "CIFAR100", "MNIST", "FashionMNIST", "SVHN", "STL10", "ImageNet")),
                "root": Arg(str, "folder of its files; for ImageNet the one that holds train/ and val/"),
                "use_download": Arg(bool, "fetch what is missing", False),
            },
        ),
    },
)
