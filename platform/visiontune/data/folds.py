"""Cross-validation folds of a store: train and val together in k parts, each of which is val once; the test stays what it is.

Parts are stratified and keyed: within each class pictures go round the parts in the order of a keyed hash of their content, so that equal
pictures lie in one part. Pictures of several classes are parted by iterative stratification, in the order of the same hashes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from visiontune.data.iterative_stratification import stratified_parts
from visiontune.data.label_sets import pairs_of
from visiontune.data.picture.moments import moments
from visiontune.data.split import IntArray
from visiontune.data.store.store import Store
from visiontune.errors import UserError

_CHUNK = 1024


def fold_of(store: Store, num_folds: int, number: int, seed: int) -> Store:
    """The store with part `number` of `num_folds` as val and the others as train.

    Raises UserError for a class with fewer pictures than parts. Mean and deviation are those of its own training pictures. It has no file,
    so that nothing which was fitted to others is taken for it.
    """
    pool = np.union1d(store.train_idx, store.val_idx)
    fold_N = _fold_numbers(store, pool, num_folds, seed)
    train, val = pool[fold_N != number], pool[fold_N == number]
    mean_C, std_C = moments(_histogram(store, train))
    name = f"{store.path.stem}.fold{number}of{num_folds}-{seed}"
    split = {"train_idx": train, "val_idx": val, "digest": f"{store.digest}-fold{number}of{num_folds}-{seed}"}
    scale = {"mean_C": np.array(mean_C, np.float32), "std_C": np.array(std_C, np.float32)}
    return replace(store, path=store.path.with_name(name), **split, **scale)  # type: ignore[arg-type]


def refuse_folds(store: Store, num_folds: int, seed: int) -> None:
    """Raise UserError as `fold_of`: before the first trial, as only who has read the pictures knows which of them are equal."""
    _fold_numbers(store, np.union1d(store.train_idx, store.val_idx), num_folds, seed)


def _fold_numbers(store: Store, pool: IntArray, num_folds: int, seed: int) -> IntArray:
    """The part of each picture of the pool."""
    label_N, hashes = store.labels_N[pool], _hashes(store, pool, seed)
    first_U, unit_N, size_U = np.unique(hashes, return_index=True, return_inverse=True, return_counts=True)[1:]
    picture_P, class_P = pairs_of(label_N, store.label_sets)
    _refuse_few(store.class_names, unit_N[picture_P], class_P, num_folds)
    if store.label_sets is not None:
        return stratified_parts(unit_N[picture_P], class_P, size_U, len(store.class_names), num_folds)[unit_N]
    fold_N = np.zeros(len(pool), np.int64)
    start = 0
    for label in np.unique(label_N):
        rows = np.flatnonzero(label_N == label)
        numbers = np.unique([hashes[row] for row in rows], return_inverse=True)[1]
        fold_N[rows] = (numbers + start) % num_folds
        start += int(numbers.max()) + 1  # so that what is over of each class goes to another part
    fold_N = fold_N[first_U[unit_N]]  # equal pictures of two classes too, of which one class may then lack a part
    _refuse_few(store.class_names, fold_N, label_N, num_folds)
    return fold_N


def _refuse_few(class_names: Sequence[str], unit_P: IntArray, class_P: IntArray, num_folds: int) -> None:
    """Raise UserError for classes with fewer pictures than parts; equal ones, which are one unit, count as one."""
    count_C = np.bincount(np.unique(np.stack([class_P, unit_P]), axis=1)[0], minlength=len(class_names)).tolist()
    few = [f"{name!r} has {num}" for name, num in zip(class_names, count_C, strict=True) if 0 < num < num_folds]
    if few:
        raise UserError(f"every class must have a picture in each of {num_folds} folds, but {', '.join(few[:5])}")


def _hashes(store: Store, pool: IntArray, seed: int) -> list[bytes]:
    key, found = seed.to_bytes(8, "little"), []
    for start in range(0, len(pool), _CHUNK):
        images = store.images_NHWC[pool[start : start + _CHUNK]]
        found += [hashlib.blake2b(image.tobytes(), digest_size=16, key=key).digest() for image in images]
    return found


def _histogram(store: Store, rows: IntArray) -> IntArray:
    channels = store.images_NHWC.shape[3]
    histogram_CV = np.zeros((channels, 256), np.int64)
    for start in range(0, len(rows), _CHUNK):
        images_NHWC = store.images_NHWC[rows[start : start + _CHUNK]]
        for channel in range(channels):
            histogram_CV[channel] += np.bincount(images_NHWC[..., channel].ravel(), minlength=256)
    return histogram_CV
