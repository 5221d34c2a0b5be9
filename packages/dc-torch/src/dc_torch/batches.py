"""Turn a dataset's rows into the tensors of a training step."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from dc_core import Batch, Column, Columns, Dataset, Ragged
from dc_core.errors import DatasetError
from dc_torch.training_config import TrainingConfig
from dc_torch.weights import aligned, to_tensor

LABELLED: Final = ("X", "y", "w")
"""The parts of a row that a loss needs; gathering the ids would cost as much as X."""


class Labels(NamedTuple):
    """The labels of a batch, ``(b, tasks)`` each: 0 and False for a missing label."""

    y: np.ndarray
    w: np.ndarray
    given: np.ndarray


def training_batches(
    dataset: Dataset, size: int, seed: int, epoch: int, first: int = 0
) -> Iterator[Batch]:
    """Yield all rows in the shuffled order of ``(seed, epoch)``, from the batch ``first`` on.

    A single row left at the end joins the batch before it: statistics of one row are undefined.
    """
    chosen = list(dataset.batch_indices(size, shuffle=True, seed=seed, epoch=epoch))
    if len(chosen) > 1 and len(chosen[-1]) == 1 < size:
        chosen[-2:] = [np.concatenate(chosen[-2:])]
    for indices in chosen[first:]:
        yield dataset.rows(indices, LABELLED)


def fingerprint(dataset: Dataset) -> np.ndarray:
    """Return a digest of what ``dataset`` is, 32 bytes: its size, its tasks, and some of its rows.

    The rows are at most 16, at equal distances, so that this is quick however large the dataset is.
    """
    rows = np.unique(np.linspace(0, len(dataset) - 1, 16).astype(np.int64))
    batch = dataset.rows(rows, LABELLED)
    digest = hashlib.sha256(repr((len(dataset), tuple(dataset.tasks))).encode())
    columns = batch.X if isinstance(batch.X, Mapping) else {"": batch.X}
    for name, column in (*columns.items(), ("y", batch.y), ("w", batch.w)):
        arrays = (column.values, column.offsets) if isinstance(column, Ragged) else (column,)
        for array in arrays:
            text = array.dtype.kind in "STU"
            digest.update(repr((name, array.shape, "text" if text else array.dtype.str)).encode())
            digest.update(repr(array.tolist()).encode() if text else array.tobytes())
    return np.frombuffer(digest.digest(), dtype=np.uint8)


def steps_per_epoch(rows: int, size: int) -> int:
    """Return the number of batches that :func:`training_batches` yields."""
    full, rest = divmod(rows, size)
    return max(1, full + (rest > 1))


def labels_of(batch: Batch) -> Labels:
    """Return the labels of a batch; one without a weight, or with the value NaN, is missing."""
    given = (batch.w > 0) & ~np.isnan(batch.y)
    if given.all():
        return Labels(batch.y, batch.w, given)
    return Labels(np.where(given, batch.y, 0), np.where(given, batch.w, 0), given)


def input_dtype(module: nn.Module, config: TrainingConfig) -> torch.dtype:
    """Return the dtype of X on the device: the config's, or that of all the module's floats."""
    if config.input_dtype is not None:
        dtype: torch.dtype = getattr(torch, config.input_dtype)
        return dtype
    floats = {p.dtype for p in module.parameters() if p.is_floating_point() or p.is_complex()}
    return floats.pop() if len(floats) == 1 else torch.get_default_dtype()


class RaggedTensor(NamedTuple):
    """A ragged column of a batch: row i is ``values[offsets[i]:offsets[i + 1]]``.

    ``values`` is ``(total, ...)``, ``offsets`` is ``(b + 1,)`` of int64.
    """

    values: Tensor
    offsets: Tensor


Input: TypeAlias = "Tensor | RaggedTensor | dict[str, Tensor | RaggedTensor]"
"""What a module is called with: one column, or the named columns as keyword arguments."""


def input_of(X: Columns, dtype: torch.dtype, device: torch.device) -> Input:
    """Return X on ``device``.

    If X is one array, it becomes ``dtype``; it is converted on the device, so small integers stay
    small on the way. Of ragged and named columns, only floating-point and complex numbers become
    ``dtype``. Integers are codes and places, which become int32 if they fit and else int64, because
    torch looks nothing up by the smaller types; bools stay bools.

    Raises :class:`DatasetError` for text, and for complex numbers if ``dtype`` is real.
    """
    if isinstance(X, np.ndarray):
        return _converted(X, dtype, device)
    if isinstance(X, Ragged):
        return _column(X, dtype, device)
    return {name: _column(column, dtype, device) for name, column in X.items()}


def _column(column: Column, dtype: torch.dtype, device: torch.device) -> Tensor | RaggedTensor:
    values = column.values if isinstance(column, Ragged) else column
    if values.dtype.kind in "iu":
        fits = np.can_cast(values.dtype, np.int32)
        tensor = to_tensor(values).to(device).to(torch.int32 if fits else torch.int64)
    elif values.dtype.kind == "b":
        tensor = to_tensor(values).to(device)
    else:
        tensor = _converted(values, dtype, device)
    if isinstance(column, Ragged):
        return RaggedTensor(tensor, to_tensor(column.offsets).to(device))
    return tensor


def _converted(X: np.ndarray, dtype: torch.dtype, device: torch.device) -> Tensor:
    if X.dtype.kind in "STU":
        raise DatasetError(
            "The dataset's X is text, and the module needs numbers.",
            hint="Featurize it first, or put the featurizer and the model into one pipeline.",
        )
    if X.dtype.kind == "c" and not dtype.is_complex:
        raise DatasetError(
            "The dataset's X is complex, and the module takes real numbers.",
            hint="Give the real and imaginary parts as separate features.",
        )
    return aligned(to_tensor(X).to(device, non_blocking=True).to(dtype))
