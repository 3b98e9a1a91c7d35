"""What becomes of a picture's values before the network. A builder takes (store, colour) and `args`, and gives the values' module."""

from __future__ import annotations

from visiontune.spec.declarations.declare import Arg, Entry, Range, Table

COLOURS = ("stored", "rgb", "grey")
MAX_WHITENED = 4096
"""Values of a picture, height x width x channels: the matrix has their square, 64 MiB, and one thread fits it in half a minute."""

_WHITENING = {
    "whitening_eps": Arg(
        float, "added to each component's variance, of values in [0, 1]", 0.01, 1e-10, 10.0, auto=Range(1e-3, 0.1, log=True)
    )
}

PREPROCESSINGS = Table(
    "preprocessing",
    {
        "standardize": Entry("mean 0 and deviation 1 for each channel", "visiontune.training.input.fit_preprocessing:standardize"),
        "as_pretrained": Entry(
            "as the pretrained weights had it: by their source's statement, or out of their file; under regime scratch standardize",
            "visiontune.training.input.as_pretrained:as_pretrained",
        ),
        "center": Entry("values in [0, 1] less the mean of their channel", "visiontune.training.input.fit_preprocessing:center"),
        "rescale": Entry("values in [0, 1]", "visiontune.training.input.fit_preprocessing:rescale"),
        "pca_whitening": Entry(
            "principal components, each with variance 1, in the place of pixels; for dense layers rather than convolutions",
            "visiontune.training.input.fit_preprocessing:pca_whitening",
            _WHITENING,
        ),
        "zca": Entry(
            "whitened and turned back, so that it still looks like the picture (Bell & Sejnowski 1997)",
            "visiontune.training.input.fit_preprocessing:zca",
            _WHITENING,
        ),
    },
    default="standardize",
)
AS_PRETRAINED = "as_pretrained"
"""The default of a file whose regimes have weights."""


def channels_after(colour: str, channels: int) -> int:
    """Channels that a network gets of stored pictures with `channels`."""
    return {"stored": channels, "rgb": 3, "grey": 1}[colour]
