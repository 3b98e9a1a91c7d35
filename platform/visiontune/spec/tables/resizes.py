"""The size of training pictures by epoch. A builder takes image_size, num_epochs and `args`, and gives a function of the epoch, to pixels.

Pictures are made, augmented and preprocessed at data.image_size, and made smaller on the device, before they are mixed.
"""

from __future__ import annotations

from visiontune.spec.declarations.declare import Arg, Entry, Range, Table

RESIZES = Table(
    "resize",
    {
        "none": Entry("every epoch at data.image_size"),
        "progressive": Entry(
            "from one size to another, epoch by epoch; small pictures are quick (Tan & Le 2021), and an end below 1 leaves objects larger "
            "in val and test than in training's last epochs, as crops do the other way round (FixRes, Touvron et al. 2019)",
            "visiontune.training.input.picture_sizes:progressive",
            {
                "resize_from": Arg(float, "side in the first epoch, as a share of image_size", 0.5, 0.1, 1.0, auto=Range(0.5, 1.0)),
                "resize_to": Arg(float, "side in the last", 1.0, 0.1, 1.0, auto=(0.75, 0.875, 1.0)),
                "resize_share": Arg(float, "share of all epochs over which it changes; the rest stay", 0.8, 0.0, 1.0, auto=Range(0.5, 1.0)),
                "resize_multiple": Arg(int, "sides are the nearest multiples of so many pixels, or image_size itself", 8, 1, 256),
            },
        ),
    },
    default="none",
)
