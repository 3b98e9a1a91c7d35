"""What is done about sharp minima, around any optimizer. A builder takes the network and `args`, and gives a `Sharpness`."""

from __future__ import annotations

from visiontune.spec.declarations.declare import Arg, Entry, Range, Table

_HERE = "visiontune.training.optim.sharpness_aware"

SHARPNESS = Table(
    "sharpness",
    {
        "none": Entry("gradients are those of the weights as they are", f"{_HERE}:none"),
        "sam": Entry(
            "gradients of the weights moved by sam_rho to where the loss grows fastest: a step takes twice the time (Foret et al. 2021)",
            f"{_HERE}:sam",
            {"sam_rho": Arg(float, "length of the move; the paper's are 0.01 to 0.5", 0.05, 1e-6, 10.0, auto=Range(0.01, 0.5, log=True))},
        ),
        "asam": Entry(
            "SAM whose move is measured in sizes of the weights, so that their scale does not count (Kwon et al. 2021)",
            f"{_HERE}:asam",
            {
                "asam_rho": Arg(
                    float, "length of the move; the paper's best are 0.5 and 1 on CIFAR", 0.5, 1e-6, 100.0, auto=Range(0.1, 2.0, log=True)
                ),
                "asam_eta": Arg(float, "added to each size, against weights that can't move", 0.01, 0.0, 1.0),
            },
        ),
    },
    default="none",
)
