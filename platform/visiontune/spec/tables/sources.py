"""Sources of pictures. A builder takes `args` and gives a `data.source.Source`: pictures, labels and class names of train, val and test."""

from __future__ import annotations

from visiontune.spec.declare import Arg, Entry, Table

_PATH = "a path, or a URI that pyarrow or fsspec opens (s3://, gs://, file://)"
_CROPS = {
    "use_crops": Arg(bool, "a picture for each annotated object; false: one for each file, whose objects are all of one class", True),
    "crop_margin": Arg(float, "share of a box's longer side that is kept around it", 0.1, 0.0, 10.0),
}
_READERS = "visiontune.data.readers"

SOURCES = Table(
    "source",
    {
        "digits": Entry("1,797 grey 8 x 8 digits that come with scikit-learn", f"{_READERS}.digits:digits"),
        "parquet": Entry(
            "Parquet in Hugging Face's image layout: struct<bytes, path> and an integer or string label",
            f"{_READERS}.parquet:parquet",
            {
                "train": Arg(str, "the training file, a folder of files, or a pattern (data/train-*.parquet)"),
                "val": Arg(str, "the same for validation; without it val_fraction is split off", None),
                "test": Arg(str, "the same for the test; without it test_fraction is split off", None),
                "image_column": Arg(str, "name of the column of pictures", "image"),
                "label_column": Arg(str, "name of the column of labels", "label"),
            },
        ),
        "folder": Entry(
            "a folder for each class, with or without folders train, val and test above",
            f"{_READERS}.folder:folder",
            {"path": Arg(str, f"the folder above: {_PATH}")},
        ),
        "manifest": Entry(
            "a CSV, TSV or Parquet table of paths and labels",
            f"{_READERS}.manifest:manifest",
            {
                "path": Arg(str, f"the table: {_PATH}"),
                "images": Arg(str, "folder that the paths start from; without it the table's own", None),
                "path_column": Arg(str, "name of the column of paths", "path"),
                "label_column": Arg(str, "name of the column of labels", "label"),
                "split_column": Arg(str, "name of the column that says train, val or test; a table may do without `split`", "split"),
                "group_column": Arg(str, "name of a column: rows with the same value stay together in the split", None),
            },
        ),
        "voc": Entry(
            "Pascal VOC's XML, as LabelImg writes it: annotated objects",
            f"{_READERS}.annotations.voc:voc",
            {"path": Arg(str, f"the folder of pictures and XML files: {_PATH}"), **_CROPS},
        ),
        "coco": Entry(
            "COCO's JSON: annotated objects",
            f"{_READERS}.annotations.coco:coco",
            {
                "annotations": Arg(str, f"the JSON file: {_PATH}"),
                "images": Arg(str, "folder of the pictures; without it the JSON file's own", None),
                **_CROPS,
            },
        ),
        "labelme": Entry(
            "LabelMe's JSON: annotated objects",
            f"{_READERS}.annotations.labelme:labelme",
            {"path": Arg(str, f"the folder of pictures and JSON files: {_PATH}"), **_CROPS},
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
