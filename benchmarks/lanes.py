"""Several networks of one shape trained as one, by torch.func: trials per hour against the same networks trained one after another.

    .venv/bin/python benchmarks/lanes.py
    .venv/bin/python benchmarks/lanes.py --device cuda --lanes 4 16 64 --precision bf16

An experiment, of which nothing is in visiontune: `lanes_per_trial` would be worth its weight from five times the trials per hour on.

M networks that differ in weights and learning rate (.01 to .1, SGD with momentum) take the same batches of made pictures. Alone, each is a
plain loop of its own; in lanes their weights are stacked (`stack_module_state`), `vmap` runs them over the batch, and one step updates all.
Epochs of the two are measured in turn, in one process with one thread, as a search's worker on a CPU has; ratios are medians over all
epochs but the first. Batch normalisation takes the batch's statistics in evaluation too, since vmap can't write running ones. Gaps are the
largest of any network and epoch: sums come in another order, and training makes such differences grow. Cost: a minute on 2 cores.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, replace_all_batch_norm_modules_, stack_module_state
from torch.nn import functional as F

from common.result import Result, arguments, parse
from visiontune.models.build import build_model
from visiontune.spec.parse import load_model
from visiontune.training.checks.made_store import make_store

NETWORKS: dict[str, tuple[str, ...]] = {
    "LeNet-5": ("name=lenet5",),
    "CNN of width 8, batch normalisation": ("name=cnn", "width=8", "depth=2"),
}
MOMENTUM, RATES = 0.9, (0.01, 0.1)
NUM_CLASSES = 3  # of the made pictures
WANTED = 5.0
Batches = list[tuple[Tensor, Tensor]]
Train = Callable[[Batches], Tensor]
"""Trains for an epoch, and gives the mean loss of each network: loss_M."""


def networks_of(args: argparse.Namespace, words: tuple[str, ...], num: int) -> list[nn.Module]:
    """Of one shape, with weights of their own."""
    sizes: dict[str, Any] = {"num_classes": NUM_CLASSES, "in_channels": 1, "image_size": args.size}
    section = load_model(words[0].removeprefix("name="), words[1:])
    found = [build_model(section, **sizes, seed=seed).to(args.device) for seed in range(num)]
    return [replace_all_batch_norm_modules_(network) for network in found]


def pictures(args: argparse.Namespace) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """x_NCHW and y_N to train on, and those to validate on."""
    store = make_store(num=args.pictures, size=args.size)

    def of(index_N: Any) -> tuple[Tensor, Tensor]:
        x_NHWC = torch.from_numpy(store.read(index_N, store.image_size)).to(args.device)
        return (x_NHWC.permute(0, 3, 1, 2).float() - 127.5) / 64, torch.from_numpy(store.labels_N[index_N]).to(args.device)

    return *of(store.train_idx), *of(store.val_idx)


def step(params: list[Tensor], moments: list[Tensor], lr: float | list[Tensor]) -> None:
    """SGD with momentum, of one network or of stacked ones with a rate each."""
    with torch.no_grad():
        grads = [one.grad for one in params]
        torch._foreach_mul_(moments, MOMENTUM)
        torch._foreach_add_(moments, grads)  # type: ignore[arg-type]
        scaled = torch._foreach_mul(moments, lr)
        torch._foreach_sub_(params, scaled)
    for one in params:
        one.grad = None


def autocast(args: argparse.Namespace) -> Any:
    """For forward passes."""
    return torch.autocast(args.device, dtype=torch.bfloat16, enabled=args.precision == "bf16")


def one_by_one(args: argparse.Namespace, networks: list[nn.Module], rates: Tensor) -> tuple[Train, Callable[[Tensor], Tensor]]:
    """Each network through all batches, then the next; and logits_MNK of pictures."""
    params = [[*network.parameters()] for network in networks]
    moments = [[torch.zeros_like(one) for one in mine] for mine in params]

    def epoch(batches: Batches) -> Tensor:
        totals = []
        for network, mine, moved, lr in zip(networks, params, moments, rates.tolist(), strict=True):
            total = torch.zeros((), device=args.device)
            for x_NCHW, y_N in batches:
                with autocast(args):
                    loss = F.cross_entropy(network(x_NCHW).float(), y_N)
                loss.backward()  # type: ignore[no-untyped-call]
                step(mine, moved, lr)
                total += loss.detach()
            totals.append(total / len(batches))
        return torch.stack(totals)

    return epoch, lambda x_NCHW: torch.stack([network(x_NCHW) for network in networks])


def in_lanes(args: argparse.Namespace, networks: list[nn.Module], rates: Tensor) -> tuple[Train, Callable[[Tensor], Tensor]]:
    """All of them at each batch."""
    stacked, buffers = stack_module_state(networks)
    base = networks[0]
    params = [one.detach().requires_grad_() for one in stacked.values()]
    moments = [torch.zeros_like(one) for one in params]
    lr = [rates.view(-1, *[1] * (one.ndim - 1)).to(args.device) for one in params]
    named = dict(zip(stacked, params, strict=True))

    def outputs(x_NCHW: Tensor) -> Tensor:
        def of_one(mine: dict[str, Tensor], own: dict[str, Tensor]) -> Any:
            return functional_call(base, (mine, own), (x_NCHW,))

        found: Tensor = torch.vmap(of_one)(named, buffers)
        return found

    def epoch(batches: Batches) -> Tensor:
        total_M = torch.zeros(len(networks), device=args.device)
        for x_NCHW, y_N in batches:
            with autocast(args):
                logits_MNK = outputs(x_NCHW).float()
            log_p_MNK = logits_MNK.log_softmax(2)
            loss_M = -log_p_MNK.gather(2, y_N.expand(len(networks), -1)[..., None])[..., 0].mean(1)
            loss_M.sum().backward()  # type: ignore[no-untyped-call]
            step(params, moments, lr)
            total_M += loss_M.detach()
        return total_M / len(batches)

    return epoch, outputs


def batches_of(args: argparse.Namespace, x_NCHW: Tensor, y_N: Tensor) -> Iterator[Batches]:
    """Of each epoch: whole ones, in an order of its own."""
    for number in range(args.epochs):
        order = torch.randperm(len(y_N), generator=torch.Generator().manual_seed(number)).to(args.device)
        parts = order.split(args.batch)[: len(y_N) // args.batch]
        yield [(x_NCHW[part], y_N[part]) for part in parts]


def timed(args: argparse.Namespace, train: Train, batches: Batches) -> tuple[float, Tensor]:
    """Seconds and loss_M; the losses are read, so that a device has done its work."""
    started = time.perf_counter()
    loss_M = train(batches).cpu()
    return time.perf_counter() - started, loss_M


def row(args: argparse.Namespace, words: tuple[str, ...], num: int) -> dict[str, float]:
    """Of so many networks."""
    x_NCHW, y_N, val_NCHW, val_N = pictures(args)
    rates = torch.logspace(*torch.tensor(RATES).log10().tolist(), num)
    sides = [side(args, networks_of(args, words, num), rates) for side in (one_by_one, in_lanes)]
    seconds: list[tuple[float, float]] = []
    loss_gap, top1_gap = 0.0, 0.0
    for batches in batches_of(args, x_NCHW, y_N):
        (alone_s, alone_M), (lanes_s, lanes_M) = [timed(args, train, batches) for train, _ in sides]
        seconds.append((alone_s, lanes_s))
        with torch.no_grad():
            right_M, theirs_M = [(of(val_NCHW).argmax(2) == val_N).float().mean(1) for _, of in sides]
        loss_gap = max(loss_gap, ((alone_M - lanes_M).abs() / alone_M).max().item())
        top1_gap = max(top1_gap, (right_M - theirs_M).abs().max().item())
    alone_s, lanes_s = (statistics.median(times) for times in zip(*seconds[1:], strict=True))
    ratio = statistics.median(alone / lanes for alone, lanes in seconds[1:])
    return {
        "alone_s": alone_s,
        "lanes_s": lanes_s,
        "times_the_trials": ratio,
        "train_loss_gap_percent": 100 * loss_gap,
        "val_top1_gap": top1_gap,
    }


def main() -> None:
    """A row for each network and number of lanes."""
    parser = arguments(__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16"))
    parser.add_argument("--lanes", type=int, nargs="+", default=[4, 16])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pictures", type=int, default=1600)
    parser.add_argument("--size", type=int, default=16)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=6, help="the first is not measured")
    args = parse(parser, lanes=[2], pictures=120, batch=16, epochs=2)
    torch.set_num_threads(args.threads)
    result = Result("lanes", args, args.epochs - 1, f"epochs, the two in turn; threads: {args.threads}, {args.device}, {args.precision}")
    rows = {f"{name}, {num} lanes": row(args, words, num) for name, words in NETWORKS.items() for num in args.lanes}
    result.table("trials per hour in lanes", rows)
    for name in NETWORKS:
        best = max(rows[f"{name}, {num} lanes"]["times_the_trials"] for num in args.lanes)
        result.target(f"trials per hour in lanes against one after another, {name}", best, WANTED)
    result.write()


if __name__ == "__main__":
    main()
