"""GoogLeNet (Szegedy et al. 2015) and Inception-v3 (Szegedy et al. 2016) from torchvision, with activations as modules.

Auxiliary classifiers exist where their weight is above 0, and give scores in training only.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn
from torch.nn import functional as F

from visiontune.models.anatomy import mark, replace
from visiontune.models.architectures.adapting import ConvUnit, chain, fit_stem, instances
from visiontune.spec.declarations.image_size import ImageSize

_GOOGLENET = (
    ("conv1", "maxpool1", "conv2", "conv3", "maxpool2"),
    ("inception3a", "inception3b", "maxpool3"),
    ("inception4a", "inception4b", "inception4c", "inception4d", "inception4e", "maxpool4"),
    ("inception5a", "inception5b"),
)
_INCEPTION_V3 = (
    ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "maxpool1", "Conv2d_3b_1x1", "Conv2d_4a_3x3", "maxpool2"),
    ("Mixed_5b", "Mixed_5c", "Mixed_5d"),
    ("Mixed_6a", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"),
    ("Mixed_7a", "Mixed_7b", "Mixed_7c"),
)
# Auxiliary classifier -> the part whose output it reads.
_GOOGLENET_AUX = {"aux1": "inception4a", "aux2": "inception4d"}
_INCEPTION_V3_AUX = {"AuxLogits": "Mixed_6e"}


class GoogLeNetAux(nn.Module):
    """4 x 4 means, a 1 x 1 convolution and two dense layers; 70 % of the hidden units are dropped, as in the paper."""

    def __init__(self, in_channels: int, num_classes: int, dropout: float = 0.7) -> None:
        super().__init__()
        self.conv = ConvUnit(in_channels, 128, kernel_size=1)
        self.fc1, self.act = nn.Linear(2048, 1024), nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(dropout)
        self.fc2 = nn.Linear(1024, num_classes)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """logits_NK."""
        hidden = self.act(self.fc1(self.conv(F.adaptive_avg_pool2d(x_NCHW, (4, 4))).flatten(1)))
        logits_NK: Tensor = self.fc2(self.dropout(hidden))
        return logits_NK


def googlenet(
    *, num_classes: int, in_channels: int, image_size: ImageSize, stem: str = "large", wide_kernel: int = 3, aux_weight: float = 0.3
) -> nn.Module:
    """6,624,904 parameters, and 13,004,888 with the two auxiliary classifiers.

    In each module the widest convolution is 3 x 3, as in torchvision and its weights; the paper's 5 x 5 has 380,928 parameters more.
    """
    from torchvision.models.googlenet import GoogLeNet, Inception

    blocks = [ConvUnit, partial(Inception, conv_block=ConvUnit), GoogLeNetAux]
    network = GoogLeNet(num_classes, aux_logits=aux_weight > 0, init_weights=False, blocks=blocks)
    if wide_kernel != 3:
        for name in instances(network, Inception):
            replace(network, f"{name}.branch3.1.conv", partial(_widened, kernel=wide_kernel))
    fit_stem(network, "conv1.conv", in_channels, stem, pools=("maxpool1", "maxpool2"))
    return _assembled(network, _GOOGLENET, _GOOGLENET_AUX, aux_weight)


def _widened(old: nn.Module, kernel: int) -> nn.Module:
    assert isinstance(old, nn.Conv2d)
    return nn.Conv2d(old.in_channels, old.out_channels, kernel, padding=kernel // 2, bias=False)


def inception_v3(*, num_classes: int, in_channels: int, image_size: ImageSize, stem: str = "large", aux_weight: float = 0.3) -> nn.Module:
    """23,834,568 parameters, and 27,161,264 with the auxiliary classifier, which needs 17 x 17 positions: those of 299 px."""
    from torchvision.models import inception as source

    mixed = (source.InceptionA, source.InceptionB, source.InceptionC, source.InceptionD, source.InceptionE, source.InceptionAux)
    blocks = [ConvUnit, *(partial(block, conv_block=ConvUnit) for block in mixed)]
    network = source.Inception3(num_classes, aux_logits=aux_weight > 0, init_weights=False, inception_blocks=blocks)
    fit_stem(network, "Conv2d_1a_3x3.conv", in_channels, stem, pools=("maxpool1", "maxpool2"))
    return _assembled(network, _INCEPTION_V3, _INCEPTION_V3_AUX, aux_weight)


def _assembled(network: nn.Module, stages: tuple[tuple[str, ...], ...], branches: dict[str, str], aux_weight: float) -> nn.Module:
    aux = tuple(branches) if aux_weight > 0 else ()
    behind = {branches[name]: name for name in aux}
    names = [name for stage in stages for part in stage for name in (part, *([behind[part]] if part in behind else []))]
    parts = chain(network, (*names, "avgpool", "flatten", "fc"), aux)
    return mark(parts, stages=stages, head="fc", aux_weight=aux_weight, aux=aux)
