"""What a file of weights says of itself: all that it takes to use them, as the strings that safetensors' metadata are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from visiontune.data.file_names import identity
from visiontune.data.picture.bad_picture import BadPicture, Picture, Values
from visiontune.data.picture.depth import Depth, eight_bits
from visiontune.data.picture.stored_form import Form
from visiontune.data.store.store import Store
from visiontune.errors import UserError
from visiontune.filesystem.json_text import from_json
from visiontune.spec.declarations.image_size import sides
from visiontune.spec.declarations.trial_recipe import TrialRecipe

FINGERPRINT, RECIPE, CLASSES, FORM, SPLITS = "recipe.fingerprint", "recipe", "class_names", "pictures", "trained_on"
ORIGINALS, THRESHOLDS = "originals", "thresholds"


@dataclass(frozen=True)
class Originals:
    """What the pictures of training were as they came: `heights` and `widths` in pixels, as an ingest's report has them.

    `has_eight_bits`: all had 8 bits a channel, so that no range of values says what becomes of files with more.
    """

    has_eight_bits: bool
    heights: Mapping[str, int]
    widths: Mapping[str, int]


@dataclass(frozen=True)
class WeightsMetadata:
    """The recipe, the classes in the order of the network's outputs, and how a picture's file becomes what it was trained on.

    `use_val`: the validation pictures were among those of training, so that nothing can be measured with them. `originals` is None where
    they are not known. `thresholds`, by class, are probabilities from which on it is said of a picture; None where pictures have one class.
    `asked_depth`: files with more than 8 bits are mapped as somebody asked who uses the network.
    """

    recipe: TrialRecipe
    class_names: tuple[str, ...]
    form: Form
    use_val: bool = False
    originals: Originals | None = None
    asked_depth: Depth | None = None
    thresholds: tuple[float, ...] | None = None

    @property
    def depth(self) -> Depth | None:
        """Which values of files with more than 8 bits become 0 and 255; None where nothing says so: neither training nor who uses it."""
        if self.asked_depth is not None:
            return self.asked_depth
        return None if self.originals is not None and self.originals.has_eight_bits and not self.is_depth_chosen else self.form.depth

    @property
    def is_depth_chosen(self) -> bool:
        """Whether a person named the range: then it may cut values off."""
        return bool(self.recipe.data.get("depth", "auto") != "auto")

    def mapped(self, values: Values) -> Picture:
        """A decoded picture in 8 bits, as in training. Raises BadPicture where nothing says how."""
        if (depth := self.depth) is None and values.dtype != np.uint8:
            ends = f"values from {values.min():,.0f} to {values.max():,.0f}"
            raise BadPicture(f"has {ends}, and the network's pictures had 8 bits: depth says which become 0 and 255")
        return eight_bits(values, depth or self.form.depth)

    @staticmethod
    def of(recipe: TrialRecipe, store: Store, *, use_val: bool = False, thresholds: tuple[float, ...] | None = None) -> WeightsMetadata:
        """Of weights that were trained on that store."""
        sizes, channels = (sides(store.image_size), sides(store.stored_size)), store.info.channels
        low, high = store.depth
        is_resized, frame = recipe.data.get("image_size") is not None, recipe.data.get("frame", "")
        form = Form("raw", *sizes, channels, is_resized=is_resized, frame=frame, low=low, high=high)
        return WeightsMetadata(recipe, store.class_names, form, use_val, _originals(store), thresholds=thresholds)

    def to_strings(self) -> dict[str, str]:
        """JSON by name."""
        splits = ["train", "val"] if self.use_val else ["train"]
        content: dict[str, Any] = {RECIPE: self.recipe.to_dict(), CLASSES: self.class_names, FORM: self.form.to_json(), SPLITS: splits}
        content |= {} if self.originals is None else {ORIGINALS: asdict(self.originals)}
        content |= {} if self.thresholds is None else {THRESHOLDS: self.thresholds}
        return {FINGERPRINT: self.recipe.fingerprint} | {name: json.dumps(value) for name, value in content.items()}

    @staticmethod
    def from_strings(strings: Mapping[str, str]) -> WeightsMetadata | None:
        """None where they are not those of `to_strings`."""
        try:
            recipe, names, form = (from_json(strings[name]) for name in (RECIPE, CLASSES, FORM))
            if not all(isinstance(section, dict) for name, section in recipe.items() if name != "plugins"):
                return None
            use_val = "val" in from_json(strings.get(SPLITS, "[]"))
            originals = Originals(**from_json(strings[ORIGINALS])) if ORIGINALS in strings else None
            thresholds = tuple(map(float, from_json(strings[THRESHOLDS]))) if THRESHOLDS in strings else None
            known = (TrialRecipe(**recipe), tuple(map(identity, names)), Form.from_json(form), use_val, originals)
            return WeightsMetadata(*known, thresholds=thresholds)
        except (KeyError, TypeError, ValueError, AttributeError):
            return None


def _originals(store: Store) -> Originals | None:
    try:
        report = store.report()
    except UserError:
        return None
    return Originals(report.has_eight_bits, report.heights, report.widths)


def read_metadata(path: Path) -> WeightsMetadata | None:
    """What a file says of itself; None where it says nothing, or there is none that can be read."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            return WeightsMetadata.from_strings(file.metadata() or {})
    except (OSError, SafetensorError):
        return None
