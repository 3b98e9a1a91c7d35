"""Which part of a picture a network's answer rests on: Grad-CAM (Selvaraju et al. 2017) and occlusion (Zeiler & Fergus 2014), by captum.

Maps are (N, H, W) float32 of the pictures' size, 0 where nothing speaks for the class, 1 where most does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from visiontune.augmentation.sheet_drawing import Block, Row, draw_sheet
from visiontune.inference.classifier import Classifier
from visiontune.inspection.feature_maps import inputs_of
from visiontune.inspection.figure import Picture, enlarged, heated
from visiontune.inspection.mistakes import Mistake, short_name

Maps = NDArray[np.float32]

_TILE = 128


@dataclass(frozen=True)
class Attribution:
    """Of one picture: what speaks for the class that it is taken for, and by Grad-CAM for its own; `cam`s are None without a layer."""

    answer: Mistake
    image_HWC: Picture
    cam_HW: Maps | None
    true_cam_HW: Maps | None
    occlusion_HW: Maps


def grad_cam(classifier: Classifier, images_NHWC: NDArray[np.uint8], classes_N: Sequence[int], layer: str) -> Maps:
    """For these classes, of the module of that name; each map divided by its highest value."""
    from captum.attr import LayerGradCam

    with torch.enable_grad():
        explain = LayerGradCam(classifier.network, classifier.network.get_submodule(layer))
        x_NCHW = inputs_of(classifier, images_NHWC).requires_grad_()
        found_N1HW = explain.attribute(x_NCHW, target=list(classes_N), relu_attributions=True)
    return _scaled(found_N1HW.detach().float(), images_NHWC.shape[1:3])


def occlusion(classifier: Classifier, images_NHWC: NDArray[np.uint8], classes_N: Sequence[int]) -> Maps:
    """How much the logits of these classes fall where a square of middle grey hides a quarter of the shorter side; steps are half of it."""
    from captum.attr import Occlusion

    size, channels = images_NHWC.shape[1:3], images_NHWC.shape[3]
    window = max(1, round(min(size) / 4))
    stride = max(1, window // 2)
    x_NCHW = torch.from_numpy(np.array(images_NHWC)).permute(0, 3, 1, 2).float()

    def logits_of(pixels_NCHW: Tensor) -> Tensor:
        x_NHWC = pixels_NCHW.to(classifier.device).permute(0, 2, 3, 1).contiguous()
        logits_NK: Tensor = classifier.network(classifier.preprocessing(x_NHWC).permute(0, 3, 1, 2)).float().cpu()
        return logits_NK

    with torch.no_grad():
        found_NCHW = Occlusion(logits_of).attribute(
            x_NCHW,
            target=list(classes_N),
            sliding_window_shapes=(channels, window, window),
            strides=(channels, stride, stride),
            baselines=128.0,
        )
    return _scaled(found_NCHW.mean(1, keepdim=True).float().clamp(min=0), size)


def attributions(classifier: Classifier, images_NHWC: NDArray[np.uint8], found: Sequence[Mistake], layer: str | None) -> list[Attribution]:
    """Of pictures and what the network said of them."""
    number = {name: place for place, name in enumerate(classifier.class_names)}
    taken_N, true_N = [number[one.taken] for one in found], [number[one.true] for one in found]
    occluded_NHW = occlusion(classifier, images_NHWC, taken_N)
    none: list[Maps | None] = [None] * len(found)
    cam_N, true_cam_N = (none if layer is None else [*grad_cam(classifier, images_NHWC, k_N, layer)] for k_N in (taken_N, true_N))
    columns = (found, images_NHWC, cam_N, true_cam_N, occluded_NHW)
    return [Attribution(*row) for row in zip(*columns, strict=True)]


def attribution_sheet(
    title: str, right: Sequence[Attribution], wrong: Sequence[Attribution], name_of: Mapping[int, str], label_of: Mapping[str, str]
) -> Picture:
    """A row for each picture: as it is, Grad-CAM, occlusion, and for a wrong one Grad-CAM for its own class."""
    blocks = []
    for head, found in (("right", right), ("wrong", wrong)):
        if found:
            has_cam = found[0].cam_HW is not None
            cam = ["Grad-CAM, own"] if found is wrong and has_cam else []
            heads = ["picture", *(["Grad-CAM"] if has_cam else []), "occlusion", *cam]
            blocks.append(Block(head, [_row(one, name_of, label_of, is_wrong=found is wrong) for one in found], heads))
    return np.asarray(draw_sheet(title, blocks))


def _row(one: Attribution, name_of: Mapping[int, str], label_of: Mapping[str, str], *, is_wrong: bool) -> Row:
    answer = one.answer
    maps = [one.cam_HW, one.occlusion_HW, one.true_cam_HW if is_wrong else None]
    pictures = [enlarged(one.image_HWC, _TILE), *(_heat(one.image_HWC, heat_HW) for heat_HW in maps if heat_HW is not None)]
    said = f"{label_of[answer.true]} → {label_of[answer.taken]}" if is_wrong else label_of[answer.true]
    return Row(f"{said} {answer.probability:.2f}", [[picture] for picture in pictures], short_name(name_of[answer.row]))


def _heat(image_HWC: Picture, heat_HW: Maps) -> Picture:
    large_HWC = enlarged(image_HWC, _TILE)
    heat_11HW = torch.from_numpy(heat_HW)[None, None]
    return heated(large_HWC, F.interpolate(heat_11HW, size=large_HWC.shape[:2], mode="bilinear")[0, 0].numpy())


def _scaled(x_N1HW: Tensor, size: tuple[int, ...]) -> Maps:
    """To the pictures' size and each to a highest value of 1."""
    large_NHW = F.interpolate(x_N1HW.cpu(), size=size, mode="bilinear")[:, 0]
    highest_N11 = large_NHW.amax((1, 2), keepdim=True).clamp(min=1e-12)
    return np.asarray((large_NHW / highest_N11).numpy())
