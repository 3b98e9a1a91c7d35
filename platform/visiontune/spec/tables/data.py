"""Sources of pictures. A source's builder takes `args` and gives the pictures, labels and class names, by split."""

from __future__ import annotations

from visiontune.spec.declare import Arg, Entry, Table

SOURCES = Table(
    "source",
    {
        "digits": Entry("1,797 grey 8 x 8 digits that come with scikit-learn", "visiontune.data.sources:digits"),
        "parquet": Entry(
            "Parquet in Hugging Face's image layout: struct<bytes, path> and an integer or string label",
            "visiontune.data.sources:parquet",
            {
                "train": Arg(str, "path of the training file"),
                "test": Arg(str, "path of the test file; without it test_fraction is split off", None),
                "image_column": Arg(str, "name of the column of pictures", "image"),
                "label_column": Arg(str, "name of the column of labels", "label"),
            },
        ),
    },
)
