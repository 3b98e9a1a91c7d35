"""How a recipe computes on a device: precision of the forward pass, TF32, kernels. Training and every evaluation compute the same way.

Torch's flags are the process's, which trains other recipes too: `set_flags` sets them for a block and puts them back.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from visiontune.errors import UserError, first_line

PRECISIONS = {"bf16": torch.bfloat16, "fp16": torch.float16}
"""Those that are autocast's."""
# Without it cuBLAS takes turns between workspaces and sums in another order. Read once, at the process's first product.
_WORKSPACE = ("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
_NOT_DETERMINISTIC = ("deterministic implementation", "not deterministic because")


@dataclass(frozen=True)
class Arithmetic:
    """`precision` is fp32, tf32, bf16 or fp16; fp32 is full everywhere, tf32 rounds factors of convolutions and linear layers to 10 bits.

    `use_deterministic` takes kernels that give the same bits each time, at their cost; otherwise the fastest of cuDNN's are measured.
    """

    device: torch.device
    precision: str = "fp32"
    use_deterministic: bool = False

    @staticmethod
    def of(training: Mapping[str, Any], device: torch.device) -> Arithmetic:
        """That of a recipe's section; `auto` is bf16 where the GPU has units for it, else fp32; so is tf32 where no GPU rounds to it."""
        if device.type == "cuda":
            os.environ.setdefault(*_WORKSPACE)  # for every recipe: a later one of this process may be deterministic
        precision = training["precision"]
        if precision == "auto":
            has_bf16 = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
            precision = "bf16" if has_bf16 else "fp32"
        if precision == "tf32" and (device.type != "cuda" or torch.cuda.get_device_capability(device) < (8, 0)):
            precision = "fp32"
        return Arithmetic(device, precision, training["use_deterministic"])

    @property
    def how(self) -> str:
        """In words."""
        return f"{self.precision} on {self.device.type}{', deterministic' if self.use_deterministic else ''}"

    @contextmanager
    def set_flags(self) -> Iterator[None]:
        """Torch's flags for a block. Raises UserError where it needs an operation that has no deterministic form."""
        cudnn, is_warning = torch.backends.cudnn, torch.is_deterministic_algorithms_warn_only_enabled()
        before = (*_tf32(), cudnn.benchmark, torch.are_deterministic_algorithms_enabled(), is_warning)
        self._set(self.precision == "tf32", self.precision == "tf32", self.device.type == "cuda", self.use_deterministic)
        try:
            yield
        except RuntimeError as error:
            if self.use_deterministic and any(words in str(error) for words in _NOT_DETERMINISTIC):
                raise UserError(f"training.use_deterministic can't be kept by this recipe; leave it out: {first_line(error)}") from error
            raise
        finally:
            self._set(*before)

    def autocast(self) -> AbstractContextManager[Any]:
        """For the forward pass."""
        if self.precision not in PRECISIONS:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=PRECISIONS[self.precision])

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Both, for an evaluation."""
        with self.set_flags(), self.autocast():
            yield

    @staticmethod
    def _set(convolutions: bool, products: bool, benchmark: bool, deterministic: bool, is_warning: bool = False) -> None:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = convolutions, products
        torch.backends.cudnn.benchmark = benchmark and not deterministic
        if deterministic != torch.are_deterministic_algorithms_enabled():  # 1 ms, and imports the compiler's settings
            torch.use_deterministic_algorithms(deterministic, warn_only=is_warning)


@contextmanager
def exactly(device: torch.device) -> Iterator[None]:
    """Full precision inside an evaluation in another one: for pictures on their way to a network, and frozen parts shared by recipes."""
    convolutions, products = _tf32()
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = convolutions, products


def _tf32() -> tuple[bool, bool]:
    """Of convolutions and of products, by the names that every torch since 2.11 has.

    The newer fp32_precision says more, but once it is set torch 2.14's compiler, which still asks by these names, raises.
    """
    return torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
