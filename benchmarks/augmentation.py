"""Augmentation on one core: batches of the policy against albumentations' Compose, picture by picture.

    .venv/bin/python benchmarks/augmentation.py [--rounds 5] [--pictures 2048] [--device cuda]

Takes about a minute. Claims of the README: gather from a memory map >= 300,000 pictures/s at 32 px; pad + crop + flip +
normalise >= 60,000 pictures/s at 32 px and >= 7 times albumentations; flip + crop + affine + colour + cutout >= 4 times at 32 px
and 2 times at 64 px; the albumentations engine >= 0.9 of a bare loop over the same Compose, though it is keyed for each picture.

Seconds are the processor's. Both sides of a ratio take turns, round by round, and the median of the rounds' ratios counts.
Ours is what training runs: a policy over a batch, then the preprocessing; theirs is one Compose with the same ops, chances and
strengths, Normalize included where ours normalises, on its own generators, without a DataLoader around it.
The device engine (a GPU's, by wall time) is compared with our own batched one, on pictures that lie on the device already; without
--device it runs on torch's CPU, where it is the slower one, which is why it is not used there.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as alb
import cv2
import machine
import numpy as np
import torch

from visiontune.augmentation.apply_ops import Ops
from visiontune.augmentation.policy import Policy, build_policy, on_device
from visiontune.spec.tables.ops import OPS
from visiontune.training.input.preprocessing import Scaling

BATCH = 512
MEAN, STD = (0.49, 0.48, 0.45), (0.25, 0.24, 0.26)
WEAK = {"PadAndCrop": {"probability": 1.0, "magnitude": 0.5}, "HorizontalFlip": {"probability": 0.5}}
STRONG = {
    "HorizontalFlip": {"probability": 0.5},
    "RandomResizedCrop": {"probability": 1.0, "magnitude": 0.5},
    "Affine": {"probability": 1.0, "magnitude": 0.5},
    "ColorJitter": {"probability": 1.0, "magnitude": 1.0},
    "CoarseDropout": {"probability": 1.0, "magnitude": 1.0},
}


def photographs(num: int, size: int) -> np.ndarray:
    """Smooth and colourful, uint8 NHWC."""
    coarse_NHWC = np.random.default_rng(0).integers(0, 256, (num, 8, 8, 3), dtype=np.uint8)
    return np.stack([cv2.resize(one, (size, size), interpolation=cv2.INTER_CUBIC) for one in coarse_NHWC])


def policy_of(ops: dict[str, Any], size: int, engine: str = "batched") -> Policy:
    """As a recipe's section gives it."""
    policy = build_policy({"policy": "fixed", **ops}, image_size=size, channels=3)
    assert policy is not None
    return replace(policy, ops=Ops(size, engine))


def compose_of(ops: dict[str, Any], size: int, *, use_normalize: bool) -> Any:
    """The same transforms with albumentations' own chance p."""
    transforms = []
    for name, args in ops.items():
        own = {key: value for key, value in args.items() if key != "probability"}
        transform = OPS.entries[name].load()(**own, image_size=size)
        transform.p = args["probability"]
        transforms.append(transform)
    return alb.Compose([*transforms, *([alb.Normalize(MEAN, STD)] if use_normalize else [])])


def ours(policy: Policy, images_NHWC: np.ndarray, *, use_normalize: bool) -> Callable[[], None]:
    """A pass in batches."""
    size, index_N = images_NHWC.shape[1], np.random.default_rng(1).permutation(len(images_NHWC))
    scale_WC = (1 / (255 * torch.tensor(STD))).repeat(size, 1)
    scaling, epochs = Scaling(scale_WC, (torch.tensor(MEAN) / torch.tensor(STD)).repeat(size, 1)), iter(range(1, 1_000_000))

    def run() -> None:
        epoch = next(epochs)
        for low in range(0, len(index_N), BATCH):
            rows = index_N[low : low + BATCH]
            pictures_NHWC = policy(images_NHWC[rows], seed=0, epoch=epoch, index_N=rows)
            if use_normalize:
                scaling(torch.from_numpy(pictures_NHWC))

    return run


def theirs(compose: Any, images_NHWC: np.ndarray) -> Callable[[], None]:
    """A pass picture by picture."""

    def run() -> None:
        for image in images_NHWC:
            compose(image=image)

    return run


def on(device: str, policy: Policy, images_NHWC: np.ndarray) -> Callable[[], None]:
    """A pass of the device engine in batches, over when the device is."""
    there, _ = on_device(policy)
    assert there is not None
    images, index_N = torch.from_numpy(images_NHWC).to(device), np.random.default_rng(1).permutation(len(images_NHWC))
    epochs = iter(range(1, 1_000_000))

    def run() -> None:
        epoch = next(epochs)
        for low in range(0, len(index_N), BATCH):
            rows = index_N[low : low + BATCH]
            there(images[torch.from_numpy(rows).to(device)], seed=0, epoch=epoch, index_N=rows)
        if device != "cpu":
            torch.accelerator.synchronize()

    return run


