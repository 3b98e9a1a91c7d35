"""Checks of the pictures and labels alone, before any network.

Rows are those of the store. Shape letters: C classes, N pictures, G equal pictures.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from visiontune.data.store.short_report import pair_of
from visiontune.training.checks.check import Check
from visiontune.training.checks.nearest_pictures import Neighbours
from visiontune.training.input.epoch_order import IntArray

if TYPE_CHECKING:
    from visiontune.data.store.store import Store

IMBALANCE, FEW = 3.0, 10
LEAK_SHARE = 0.01
"""Repeated test pictures shift a test figure by at most their share: above this, by more than fresh seeds do."""
HASHED_BYTES = 2 << 30
NUM_LISTED = 100


def class_counts(store: Store) -> Check:
    """Training pictures of each class: bad where one has none, look where the ratio of two exceeds 3 or one has fewer than 10."""
    count_C = store.counts_C(store.train_idx)
    rarest, most = int(count_C.argmin()), int(count_C.argmax())
    ratio = float(count_C[most] / max(count_C[rarest], 1))
    said = (
        f"{len(count_C)} classes, {len(store.train_idx):,} train pictures, {count_C[rarest]:,} ({store.class_names[rarest]}) to "
        f"{count_C[most]:,} ({store.class_names[most]}) a class, ratio {ratio:.3g}"
    )
    figures = {"train": dict(zip(store.class_names, count_C.tolist(), strict=True)), "ratio": ratio}
    if count_C[rarest] == 0:
        return Check("classes", "bad", said, "a class without training pictures can't be learned: leave it out or add some", figures)
    if ratio > IMBALANCE:
        hint = "search objective.metric: val_macro_recall, and let balance (name, class_weights) or loss focal vary"
        if store.label_sets is not None:
            hint = "val_map counts each class alike, however rare; look at its average precision class by class"
        return Check("classes", "look", said, hint, figures)
    if count_C[rarest] < FEW:
        hint = "so few pictures of a class make val figures chance: more pictures, a transfer regime, or stronger augmentation"
        return Check("classes", "look", said, hint, figures)
    return Check("classes", "ok", said, "", figures)


def dummy_score(store: Store) -> Check:
    """Top-1 on val of always naming the class that is most frequent in train, as DummyClassifier(strategy="most_frequent")."""
    score = _majority(store)
    num = len(store.val_idx)
    # Of a share near 0.9, where searches end; at 0.5 it would be 1.7 times as much.
    error = (0.9 * 0.1 / num) ** 0.5
    said = f"naming the most frequent class scores {score:.3f} on {num:,} val pictures; a top1 near 0.9 has a standard error of {error:.3f}"
    figures = {"val_top1": score, "num_val": num, "standard_error": error}
    if score > 0.5:
        return Check("dummy", "look", said, "a top1 above 0.5 says little here: search objective.metric: val_macro_recall", figures)
    if error > 0.03:
        hint = "trials within two standard errors of each other are equal: raise data.val_fraction"
        return Check("dummy", "look", said, hint, figures)
    return Check("dummy", "ok", said, "", figures)


def dummy_map(store: Store) -> Check:
    """val_map of saying the same of every picture: the mean share of the pictures that have a class."""
    count_C, num = store.counts_C(store.val_idx), len(store.val_idx)
    score, fewest = float((count_C[count_C > 0] / num).mean()), int(count_C.min())
    said = f"saying the same of all {num:,} val pictures has a val_map of {score:.3f}; {fewest:,} or more of them have each class"
    figures = {"val_map": score, "num_val": num, "fewest": fewest}
    if fewest < FEW:
        hint = f"average precision and threshold of a class with fewer than {FEW} val pictures are chance: raise data.val_fraction"
        return Check("dummy", "look", said, hint, figures)
    return Check("dummy", "ok", said, "", figures)


def neighbour_score(store: Store, neighbours: Neighbours) -> Check:
    """Whether labels have to do with pictures: the label of the most similar training picture must beat the dummy by 3 standard errors.

    One that beats it by 1 or more is said to be unsure, with the number of val pictures whose standard error would do for that score.
    A network can memorise shuffled labels, so that neither train_loss nor an overfitted batch would tell.
    """
    is_val = np.isin(neighbours.rows_N, store.val_idx)
    right_N = store.labels_N[neighbours.rows_N[is_val]] == store.labels_N[neighbours.nearest_N[is_val]]
    score, dummy = float(right_N.mean()), _majority(store)
    error = (max(dummy * (1 - dummy), 0.01) / len(right_N)) ** 0.5
    said = f"the label of the most similar train picture is right for {score:.3f} of {len(right_N):,} val pictures (dummy {dummy:.3f})"
    figures = {"val_top1": score, "dummy_val_top1": dummy, "standard_error": error}
    if score > dummy + 3 * error:
        return Check("neighbours", "ok", said, "", figures)
    if score > dummy + error:
        num = math.floor(len(right_N) * (3 * error / (score - dummy)) ** 2) + 1
        hint = (
            f"not surely better than the dummy: {(score - dummy) / error:.1f} standard errors, where 3 are sure; of {num:,} val pictures "
            "this score would be (data.val_fraction), else labels may be shifted or shuffled"
        )
        return Check("neighbours", "look", said, hint, figures)
    hint = "no better than the dummy: are labels shifted or shuffled against the pictures? Look at twenty of them"
    return Check("neighbours", "look", said, hint, figures)


def repeats(store: Store) -> Check:
    """Pictures that are equal to the last pixel, within train and across splits, and equal ones with different labels."""
    rows_N = _affordable(store)
    groups: dict[bytes, list[int]] = defaultdict(list)
    for row in rows_N:
        groups[hashlib.blake2b(store.images_NHWC[row].tobytes(), digest_size=16).digest()].append(int(row))
    repeated = [group for group in groups.values() if len(group) > 1]
    conflicts = [group for group in repeated if len({int(store.labels_N[row]) for row in group}) > 1]
    split_N = split_names(store)
    across = Counter(pair for group in repeated for pair in _leaks(split_N[group]))
    num_in_train = sum(max(0, int((split_N[group] == "train").sum()) - 1) for group in repeated)
    said = f"of {len(rows_N):,} pictures {_listed(across)}; {num_in_train:,} within train; {len(conflicts):,} groups with several labels"
    examples = [[f"{split_N[row]} {row}" for row in group] for group in repeated if len(set(split_N[group])) > 1] or [
        [f"{split_N[row]} {row}" for row in group] for group in repeated
    ]
    if examples:
        said += f"; such as {' = '.join(examples[0])}"
    figures = {
        "num": len(rows_N),
        **{key.replace(" ", "_"): count for key, count in across.items()},
        "within_train": num_in_train,
        "groups": [[[str(split_N[row]), row] for row in group] for group in repeated[:NUM_LISTED]],
        "conflicts": conflicts[:NUM_LISTED],
    }
    sizes = {"val": len(store.val_idx), "test": len(store.test_idx)}
    is_bad = any(count > LEAK_SHARE * sizes[key.partition(" ")[0]] for key, count in across.items())
    verdict = "bad" if is_bad else "look" if across or conflicts or num_in_train > LEAK_SHARE * len(store.train_idx) else "ok"
    hint = "leave the repeated pictures out of one split: val and test figures are flattered by what was seen in training"
    if verdict == "look" and not across:
        hint = "keep one of each group, with the right label"
    return Check("repeats", verdict, said, "" if verdict == "ok" else hint, figures)


def contradictions(store: Store) -> Check:
    """Equal pictures of different classes, by name; those too that were kept out of val and test."""
    found = store.report().conflicts
    figures = {"num": len(found), "pairs": [dict(one) for one in found[:NUM_LISTED]]}
    if not found:
        return Check("contradictions", "ok", "no equal pictures of two classes", "", figures)
    more = f" and {len(found) - 1:,} more" if len(found) > 1 else ""
    hint = f"one label of each two is wrong: `visiontune data {store.digest[:12]} --pairs pairs.png` draws them"
    return Check("contradictions", "look", f"equal pictures of two classes: {pair_of(found[0])}{more}", hint, figures)


def near_repeats(store: Store, neighbours: Neighbours) -> Check:
    """Val and test pictures that are a training picture but for noise, brightness or another JPEG."""
    pairs = neighbours.near(store)
    split_N = split_names(store)
    count = Counter(f"{split_N[row]} in train" for row, _ in pairs)
    said = f"of {len(neighbours.rows_N):,} val and test pictures {_listed(count)} but for noise or brightness"
    if pairs:
        row, near = pairs[0]
        said += f"; such as {split_N[row]} {row} = train {near}"
    figures = {"num": len(neighbours.rows_N), "pairs": [[str(split_N[row]), row, "train", near] for row, near in pairs[:NUM_LISTED]]}
    if len(pairs) <= LEAK_SHARE * len(neighbours.rows_N):
        return Check("near repeats", "ok", said, "", figures)
    hint = "split by what the pictures were taken from (film, patient, scan), not by picture"
    return Check("near repeats", "look", said, hint, figures)


def split_names(store: Store) -> NDArray[np.str_]:
    """The split of each row."""
    split_N = np.full(len(store.labels_N), "test", dtype="<U5")
    split_N[store.train_idx], split_N[store.val_idx] = "train", "val"
    return split_N


def _majority(store: Store) -> float:
    most = np.bincount(store.labels_N[store.train_idx]).argmax()
    return float((store.labels_N[store.val_idx] == most).mean())


def _affordable(store: Store) -> IntArray:
    """All rows; of large data all of val and test and as much of train, evenly spaced, as can be read in seconds."""
    others = np.concatenate([store.val_idx, store.test_idx])
    num = max(1, HASHED_BYTES // store.images_NHWC[0].nbytes - len(others))
    step = -(-len(store.train_idx) // num)
    return np.sort(np.concatenate([others, store.train_idx[::step]]))


def _leaks(split_G: NDArray[np.str_]) -> list[str]:
    """ "test in train" and the like, once for each picture of the group that an earlier split of train, val, test has too."""
    found = set(split_G.tolist())
    leaks = [f"{split} in train" for split in split_G.tolist() if split != "train" and "train" in found]
    return leaks + (["test in val"] * split_G.tolist().count("test") if {"val", "test"} <= found else [])


def _listed(across: Counter[str]) -> str:
    return ", ".join(f"{count:,} of {key}" for key, count in sorted(across.items())) or "none repeats across splits"
