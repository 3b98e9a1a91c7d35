"""Pictures that excite a class or a channel most, by gradient ascent (Olah et al. 2017).

With their regularisers: the picture is a spectrum whose high frequencies are damped by 1/f, its colours are correlated as those of
photographs, and it is moved by a few pixels at each step, so that what it shows does not depend on where it stands. 64 steps of ten
pictures of 16 pixels take 1 s on one core with a network of three convolutions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from visiontune.augmentation.sheet_drawing import Block, Row, draw_sheet
from visiontune.inference.classifier import Classifier
from visiontune.inspection.figure import Picture, enlarged

NUM_STEPS = 64
_LR, _FIRST, _SHIFT = 0.05, 0.3, 1 / 8
_SIDE = 96
# The square root of the covariance of ImageNet's colours, as Lucid has it: mostly light, then blue to orange, then green to purple.
_COLOURS = ((0.26, 0.09, 0.02), (0.27, 0.0, -0.05), (0.27, -0.09, 0.03))


@dataclass(frozen=True)
class Visualisation:
    """`images_NHWC` uint8, one for each of `names`: classes where `layer` is "", or the layer's channels. What was made large was `began_N`
    at first and is `reached_N`.
    """

    layer: str
    names: tuple[str, ...]
    images_NHWC: NDArray[np.uint8]
    began_N: NDArray[np.float32]
    reached_N: NDArray[np.float32]


def of_classes(classifier: Classifier, classes: Sequence[int], num_steps: int = NUM_STEPS, seed: int = 0) -> Visualisation:
    """The logits of these classes, by number."""
    number_N = torch.arange(len(classes))

    def logits_of(x_NCHW: Tensor) -> Tensor:
        logits_NK: Tensor = classifier.network(x_NCHW)
        return logits_NK[number_N, list(classes)]

    names = tuple(classifier.class_names[k] for k in classes)
    return _ascended(classifier, "", names, logits_of, num_steps, seed)


def of_channels(classifier: Classifier, layer: str, channels: Sequence[int], num_steps: int = NUM_STEPS, seed: int = 0) -> Visualisation:
    """The means of these channels over all positions of a layer whose output is (N, channels, size, size)."""
    number_N = torch.arange(len(channels))

    def means_of(x_NCHW: Tensor) -> Tensor:
        kept: list[Tensor] = []
        hook = classifier.network.get_submodule(layer).register_forward_hook(lambda module, args, out: kept.append(out))
        try:
            classifier.network(x_NCHW)
        finally:
            hook.remove()
        return kept[-1].mean((2, 3))[number_N, list(channels)]

    return _ascended(classifier, layer, tuple(map(str, channels)), means_of, num_steps, seed)


def visualisation_sheet(title: str, found: Sequence[Visualisation], label_of: Mapping[str, str]) -> Picture:
    """A row for each layer, classes last; below each picture its class, as `label_of` all of these has it, or channel."""
    rows = []
    for one in found:
        pictures = [enlarged(image_HWC, _SIDE) for image_HWC in one.images_NHWC]
        labels = [*one.names] if one.layer else [label_of[name] for name in one.names]
        rows.append(Row(one.layer or "classes", [[picture] for picture in pictures], captions=[[label] for label in labels]))
    return np.asarray(draw_sheet(title, [Block("pictures that make a channel's mean, or a class's logit, large", rows)]))


def _ascended(
    classifier: Classifier, layer: str, names: tuple[str, ...], objective: Callable[[Tensor], Tensor], num_steps: int, seed: int
) -> Visualisation:
    """One picture for each name; `objective` gives (N,) values to make large of what the network gets."""
    preprocessing, size, device = classifier.preprocessing, classifier.form.image_size, classifier.device
    generator = torch.Generator().manual_seed(seed)
    spectrum = _FIRST * torch.randn((len(names), preprocessing.out_channels, size[0], size[1] // 2 + 1, 2), generator=generator)
    spectrum = spectrum.to(device).requires_grad_()
    most = max(1, round(min(size) * _SHIFT))
    optimizer = torch.optim.Adam([spectrum], lr=_LR)

    def value_of(x_NCHW: Tensor) -> Tensor:
        return objective(preprocessing((255 * x_NCHW).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)).float()

    began: Any = None
    with torch.enable_grad():
        for _ in range(num_steps):
            shift = torch.randint(-most, most + 1, (2,), generator=generator).tolist()
            value_N = value_of(torch.roll(_pixels(spectrum, size), shift, (2, 3)))
            began = value_N.detach().cpu().numpy() if began is None else began
            (spectrum.grad,) = torch.autograd.grad(-value_N.sum(), [spectrum])
            optimizer.step()
    with torch.no_grad():
        x_NCHW = _pixels(spectrum, size)
        reached = value_of(x_NCHW).cpu().numpy()
        images_NHWC = (255 * x_NCHW).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    return Visualisation(layer, names, images_NHWC, began, reached)


def _pixels(spectrum: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, C, H, W) from 0 to 1; a step of a coefficient counts for less the higher its frequency."""
    rows = torch.fft.fftfreq(size[0], device=spectrum.device)[:, None]
    frequency = (rows**2 + torch.fft.rfftfreq(size[1], device=spectrum.device) ** 2).sqrt()
    damped = torch.view_as_complex(spectrum) / frequency.clamp(min=1 / max(size))
    x_NCHW = torch.fft.irfft2(damped, s=size, norm="ortho") / 2
    if x_NCHW.shape[1] == 3:
        colours = torch.tensor(_COLOURS, device=x_NCHW.device)
        x_NCHW = torch.einsum("oc,nchw->nohw", colours / colours.norm(dim=0).max(), x_NCHW)
    return torch.sigmoid(x_NCHW)
