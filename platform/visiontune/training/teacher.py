"""A trained network whose probabilities another learns from. It sees the pictures of the very step, mixed as they are, in its own scale.

What the student's preprocessing did to a picture's values is undone and the teacher's done: both are linear, so a blend of two pictures
stays one. Shapes: x_NCHW as the student gets it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from visiontune.errors import UserError
from visiontune.models.build import build_model
from visiontune.models.transfer import adapt
from visiontune.spec.declarations.declare import chosen
from visiontune.spec.declarations.image_size import ImageSize, are_alike, pixels
from visiontune.spec.declarations.teacher_files import TeacherFiles, files_of, teachers_of
from visiontune.spec.parse import load_recipe
from visiontune.spec.plugins import in_use
from visiontune.spec.tables.teachers import TEACHERS
from visiontune.training.arithmetic import exactly
from visiontune.training.input.preprocessing import Preprocessing, Scaling, resized
from visiontune.training.loss import Outputs
from visiontune.training.weights_file import load_weights, read_tensors, split_weights

if TYPE_CHECKING:
    from visiontune.data.store.store import DataInfo

Teaching = Callable[[Tensor, Outputs, Tensor], Tensor]
"""(loss of the labels, the student's outputs, x_NCHW) -> the loss that is minimised."""
NEEDS_PICTURES = "a teacher needs pictures, and frozen stages leave only features: transfer.regime must let all stages learn"
NOT_WHITENED = "a teacher needs pictures, which whitening does not leave: preprocessing must be standardize, center or rescale"


def untaught(loss: Tensor, outputs: Outputs, x_NCHW: Tensor) -> Tensor:
    """That of the labels."""
    return loss


def build_teaching(loss: Mapping[str, Any], student: Preprocessing, num_classes: int, device: torch.device) -> Teaching:
    """By the section; `student` is what its pictures went through. Raises UserError for a teacher that can't be had."""
    entry, args = chosen(TEACHERS, loss, "teacher")
    if not entry.builder:
        return untaught
    teaching: Teaching = entry.load()(student=student, num_classes=num_classes, device=device, **args)
    return teaching


def distillation(
    *, student: Preprocessing, num_classes: int, device: torch.device, teacher_from: str, teacher_temperature: float, teacher_share: float
) -> Teaching:
    """(1 - share) * loss + share * T^2 * KL(teacher || student) of scores over T, whose gradients then have the size of the labels'.

    Auxiliary classifiers learn from labels alone.
    """
    network, own = _trained(files_of(teacher_from), num_classes)
    network, own, size = network.to(device).requires_grad_(False), own.to(device), own.values.image_size
    scale_C, shift_C = _scale_and_shift(student, device)

    @torch.no_grad()
    def taught(x_NCHW: Tensor) -> Tensor:
        raw_NHWC = (x_NCHW.permute(0, 2, 3, 1).float() + shift_C) / scale_C
        there_NHWC = resized(raw_NHWC.permute(0, 3, 1, 2), size).permute(0, 2, 3, 1)
        with exactly(device):  # the student may compute in bf16, and a whitening in that would be another one
            seen_NHWC = own(there_NHWC)
        logits_NK: Tensor = network(seen_NHWC.permute(0, 3, 1, 2))
        return (logits_NK.float() / teacher_temperature).log_softmax(1)

    def minimised(loss: Tensor, outputs: Outputs, x_NCHW: Tensor) -> Tensor:
        logits_NK = outputs[0] if isinstance(outputs, tuple) else outputs
        log_p_NK = (logits_NK.float() / teacher_temperature).log_softmax(1)
        distance = F.kl_div(log_p_NK, taught(x_NCHW), log_target=True, reduction="batchmean")
        return (1 - teacher_share) * loss + teacher_share * teacher_temperature**2 * distance

    return minimised


def problem_of_teacher(
    loss: Mapping[str, Any], preprocessing: Mapping[str, Any], info: DataInfo, *, channels: int, use_features: bool
) -> str | None:
    """Why the section's teacher can't teach on such pictures, as one sentence; None if it can. `channels` are those of the student."""
    if not (keys := teachers_of(loss)):
        return None
    if use_features:
        return NEEDS_PICTURES
    if preprocessing["name"] in ("pca_whitening", "zca"):
        return NOT_WHITENED
    return _problem(keys[0], info.class_names, channels, info.image_size, is_grey_made=channels < info.channels)


@lru_cache(maxsize=64)
def _problem(key: str, class_names: tuple[str, ...], channels: int, size: ImageSize, *, is_grey_made: bool) -> str | None:
    from visiontune.data.prepare import describe

    name = key.partition("@")[0]
    try:
        recipe = load_recipe(files_of(key).recipe)
        with in_use(recipe.plugins):
            theirs = describe(recipe.data).class_names
        if theirs != class_names:
            knows, has = (f"{len(names)} ({', '.join(names[:4])}{', ...' if len(names) > 4 else ''})" for names in (theirs, class_names))
            return f"a teacher must know the same classes, but {name} knows {knows}, and these are {has}"
        _, own = _trained(files_of(key), len(class_names))
    except UserError as error:
        return f"the teacher {name}: {error}"
    if not are_alike(seen := own.values.image_size, size):
        rule = f"a teacher must see pictures of the shape that it was trained on, but {name} was on {pixels(seen)} px"
        return f"{rule}, and these have {pixels(size)} px (height x width)"
    if is_grey_made and own.out_channels > channels:
        return f"the teacher {name} was trained on colours, and preprocessing.colour grey leaves none; nearest is stored"
    return None


def _trained(files: TeacherFiles, num_classes: int) -> tuple[nn.Module, Preprocessing]:
    """The network and what its pictures went through, on the CPU. Raises UserError for files that don't belong together."""
    recipe, tensors = load_recipe(files.recipe), read_tensors(files.weights)
    if tensors is None:
        raise UserError(f"the weights {files.weights} can't be read: they are damaged, or no safetensors file")
    try:
        own = Preprocessing.of(split_weights(tensors)[1])
    except KeyError as error:
        raise UserError(f"the weights {files.weights} do not say what their pictures went through") from error
    sizes: dict[str, Any] = {"num_classes": num_classes, "in_channels": own.out_channels, "image_size": own.values.image_size}
    with in_use(recipe.plugins):
        network = adapt(build_model(recipe.model, **sizes), recipe.transfer, recipe.model["name"], **sizes, use_weights=False)
    load_weights(network, files.weights)
    return network.eval(), own


def _scale_and_shift(student: Preprocessing, device: torch.device) -> tuple[Tensor, Tensor]:
    """Of each channel. Raises UserError for what can't be undone."""
    if not isinstance(student.values, Scaling):
        raise UserError(NOT_WHITENED)
    return student.values.scale_WC[0].to(device), student.values.shift_WC[0].to(device)
