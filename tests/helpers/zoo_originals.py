"""The zoo's outside reference: the same networks as torchvision and timm build them."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from visiontune.spec.tables.models_zoo import ZOO_MODELS

TIMM = {"xception": "legacy_xception", "inception_resnet_v2": "inception_resnet_v2"}
# One member of each family, built small where it can be.
FAMILIES: dict[str, dict[str, object]] = {
    "alexnet": {"stem": "small"},
    "vgg11": {"width_factor": 0.05},
    "vgg11_bn": {"width_factor": 0.05},
    "googlenet": {},
    "inception_v3": {"aux_weight": 0.0},
    "inception_resnet_v2": {},
    "xception": {"stochastic_depth": 0.2},
    "resnet18": {"width_factor": 0.1, "stem": "small", "stochastic_depth": 0.2},
    "resnext50_32x4d": {"width_factor": 0.25, "depth_factor": 0.4},
    "densenet121": {"width_factor": 0.25, "depth_factor": 0.3},
    "efficientnet": {"width_factor": 0.3, "depth_factor": 0.5, "stem": "small", "stochastic_depth": 0.2},
    "mobilenet_v2": {"width_factor": 0.5, "stochastic_depth": 0.2},
    "mobilenet_v3_small": {"width_factor": 0.5, "stochastic_depth": 0.2},
    "mobilenet_v3_large": {"width_factor": 0.5},
    "convnext_tiny": {"width_factor": 0.1, "depth_factor": 0.5, "stochastic_depth": 0.2},
}

_ACTIVATIONS = {"relu", "relu_", "silu", "silu_", "hardswish", "hardswish_", "gelu", "hardtanh_"}


def ours(name: str, num_classes: int = 10, in_channels: int = 3, image_size: int = 96, **args: object) -> nn.Module:
    """The entry's network."""
    network: nn.Module = ZOO_MODELS[name].load()(num_classes=num_classes, in_channels=in_channels, image_size=image_size, **args)
    return network


def original(name: str, num_classes: int = 10) -> nn.Module:
    """The same from torchvision, or from timm where torchvision has it not; nothing dropped. `efficientnet` is their B0."""
    if name in TIMM:
        import timm

        network: nn.Module = timm.create_model(TIMM[name], num_classes=num_classes)
        return network
    import torchvision

    plain = {"init_weights": False} if name in ("googlenet", "inception_v3") or name.startswith("vgg") else {}
    network = getattr(torchvision.models, "efficientnet_b0" if name == "efficientnet" else name)(num_classes=num_classes, **plain)
    for module in network.modules():
        if isinstance(module, nn.Dropout | torchvision.ops.StochasticDepth):
            module.p = 0.0
    return network


def settle(network: nn.Module, x_NCHW: torch.Tensor) -> nn.Module:
    """In eval mode, with the statistics of this batch: with those of a new network, deep ones give next to nothing."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network.train()(x_NCHW)
    return network.eval()


class CountActivations(TorchDispatchMode):
    """Calls of activations that reach torch's dispatcher, by function or by module; those within squeeze-and-excitation aside."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.count, self._is_gate = 0, False
        for module in network.modules():
            if type(module).__name__ == "SqueezeExcitation":
                module.register_forward_pre_hook(lambda *_: self._gate(True))
                module.register_forward_hook(lambda *_: self._gate(False))

    def _gate(self, is_gate: bool) -> None:
        self._is_gate = is_gate

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        self.count += func.overloadpacket.__name__ in _ACTIVATIONS and not self._is_gate
        return func(*args, **(kwargs or {}))