def wall_seconds(run: Callable[[], None]) -> float:
    """Of one call, by the clock."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def device_row(device: str, what: str, ops: dict[str, Any], size: int, num: int, rounds: int) -> list[str]:
    """Pictures/s of the device engine and of ours on one core, and the median of the rounds' ratios, by the clock."""
    images_NHWC, policy = photographs(num, size), policy_of(ops, size)
    there, here = on(device, policy, images_NHWC), ours(policy, images_NHWC, use_normalize=False)
    there()
    here()
    pairs = [(wall_seconds(there), wall_seconds(here)) for _ in range(rounds)]
    ratios = [b / a for a, b in pairs]
    rates = [num / min(pair[side] for pair in pairs) for side in (0, 1)]
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    return [f"{what} on {device}", *(f"{rate:,.0f}" for rate in rates), f"{statistics.median(ratios):.2f}", spread]


def against(
    what: str, one: Callable[[], None], other: Callable[[], None], num: int, rounds: int, target: float
) -> tuple[list[str], str, float]:
    """A row of the table, the verdict and our rate: pictures/s are each side's best round, the ratio is the rounds' median."""
    one()
    other()
    pairs = [(seconds(one), seconds(other)) for _ in range(rounds)]
    ratio = statistics.median(b / a for a, b in pairs)
    spread = f"{min(b / a for a, b in pairs):.2f} to {max(b / a for a, b in pairs):.2f}"
    rates = [num / min(pair[side] for pair in pairs) for side in (0, 1)]
    return [what, *(f"{rate:,.0f}" for rate in rates), f"{ratio:.2f}", spread], machine.against(what, ratio, target), rates[0]


def seconds(run: Callable[[], None]) -> float:
    """Of one call: the processor's time, which another process on the same core does not add to."""
    start = time.process_time()
    run()
    return time.process_time() - start


def gather_rate(images_NHWC: np.ndarray, rounds: int) -> float:
    """Pictures/s of random batches out of a memory map, best round."""
    with tempfile.NamedTemporaryFile() as file:
        images_NHWC.tofile(file.name)
        mapped_NHWC = np.memmap(file.name, np.uint8, "r", shape=images_NHWC.shape)
        order_N = np.random.default_rng(2).permutation(len(mapped_NHWC))

        def run() -> None:
            for low in range(0, len(order_N), BATCH):
                np.asarray(mapped_NHWC)[order_N[low : low + BATCH]]

        run()
        return len(order_N) / min(seconds(run) for _ in range(rounds))


def main() -> None:
    """Every figure, then the verdicts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pictures", type=int, default=2048)
    parser.add_argument("--device", default="cpu", help="of the device engine")
    args = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    print(machine.line(args.rounds, f"rounds of {args.pictures} pictures on one core"))
    rows, verdicts = [], []
    rate = gather_rate(photographs(16 * args.pictures, 32), args.rounds)
    verdicts.append(machine.against("gather from the store at 32 px", rate, 300_000, unit=" pictures/s"))
    for what, ops, size, use_normalize, target in (
        ("pad + crop + flip + normalise, 32 px", WEAK, 32, True, 7.0),
        ("flip + crop + affine + colour + cutout, 32 px", STRONG, 32, False, 4.0),
        ("flip + crop + affine + colour + cutout, 64 px", STRONG, 64, False, 2.0),
    ):
        images_NHWC = photographs(args.pictures, size)
        batched = ours(policy_of(ops, size), images_NHWC, use_normalize=use_normalize)
        bare = theirs(compose_of(ops, size, use_normalize=use_normalize), images_NHWC)
        row, verdict, rate = against(what, batched, bare, args.pictures, args.rounds, target)
        rows.append(row)
        verdicts.append(verdict)
        if ops is WEAK:
            verdicts.append(machine.against(what, rate, 60_000, unit=" pictures/s"))
        if ops is STRONG:
            engine = ours(policy_of(ops, size, "albumentations"), images_NHWC, use_normalize=False)
            row, verdict, _ = against(f"the same, albumentations engine, {size} px", engine, bare, args.pictures, args.rounds, 0.9)
            rows.append(row)
            verdicts.append(verdict)
    print(machine.table(["on one core", "ours, pictures/s", "albumentations", "ratio, median", "range"], rows))
    print("\n".join(verdicts))
    kinds = (("crop + flip", WEAK, 32), ("all five, 32 px", STRONG, 32), ("all five, 64 px", STRONG, 64))
    rows = [device_row(args.device, what, ops, size, args.pictures, args.rounds) for what, ops, size in kinds]
    print(machine.table(["device engine", "there, pictures/s", "batched, one core", "ratio, median", "range"], rows))


if __name__ == "__main__":
    main()
