"""What a network learns from beside labels. A builder takes (student, num_classes, device) and `args`, and gives `Teaching`."""

from __future__ import annotations

from visiontune.spec.declarations.declare import Arg, Entry, Range, Table
from visiontune.spec.declarations.teacher_files import settle_teacher

TEACHERS = Table(
    "teacher",
    {
        "none": Entry("labels alone"),
        "distillation": Entry(
            "a trained network's probabilities too (Hinton et al. 2015), for the same augmented and mixed pictures (Beyer et al. 2022)",
            "visiontune.training.teacher:distillation",
            {
                "teacher_from": Arg(
                    str,
                    "a study's folder, for its winner, or a recipe NAME.yaml with NAME.safetensors beside it; on the same classes",
                    settle=settle_teacher,
                ),
                "teacher_temperature": Arg(
                    float, "both networks' scores are divided by it, and the term times its square", 4.0, 0.1, 100.0, auto=Range(1.0, 10.0)
                ),
                "teacher_share": Arg(float, "of the loss, the rest being that of the labels", 0.9, 0.0, 1.0, auto=Range(0.1, 1.0)),
            },
        ),
    },
    default="none",
)
