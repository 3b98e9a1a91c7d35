"""Many small files as `visiontune ingest` takes them: time, memory and disk of the first time, of the next one, and of another seed.

    .venv/bin/python benchmarks/many_files.py                       # 200,000 JPEGs in 1,000 folders, some 5 minutes, 2 GB of disk
    .venv/bin/python benchmarks/many_files.py --files 20000         # is anything worse than linear?

Each command is a process of its own; memory is the largest sum over it and its children, resident (`rss`, what is shared counts in each)
and proportional (`pss`, it counts once). Photographs of 500 x 375 px (about 110 KB, as ImageNet's) for 224 px give what a file costs
that is no small one. The estimate for ImageNet's 1,281,167 training pictures is linear in both: decoding and disk as the photographs,
all else and memory as the small files. A file found again, of which nothing is read, was hoped to take 10 us, and another seed half the
time of the first.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2

from common.machine import clean_env
from common.result import Result, arguments, parse
from parts.picture_files import made, write_photographs

IMAGENET = 1_281_167
SAMPLE_S = 0.1
Row = dict[str, float]


def main() -> None:
    """Small files, photographs, and what they say of ImageNet."""
    parser = arguments(__doc__)
    parser.add_argument("--files", type=int, default=200_000)
    parser.add_argument("--folders", type=int, default=1000)
    parser.add_argument("--photographs", type=int, default=4000)
    args = parse(parser, files=200, folders=10, photographs=40)
    result = Result("many_files", args, 1, f"run over {args.files:,} files in {args.folders:,} folders")
    with tempfile.TemporaryDirectory() as folder:
        small, large = Path(folder) / "small", Path(folder) / "photographs"
        start = time.perf_counter()
        write_small(small, args.files, args.folders)
        making = {"make": {"wall_s": time.perf_counter() - start, "disk_mb": disk_mb(small)}}
        result.table("small files, 32 px", small_rows := making | commands(small, 32, args.files))
        write_photographs(large, args.photographs, 500, 375)
        result.table("photographs for 224 px", large_rows := commands(large, 224, args.photographs))
        result.table("ImageNet, an estimate", {"first ingest": estimate(small_rows, large_rows, args)})
        again = 1e6 * (small_rows["found again"]["wall_s"] - large_rows["found again"]["wall_s"]) / args.files
        result.target("a file found again", again, 10.0, is_at_most=True, unit=" us")
        result.target(
            "another seed, time of the first",
            small_rows["another seed"]["wall_s"] / small_rows["first ingest"]["wall_s"],
            0.5,
            is_at_most=True,
        )
    result.write()


def commands(path: Path, size: int, num: int) -> dict[str, Row]:
    """By name; each with the disk that all stores take after it."""
    studies = path.parent / f"{path.name} studies"
    rows = {
        name: ingest(path, [f"image_size={size}", *more], studies) | {"disk_mb": disk_mb(studies)}
        for name, more in (("first ingest", []), ("found again", []), ("another seed", ["seed=1"]))
    }
    return {name: row | {"files_per_s": num / row["wall_s"]} for name, row in rows.items()}


def ingest(path: Path, words: list[str], studies: Path) -> Row:
    """One command, watched."""
    command = [sys.executable, "-m", "visiontune", "ingest", str(path), *words, "--studies-dir", str(studies), "--plain"]
    start, rss, pss = time.perf_counter(), 0.0, 0.0
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, env=clean_env())
        while process.poll() is None:
            found = [memory_mb(pid) for pid in family(process.pid)]
            rss, pss = max(rss, sum(one[0] for one in found)), max(pss, sum(one[1] for one in found))
            time.sleep(SAMPLE_S)
        wall_s = time.perf_counter() - start
        said.seek(0)
        if process.returncode:
            raise SystemExit(f"{' '.join(command)}: {said.read()}")
    return {"wall_s": wall_s, "rss_mb": rss, "pss_mb": pss}


def family(pid: int) -> list[int]:
    """A process and all below it."""
    parents: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents.setdefault(int(status.read_text().rpartition(")")[2].split()[1]), []).append(int(status.parent.name))
        except OSError:
            continue  # it has ended
    found = [pid]
    for one in found:
        found += parents.get(one, [])
    return found


def memory_mb(pid: int) -> tuple[float, float]:
    """Resident and proportional."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return 0.0, 0.0
    sizes = {line.split()[0]: int(line.split()[1]) / 1024 for line in lines}
    return sizes.get("Rss:", 0.0), sizes.get("Pss:", 0.0)


def estimate(small: dict[str, Row], large: dict[str, Row], args: argparse.Namespace) -> Row:
    """Linear, see the top."""
    start_s, photographs = large["found again"]["wall_s"], args.photographs
    decoding_s = (large["first ingest"]["wall_s"] - start_s) / photographs
    listing_s = max(small["found again"]["wall_s"] - start_s, 0.0) / args.files
    first, other = small["first ingest"], large["first ingest"]
    more_mb = max(first["pss_mb"] - other["pss_mb"], 0.0) / max(args.files - photographs, 1)
    return {
        "wall_h": IMAGENET * (decoding_s + listing_s) / 3600,
        "found_again_s": start_s + IMAGENET * listing_s,
        "pss_mb": other["pss_mb"] + more_mb * IMAGENET,
        "disk_thousand_mb": other["disk_mb"] / photographs * IMAGENET / 1000,
    }


def write_small(folder: Path, num: int, num_folders: int) -> None:
    """JPEGs of 32 px, their classes in turn."""
    for number, picture in enumerate(made(num, (32, 32))):
        path = folder / f"class {number % num_folders:04d}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cv2.imencode(".jpg", picture)[1].tobytes())


def disk_mb(folder: Path) -> float:
    """What its files take in blocks."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file()) / 1e6


if __name__ == "__main__":
    main()
