"""What a file of weights says of itself: all that it takes to use them, as the strings that safetensors' metadata are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from visiontune.data.file_names import identity
from visiontune.data.picture.stored_form import Form
from visiontune.data.store.store import Store
from visiontune.spec.image_size import sides
from visiontune.spec.trial_recipe import TrialRecipe

FINGERPRINT, RECIPE, CLASSES, FORM, SPLITS = "recipe.fingerprint", "recipe", "class_names", "pictures", "trained_on"


@dataclass(frozen=True)
class WeightsMetadata:
    """The recipe, the classes in the order of the network's outputs, and how a picture's file becomes what it was trained on.

    `use_val`: the validation pictures were among those of training, so that nothing can be measured with them.
    """

    recipe: TrialRecipe
    class_names: tuple[str, ...]
    form: Form
    use_val: bool = False

    @staticmethod
    def of(recipe: TrialRecipe, store: Store, *, use_val: bool = False) -> WeightsMetadata:
        """Of weights that were trained on that store."""
        sizes, channels = (sides(store.image_size), sides(store.stored_size)), store.info.channels
        low, high = store.depth
        is_resized, frame = recipe.data.get("image_size") is not None, recipe.data.get("frame", "")
        form = Form("raw", *sizes, channels, is_resized=is_resized, frame=frame, low=low, high=high)
        return WeightsMetadata(recipe, store.class_names, form, use_val)

    def to_strings(self) -> dict[str, str]:
        """JSON by name."""
        splits = ["train", "val"] if self.use_val else ["train"]
        content = {RECIPE: self.recipe.to_dict(), CLASSES: self.class_names, FORM: self.form.to_json(), SPLITS: splits}
        return {FINGERPRINT: self.recipe.fingerprint} | {name: json.dumps(value) for name, value in content.items()}

    @staticmethod
    def from_strings(strings: Mapping[str, str]) -> WeightsMetadata | None:
        """None where they are not those of `to_strings`."""
        try:
            recipe, names, form = (json.loads(strings[name]) for name in (RECIPE, CLASSES, FORM))
            use_val = "val" in json.loads(strings.get(SPLITS, "[]"))
            return WeightsMetadata(TrialRecipe(**recipe), tuple(map(identity, names)), Form.from_json(form), use_val)
        except (KeyError, TypeError, ValueError):
            return None


def read_metadata(path: Path) -> WeightsMetadata | None:
    """What a file says of itself; None where it says nothing, or there is none that can be read."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            return WeightsMetadata.from_strings(file.metadata() or {})
    except (OSError, SafetensorError):
        return None
