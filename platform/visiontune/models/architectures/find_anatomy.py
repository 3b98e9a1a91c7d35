"""The anatomy of a network that another library made: its parts in the order in which one picture runs through them.

A forward pass on the meta device tells what is called, after what, and whether parts hand on x_NCHW and nothing else. Only such a chain
can be cut (`Anatomy.is_chain`); others, as transformers with their tokens, are frozen and decayed by stages all the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from visiontune.models.activation import ACTIVATION_TYPES, is_timms_activation
from visiontune.models.anatomy import Anatomy
from visiontune.spec.declarations.image_size import are_positions, image_size

_MOST = 0.8
"""Share of a network's weights, the head's aside, above which a part is taken apart: ResNet-18 has .75 of them in its last stage."""


@dataclass
class _Call:
    """How a part was called: what it got beside one tensor is `others`; the version tells whether the tensor was changed on its way."""

    x: Any
    version_before: int | None
    num_others: int
    out: Any = None
    version_after: int | None = None
    count: int = 1


@dataclass
class _Watch:
    """What the forward pass called, in order."""

    calls: dict[str, _Call] = field(default_factory=dict)

    def before(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if name in self.calls:
            self.calls[name].count += 1
            return
        x = args[0] if args else None
        self.calls[name] = _Call(x, _version(x), max(len(args) - 1, 0) + len(kwargs))

    def after(self, name: str, out: Any) -> None:
        self.calls[name].out, self.calls[name].version_after = out, _version(out)


def find_anatomy(network: nn.Module, x_NCHW: Tensor, head: str, ends: Sequence[str] = ()) -> Anatomy:
    """Stages that end with the parts `ends`, or where none is given or called with the largest parts that have parts of their own.

    Where weights lie in parts that are not called, or nothing is, all but the head is one stage. Both are on the meta device. Raises
    what the network raises for such a picture.
    """
    known = [name for name in dict.fromkeys(ends) if not f"{head}.".startswith(f"{name}.")]
    for chosen in (known, []) if known else ([],):
        parts = [*_around(network, "", chosen)] if chosen else [*_largest(network, head)]
        calls, shared = _watched(network, x_NCHW, parts)
        order = [name for name in calls if not f"{head}.".startswith(f"{name}.")]
        stages = _groups(order, chosen or _with_parts(network, order))
        passed = [name for name in parts if name not in calls and not f"{head}.".startswith(f"{name}.") and _has_weights(network, name)]
        if len(stages) == len(chosen) or (not chosen and stages and not passed):
            chain = [calls[name] for stage in stages for name in stage]
            return Anatomy(stages, head, is_chain=_is_chain(x_NCHW, chain), shared=shared)
    whole = tuple(name for name, _ in network.named_children() if not f"{head}.".startswith(f"{name}."))
    return Anatomy((whole,), head, is_chain=False, shared=shared)


def _around(network: nn.Module, prefix: str, ends: Collection[str]) -> Iterator[str]:
    """Parts, taken apart where an end lies within."""
    for child, module in network.named_children():
        name = prefix + child
        if isinstance(module, nn.ModuleList) or any(end.startswith(f"{name}.") for end in ends):
            yield from _around(module, f"{name}.", ends)
        else:
            yield name


def _largest(network: nn.Module, head: str) -> Iterator[str]:
    """Parts, those taken apart that hold most of the weights."""
    sizes = {name: sum(p.numel() for p in module.parameters()) for name, module in network.named_modules()}
    total = sum(sizes[name] for name, _ in network.named_children() if not f"{head}.".startswith(f"{name}."))

    def parts(module: nn.Module, prefix: str) -> Iterator[str]:
        for child, inner in module.named_children():
            name = prefix + child
            holds_head = f"{head}.".startswith(f"{name}.")
            is_large = not holds_head and sizes[name] > _MOST * total and [*inner.children()]
            if isinstance(inner, nn.ModuleList) or is_large:
                yield from parts(inner, f"{name}.")
            else:
                yield name

    yield from parts(network, "")


def _with_parts(network: nn.Module, order: Sequence[str]) -> list[str]:
    """Parts with weights that have parts themselves; where there are none, as in VGG, each with weights."""
    weighty = [name for name in order if _has_weights(network, name)]
    return [name for name in weighty if [*network.get_submodule(name).children()]] or weighty


def _has_weights(network: nn.Module, name: str) -> bool:
    return any(True for _ in network.get_submodule(name).parameters())


def _groups(order: Sequence[str], ends: Collection[str]) -> tuple[tuple[str, ...], ...]:
    groups: list[tuple[str, ...]] = [()]
    for name in order:
        groups[-1] += (name,)
        if name in ends:
            groups.append(())
    return tuple(group for group in groups[:-1] if group)


def _watched(network: nn.Module, x_NCHW: Tensor, parts: Sequence[str]) -> tuple[dict[str, _Call], tuple[str, ...]]:
    """Calls of parts in order, and the activations that act in more than one place."""
    watch, activations = _Watch(), _Watch()
    acting = [name for name, module in network.named_modules() if isinstance(module, ACTIVATION_TYPES) or is_timms_activation(module)]
    hooks = []
    for seen, names in ((watch, parts), (activations, acting)):
        for name in names:
            module = network.get_submodule(name)
            hooks.append(module.register_forward_pre_hook(lambda m, a, k, n=name, s=seen: s.before(n, a, k), with_kwargs=True))
            hooks.append(module.register_forward_hook(lambda m, a, out, n=name, s=seen: s.after(n, out)))
    was_training = network.training
    with torch.no_grad():
        network.eval()(x_NCHW)
    network.train(was_training)
    for hook in hooks:
        hook.remove()
    return watch.calls, tuple(name for name, call in activations.calls.items() if call.count > 1)


def _is_chain(x_NCHW: Tensor, calls: Sequence[_Call]) -> bool:
    """Whether each part gets what the one before gave, untouched, once, in the shape of pictures: x_NHWC and tokens are not."""
    whole = image_size(x_NCHW.shape[2:])
    given: tuple[Any, int | None] = (x_NCHW, _version(x_NCHW))
    for call in calls:
        out = call.out
        is_fed = call.x is given[0] and call.version_before == given[1] and not call.num_others and call.count == 1
        if not is_fed or not isinstance(out, Tensor) or out.ndim != 4 or not are_positions(out.shape[2:], whole):
            return False
        given = (out, call.version_after)
    return bool(calls)


def _version(x: Any) -> int | None:
    return x._version if isinstance(x, Tensor) else None
