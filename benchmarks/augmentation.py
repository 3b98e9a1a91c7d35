"""Augmentation on one core: batches of the policy against albumentations' Compose, picture by picture.

    .venv/bin/python benchmarks/augmentation.py [--rounds 5] [--pictures 2048] [--device cuda]

Takes about a minute. Wanted: gather from a memory map >= 300,000 pictures/s at 32 px; pad + crop + flip +
normalise >= 60,000 pictures/s at 32 px and >= 7 times albumentations; flip + crop + affine + colour + cutout >= 4 times at 32 px
and 2 times at 64 px; the albumentations engine >= 0.9 of a bare loop over the same Compose, though it is keyed for each picture.

Seconds are the processor's. Both sides of a ratio take turns, round by round, and the median of the rounds' ratios counts.
Normalised batches of 6 MB come fresh from the system, whose page faults are half of that row; a process that has freed larger blocks
before keeps them and is up to twice as fast.
Ours is what training runs: a policy over a batch, then the preprocessing; theirs is one Compose with the same ops, chances and
strengths, Normalize included where ours normalises, on its own generators, without a DataLoader around it.
The device engine (a GPU's, by wall time) is compared with our own batched one, on pictures that lie on the device already; without
--device it runs on torch's CPU, where it is the slower one, which is why it is not used there.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np

from common.result import Result, arguments, median_of, parse
from parts.picture_passes import (
    BATCH,
    STRONG,
    WEAK,
    Pass,
    compose_of,
    ours,
    photographs,
    policy_of,
    seconds,
    theirs,
    there,
    use_one_core,
    wall_seconds,
)

CASES = (
    ("pad + crop + flip + normalise, 32 px", WEAK, 32, True, 7.0),
    ("flip + crop + affine + colour + cutout, 32 px", STRONG, 32, False, 4.0),
    ("flip + crop + affine + colour + cutout, 64 px", STRONG, 64, False, 2.0),
)
"""What, ops, size, whether it normalises, and how many times albumentations is wanted."""


def compare(one: Pass, other: Pass, num: int, rounds: int, clock: Callable[[Pass], float]) -> dict[str, float]:
    """Pictures/s are each side's best round, the ratio is the rounds' median."""
    one()
    other()
    pairs = [(clock(one), clock(other)) for _ in range(rounds)]
    rates = {name: num / min(pair[side] for pair in pairs) for side, name in enumerate(("pictures_per_s", "peer_pictures_per_s"))}
    return {**rates, **median_of("times_as_fast", [b / a for a, b in pairs])}


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


def case(args: argparse.Namespace, what: str, ops: dict[str, Any], size: int, use_normalize: bool) -> dict[str, dict[str, float]]:
    """Rows against albumentations: of the batched engine, and of albumentations keyed for each picture."""
    images_NHWC = photographs(args.pictures, size)
    bare = theirs(compose_of(ops, size, use_normalize=use_normalize), images_NHWC)
    batched = ours(policy_of(ops, size), images_NHWC, use_normalize=use_normalize)
    rows = {what: compare(batched, bare, args.pictures, args.rounds, seconds)}
    if ops is STRONG:
        engine = ours(policy_of(ops, size, "albumentations"), images_NHWC, use_normalize=False)
        rows[f"the same, albumentations engine, {size} px"] = compare(engine, bare, args.pictures, args.rounds, seconds)
    return rows


def device_row(args: argparse.Namespace, ops: dict[str, Any], size: int) -> dict[str, float]:
    """The device engine against our batched one on one core, by the clock."""
    images_NHWC, policy = photographs(args.pictures, size), policy_of(ops, size)
    batched = ours(policy, images_NHWC, use_normalize=False)
    return compare(there(args.device, policy, images_NHWC), batched, args.pictures, args.rounds, wall_seconds)


def main() -> None:
    """Every figure, then the targets."""
    parser = arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pictures", type=int, default=2048)
    parser.add_argument("--device", default="cpu", help="of the device engine")
    args = parse(parser, rounds=1, pictures=64)
    result = Result("augmentation", args, args.rounds, f"rounds of {args.pictures} pictures on one core")
    use_one_core()
    rows: dict[str, dict[str, float]] = {}
    for what, ops, size, use_normalize, _ in CASES:
        rows |= case(args, what, ops, size, use_normalize)
    result.table("against albumentations", rows)
    kinds = (("crop + flip, 32 px", WEAK, 32), ("all five, 32 px", STRONG, 32), ("all five, 64 px", STRONG, 64))
    result.table("device engine", {f"{what}, on {args.device}": device_row(args, ops, size) for what, ops, size in kinds})
    rate = gather_rate(photographs(16 * args.pictures, 32), args.rounds)
    result.target("gather from the store at 32 px", rate, 300_000, unit=" pictures/s")
    result.target(CASES[0][0], rows[CASES[0][0]]["pictures_per_s"], 60_000, unit=" pictures/s")
    for what, row in rows.items():
        wanted = next((case[-1] for case in CASES if case[0] == what), 0.9)
        result.target(f"{what} / albumentations", row["times_as_fast"], wanted)
    result.write()


if __name__ == "__main__":
    main()
