"""What one training step of a network does, seen operation by operation: multiply-adds, receptive fields, memory.

It sees below autograd (a dispatch mode), so functional code counts like modules, and works on torch's meta device, where a step
costs neither memory nor arithmetic. Sizes are those of torch's tensors; of kernels' scratch space only a convolution's is known.
"""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

Field = tuple[tuple[Fraction | int, Fraction | int], ...]
"""(size, step) in pixels for height and width: what one position sees of the picture, and how far the next one is from it."""

_aten = torch.ops.aten


@dataclass(frozen=True)
class Call:
    """A call of one module, in the order of calls: its dotted name, the shape of its output, and the receptive field of that."""

    name: str
    module: nn.Module
    shape: tuple[int, ...]
    receptive_field: int


class Tracer(TorchDispatchMode):
    """Enter it around a step; `calls`, `multiply_adds` and `saved_bytes` (by module name), `now` and `peak` bytes are the answer.

    `saved_bytes` is what autograd keeps for the backward pass, each storage once and weights never, under the module that kept it first.
    """

    def __init__(self, network: nn.Module, x_NCHW: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[Call] = []
        self.multiply_adds: Counter[str] = Counter()
        self.saved_bytes: Counter[str] = Counter()
        self.now = self.peak = 0
        self._network, self._inside = network, list[str]()
        self._fields = WeakIdKeyDictionary()
        self._fields[x_NCHW] = ((1, 1), (1, 1))
        self._known = {_key(tensor) for tensor in (*network.parameters(), *network.buffers())}
        self._alive: set[int] = set()
        self._note(x_NCHW)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        out = func(*args, **(kwargs or {}))
        tensors = [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]
        for tensor in tensors:
            self._note(tensor)
        self.peak = max(self.peak, self.now + _scratch_bytes(func.overloadpacket, args))
        if self._inside and tensors:
            self.multiply_adds[self._inside[-1]] += _multiply_adds(func.overloadpacket, args, tensors[0])
            given = [self._fields[leaf] for leaf in tree_leaves(args) if isinstance(leaf, Tensor) and leaf in self._fields]
            if given:
                field = _seen(func.overloadpacket, args, tensors[0], tuple(max(sides) for sides in zip(*given, strict=True)))
                for tensor in tensors:
                    self._fields[tensor] = field
        return out

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Attributes operations to modules while it is entered, around the forward pass."""
        hooks = []
        for name, module in self._network.named_modules():
            hooks.append(module.register_forward_pre_hook(self._before(name)))
            hooks.append(module.register_forward_hook(self._after(name), always_call=True))
        with saved_tensors_hooks(self._saved, lambda tensor: tensor):
            yield
        for hook in hooks:
            hook.remove()

    def _before(self, name: str) -> Callable[..., None]:
        def enter(module: nn.Module, args: Any) -> None:
            self._inside.append(name)

        return enter

    def _after(self, name: str) -> Callable[..., None]:
        def leave(module: nn.Module, args: Any, out: Any) -> None:
            self._inside.pop()
            if isinstance(out, Tensor):
                field: Field = self._fields.get(out, ((0, 0),))  # type: ignore[no-untyped-call]
                self.calls.append(Call(name, module, tuple(out.shape), round(max(size for size, _ in field))))

        return leave

    def _saved(self, tensor: Tensor) -> Tensor:
        if (key := _key(tensor)) not in self._known:
            self._known.add(key)
            self.saved_bytes[self._inside[-1]] += tensor.untyped_storage().nbytes()
        return tensor

    def _note(self, tensor: Tensor) -> None:
        storage, key = tensor.untyped_storage(), _key(tensor)
        if key not in self._alive and key not in self._known:
            self._alive.add(key)
            self.now += storage.nbytes()
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._free, key, storage.nbytes())

    def _free(self, key: int, num_bytes: int) -> None:
        self._alive.discard(key)
        self._known.discard(key)  # its address may serve again
        self.now -= num_bytes


def _key(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _scratch_bytes(packet: Any, args: Sequence[Any]) -> int:
    """Scratch space of a convolution's backward pass: oneDNN copies its input and the gradient of its output into a layout of its own."""
    if packet is not _aten.convolution_backward:
        return 0
    return sum(int(x.numel() * x.element_size()) for x in args[:2])


def _multiply_adds(packet: Any, args: Sequence[Any], out: Tensor) -> int:
    """Multiply-adds of convolutions and matrix products; everything else counts as 0, as in the papers."""
    if packet is _aten.convolution:
        return int(out.numel()) * int(args[1][0].numel())
    factor = {_aten.mm: 0, _aten.bmm: 0, _aten.addmm: 1, _aten.baddbmm: 1}.get(packet)
    return 0 if factor is None else int(out.numel()) * int(args[factor].shape[-1])


def _seen(packet: Any, args: Sequence[Any], out: Tensor, field: Field) -> Field:
    """The receptive field of the output, where that of the input is `field`."""
    x = args[0]
    if packet is _aten.convolution:
        return _wider(field, args[1].shape[2:], args[3], args[5])
    if packet in (_aten.max_pool2d_with_indices, _aten.avg_pool2d):
        dilation = args[4] if packet is _aten.max_pool2d_with_indices and len(args) > 4 else 1
        return _wider(field, args[1], args[2] if len(args) > 2 and args[2] else args[1], dilation)
    if packet in (_aten._adaptive_avg_pool2d, _aten.adaptive_max_pool2d):
        windows, steps = zip(*map(_adaptive, x.shape[2:], out.shape[2:]), strict=True)
        return _wider(field, windows, steps, 1)
    is_flattened = out.ndim == 2 and isinstance(x, Tensor) and x.ndim == 4 and len(out) == len(x)
    is_mean = packet is _aten.mean and x.ndim == 4 and out.shape[2:].numel() == 1
    return _wider(field, x.shape[2:], 1, 1) if is_flattened or is_mean else field


def _adaptive(num_in: int, num_out: int) -> tuple[int, Fraction]:
    """The largest window of an adaptive pooling, and the mean step from one to the next, so that all of them see what there is.

    >>> _adaptive(10, 3), _adaptive(1, 6), _adaptive(8, 4)
    ((4, Fraction(3, 1)), (1, Fraction(0, 1)), (2, Fraction(2, 1)))
    """
    window = max(-(-(at + 1) * num_in // num_out) - at * num_in // num_out for at in range(num_out))
    return window, Fraction(num_in - window, max(1, num_out - 1))


def _wider(field: Field, kernel: Any, stride: Any, dilation: Any) -> Field:
    kernels, strides, dilations = (
        tuple(value) * 2 if len(tuple(value)) == 1 else tuple(value) for value in map(_listed, (kernel, stride, dilation))
    )
    return tuple((size + d * (k - 1) * step, step * s) for (size, step), k, s, d in zip(field, kernels, strides, dilations, strict=True))


def _listed(value: Any) -> Sequence[int]:
    return (value,) if isinstance(value, int) else value
