"""Initialisations of convolutions and linear layers, from an explicit generator.

Each fills weight_OI.. (output units first, then inputs, then the kernel) in place. `gain` is the activation's, used by He's
and the orthogonal only: Glorot's and LeCun's are defined without one. In a convolution of several `groups` a unit feeds the
outputs of its own group alone: they alone count as its fan out, and each group is orthogonal by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import torch
from torch import Generator, Tensor, nn
from torch.nn.modules.conv import _ConvNd

from visiontune.models.norm import NORM_TYPES

Fill = Callable[[Tensor, float, Generator, int], None]


def he_normal(weight: Tensor, gain: float, generator: Generator, groups: int = 1, fan: str = "in") -> None:
    """Variance gain^2 / fan_in, or gain^2 / fan_out (He et al. 2015)."""
    weight.normal_(0.0, gain * _fan(weight, groups, fan) ** -0.5, generator=generator)


def he_uniform(weight: Tensor, gain: float, generator: Generator, groups: int = 1, fan: str = "in") -> None:
    """The same variance, uniform."""
    _uniform(weight, gain * _fan(weight, groups, fan) ** -0.5, generator)


def glorot_normal(weight: Tensor, gain: float, generator: Generator, groups: int = 1) -> None:
    """Variance 2 / (fan_in + fan_out) (Glorot & Bengio 2010)."""
    weight.normal_(0.0, (2 / sum(_fans(weight, groups))) ** 0.5, generator=generator)


def glorot_uniform(weight: Tensor, gain: float, generator: Generator, groups: int = 1) -> None:
    """Variance 2 / (fan_in + fan_out), uniform."""
    _uniform(weight, (2 / sum(_fans(weight, groups))) ** 0.5, generator)


def lecun_normal(weight: Tensor, gain: float, generator: Generator, groups: int = 1) -> None:
    """Variance 1 / fan_in (LeCun et al. 1998, "Efficient BackProp")."""
    weight.normal_(0.0, _fan(weight, groups, "in") ** -0.5, generator=generator)


def lecun_uniform(weight: Tensor, gain: float, generator: Generator, groups: int = 1) -> None:
    """Variance 1 / fan_in, uniform."""
    _uniform(weight, _fan(weight, groups, "in") ** -0.5, generator)


def orthogonal(weight: Tensor, gain: float, generator: Generator, groups: int = 1) -> None:
    """Rows W W^T = gain^2 I, or columns W^T W = gain^2 I where there are more rows, of the weight as a matrix (Saxe et al. 2014)."""
    rows, columns = weight.shape[0] // groups, weight[0].numel()
    square = torch.empty(groups, rows, columns).normal_(0.0, 1.0, generator=generator)
    q, r = torch.linalg.qr(square if rows >= columns else square.mT)
    q *= r.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)  # QR's own signs would not be uniform (Mezzadri 2007)
    weight.copy_(gain * (q if rows >= columns else q.mT).reshape(weight.shape))


def constant_normal(weight: Tensor, gain: float, generator: Generator, groups: int = 1, init_std: float = 0.01) -> None:
    """Variance init_std^2 in every layer."""
    weight.normal_(0.0, init_std, generator=generator)


def constant_uniform(weight: Tensor, gain: float, generator: Generator, groups: int = 1, init_std: float = 0.01) -> None:
    """Variance init_std^2 in every layer, uniform."""
    _uniform(weight, init_std, generator)


def truncated_normal(weight: Tensor, gain: float, generator: Generator, groups: int = 1, init_std: float = 0.02) -> None:
    """Normal of standard deviation init_std, cut at two of them: variance .774 init_std^2."""
    nn.init.trunc_normal_(weight, 0.0, init_std, -2 * init_std, 2 * init_std, generator=generator)


@torch.no_grad()
def initialise(network: nn.Module, fill: Fill, gain: float, generator: Generator, heads: Collection[nn.Module] = ()) -> None:
    """Fill the weights of every convolution and linear layer, those of `heads` with a gain of 1; biases become 0, normalisations 1 and 0.

    Other parameters stay as built: a PReLU's slope, ConvNeXt's layer scale.
    """
    for module in network.modules():
        if isinstance(module, _ConvNd | nn.Linear):
            fill(module.weight, 1.0 if module in heads else gain, generator, getattr(module, "groups", 1))
            if module.bias is not None:
                module.bias.zero_()
        elif isinstance(module, NORM_TYPES):
            module.reset_parameters()


@torch.no_grad()
def zero_gamma(network: nn.Module) -> int:
    """Scale the last normalisation of each residual branch by 0, so that it begins as nothing (Goyal et al. 2017); gives their number.

    A block of this package names that normalisation, or the branch whose last one it is, in `last_norm`; those of torchvision's and
    timm's blocks are in _LAST_NORMS. A branch that ends in a convolution names that in `last_conv`, and its weights become 0, as
    timm's zero_init_last has it: behind its last normalisation comes an activation, and ReLU's slope at 0 is 0, so a scale of 0 there
    would be for ever. Raises ValueError where the network has none.
    """
    ends = [end for end in map(_end_of_branch, network.modules()) if end is not None]
    for end in ends:
        end.weight.zero_()  # type: ignore[operator]
    if not ends:
        rule = "use_zero_gamma needs residual branches that end in a normalisation, as those of the ResNets, WideResNets"
        raise ValueError(f"{rule}, MobileNets, EfficientNets and of cnn with block residual do, unless norm is none")
    return len(ends)


# Of blocks in torchvision and timm.
_LAST_NORMS = {"BasicBlock": "bn2", "Bottleneck": "bn3", "InvertedResidual": "block", "MBConv": "block", "Block": "rep"}


def _end_of_branch(block: nn.Module) -> nn.Module | None:
    if (conv := getattr(block, "last_conv", None)) is not None:
        return block.get_submodule(conv)
    name = getattr(block, "last_norm", None) or _LAST_NORMS.get(type(block).__name__)
    if name is None or not getattr(block, "use_res_connect", True):
        return None
    if name not in dict(block.named_modules()):  # another library's block of that name
        return None
    norms = [module for module in block.get_submodule(name).modules() if isinstance(module, NORM_TYPES)]
    return norms[-1] if norms else None


def _fan(weight: Tensor, groups: int, fan: str) -> int:
    if fan not in ("in", "out"):
        raise ValueError(f"fan must be 'in' or 'out', got {fan!r}")
    return _fans(weight, groups)[fan == "out"]


def _fans(weight: Tensor, groups: int) -> tuple[int, int]:
    kernel = weight[0, 0].numel()
    return weight.shape[1] * kernel, weight.shape[0] // groups * kernel


def _uniform(weight: Tensor, std: float, generator: Generator) -> None:
    bound = 3**0.5 * std  # a uniform of half-width b has variance b^2 / 3
    weight.uniform_(-bound, bound, generator=generator)
