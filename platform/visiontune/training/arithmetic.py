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
_FULL, _TO_10_BITS = (False, "highest"), (True, "high")
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
        before = (*_rounding(), cudnn.benchmark, torch.are_deterministic_algorithms_enabled(), is_warning)
        is_measured = self.device.type == "cuda" and not self.use_deterministic
        self._set(*(_TO_10_BITS if self.precision == "tf32" else _FULL), is_measured, self.use_deterministic)
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
    def _set(convolutions: bool, products: str, benchmark: bool, deterministic: bool, is_warning: bool = False) -> None:
        _round(convolutions, products)
        torch.backends.cudnn.benchmark = benchmark
        if deterministic != torch.are_deterministic_algorithms_enabled():  # 1 ms, and imports the compiler's settings
            torch.use_deterministic_algorithms(deterministic, warn_only=is_warning)


@contextmanager
def exactly(device: torch.device) -> Iterator[None]:
    """Full precision inside an evaluation in another one: for pictures on their way to a network, and frozen parts shared by recipes."""
    before = _rounding()
    _round(*_FULL)
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        _round(*before)


def _rounding() -> tuple[bool, str]:
    """Whether convolutions round to TF32, and torch's word for products, by the names that every torch since 2.11 has.

    The newer fp32_precision says more, but once it is set these can't be read, and torch 2.14's compiler, which still asks by them, raises:
    so does this, UserError.
    """
    try:
        return torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    except RuntimeError as error:
        rule = "this process has set torch's fp32_precision, beside which torch can't tell what products and convolutions round to"
        raise UserError(f"{rule}; leave it as it is by default: training.precision says how a recipe computes") from error


def _round(convolutions: bool, products: str) -> None:
    torch.backends.cudnn.allow_tf32 = convolutions
    torch.set_float32_matmul_precision(products)  # a CPU's too, where allow_tf32 is a GPU's alone
