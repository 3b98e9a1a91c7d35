"""The last lines of Python that shows how to use an export: which class a picture has, or which classes."""

from __future__ import annotations

from visiontune.inference.classifier import Classifier


def answer_lines(classifier: Classifier, logits: str) -> tuple[str, ...]:
    """`logits` is a numpy array or a tensor of one picture, `names` those of the classes."""
    if (at_K := classifier.metadata.thresholds) is None:
        return (f"print(names[int({logits}.argmax())])",)
    return (
        f"thresholds = {[round(at, 6) for at in at_K]}",
        f"print([name for name, z, at in zip(names, {logits}, thresholds) if 1 / (1 + np.exp(-float(z))) >= at])",
    )
