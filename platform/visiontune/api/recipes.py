"""One recipe by itself: `load_recipe`, `train` epoch by epoch, `fit` to its end; what its network costs: `profile`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

from visiontune.api.inputs import File, Folder, OutFile, recipe_of, words
from visiontune.filesystem.given_paths import given_path
from visiontune.filesystem.study_folder import StudiesFolder
from visiontune.spec.declarations.call_ranges import MANY, refuse_outside
from visiontune.spec.declarations.image_size import image_size as size_of

if TYPE_CHECKING:
    from visiontune.models.profile import Profile
    from visiontune.spec.declarations.trial_recipe import TrialRecipe
    from visiontune.training.loop import Epoch
    from visiontune.training.train_recipe import Result


def load_recipe(recipe: File | TrialRecipe, overrides: Sequence[str] = (), **more: Any) -> TrialRecipe:
    """A recipe out of its file or a mapping, every default filled in. Raises UserError."""
    return recipe_of(recipe, overrides, more)


def train(
    recipe: File | TrialRecipe,
    overrides: Sequence[str] = (),
    *,
    device: str = "auto",
    workers: int = 1,
    studies_dir: Folder = None,
    **more: Any,
) -> Iterator[Epoch]:
    """Train one recipe without Ray and MLflow; an item for each epoch, with its metrics and the live model.

    `device` is auto, cpu or cuda. So many `workers`, on GPUs one on each, share every batch: the same training in less time. Raises
    UserError for data or a device that can't be used, Diverged where the loss is NaN or infinite, LostRank where a worker ended. How many
    pictures there are and what was set aside is logged before. Where memory runs out it goes on once with half the micro-batch, and logs
    a warning; UserError where that is too large too.
    """
    from visiontune.training.train_recipe import train_recipe

    return train_recipe(recipe_of(recipe, overrides, more), StudiesFolder.of(studies_dir).data_cache, device=device, workers=workers)


def fit(
    recipe: File | TrialRecipe,
    overrides: Sequence[str] = (),
    *,
    device: str = "auto",
    workers: int = 1,
    out: OutFile = None,
    test_time: str = "none",
    on_epoch: Callable[[Epoch], object] = lambda epoch: None,
    say: Callable[[str], object] | None = None,
    studies_dir: Folder = None,
    **more: Any,
) -> Result:
    """Train one recipe to its end and evaluate it on the test split once; `out` is a file for the weights, as safetensors.

    Beside it lie checkpoints, one a minute, until it is there: after a kill the same call goes on from the newest.

    With `test_time` flip or ten_crops the result has test_top1_flip or test_top1_ten_crops too: by mean probabilities over such views.
    `say` is told before the training how many pictures there are and what was set aside; else that is logged. `on_epoch` is called with
    each epoch that is trained. Raises what `train` does, and UserError for an `out` that can't be written: before the
    training, or after it where the disk has become full meanwhile.
    """
    from visiontune.training.train_recipe import fit_recipe

    to, cache = given_path(out, "out"), StudiesFolder.of(studies_dir).data_cache
    how: dict[str, Any] = {"device": device, "workers": workers, "out": to, "test_time": test_time, "on_epoch": on_epoch}
    how |= {} if say is None else {"say": say}
    return fit_recipe(recipe_of(recipe, overrides, more), cache, **how)


def profile(
    model: str,
    overrides: Sequence[str] = (),
    *,
    image_size: int | tuple[int, int],
    num_classes: int,
    in_channels: int = 3,
    batch_size: int = 64,
    **more: Any,
) -> Profile:
    """What a network costs, layer by layer: parameters, multiply-adds, memory, receptive field. Overrides are of its section `model`.

    Raises UserError for a model that is unknown or does not fit such pictures, and for sizes and counts that are not from 1 to a million.
    `image_size` in pixels: a square's side, or (height, width).
    """
    is_pair = isinstance(image_size, tuple | list) and len(image_size) == 2
    height, width = cast("tuple[int, int]", image_size if is_pair else (image_size, image_size))
    refuse_outside(MANY, image_size=height, num_classes=num_classes, in_channels=in_channels, batch_size=batch_size)
    refuse_outside(MANY, image_size=width)
    from visiontune.spec.parse import load_model

    section = load_model(model, words(overrides, more))
    from visiontune.models.profile import profile as profile_of

    sizes: dict[str, Any] = {"num_classes": num_classes, "in_channels": in_channels, "image_size": size_of((height, width))}
    return profile_of(section, **sizes, batch_size=batch_size)
