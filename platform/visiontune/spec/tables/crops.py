"""Crops of training pictures before any policy. A builder takes the entry's arguments and gives a policy's first step."""

from __future__ import annotations

from visiontune.spec.declarations.declare import Arg, Entry, Range, Table

CROPS = Table(
    "crop",
    {
        "none": Entry("pictures as the frame shows them"),
        "random_resized": Entry(
            "a random part of the whole picture scaled to the training size, before any policy (Szegedy et al. 2015); "
            "its defaults are those of torchvision's RandomResizedCrop",
            "visiontune.augmentation.resized_crop:random_resized",
            {
                "crop_scale_min": Arg(float, "the least share of the picture's area", 0.08, 0.01, 1.0, auto=Range(0.08, 1.0)),
                "crop_scale_max": Arg(float, "the largest", 1.0, 0.01, 1.0),
                "crop_ratio_min": Arg(float, "the least width by height of the crop; drawn by its logarithm", 3 / 4, 0.1, 10.0),
                "crop_ratio_max": Arg(float, "the largest", 4 / 3, 0.1, 10.0),
            },
        ),
    },
    default="none",
)
