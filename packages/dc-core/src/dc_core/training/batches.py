"""The rows of each step: their order, and their labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from dc_core.columns import Columns, take_rows
from dc_core.dataset import Batch, Dataset, NumpyDataset
from dc_core.errors import DatasetError

LABELLED: Final = ("X", "y", "w")
"""The parts of a row that a loss needs; gathering the ids would cost as much as X."""

_GATHERED: Final = 1 << 18
"""So many bytes of X are gathered at once from memory, if batches are smaller."""


class Labels(NamedTuple):
    """The labels of a batch, ``(b, tasks)`` each: 0 and False for a missing label."""

    y: np.ndarray
    w: np.ndarray
    given: np.ndarray


def training_batches(
    dataset: Dataset,
    size: int,
    seed: int,
    epoch: int,
    first: int = 0,
    rank: int = 0,
    world: int = 1,
) -> Iterator[tuple[Columns, Labels]]:
    """Yield X and labels of all rows in the shuffled order of ``(seed, epoch)``, batch by batch.

    Raises :class:`DatasetError` if the dataset changes meanwhile.

    The batches are those from ``first`` on.

    A single row left at the end joins the batch before it: statistics of one row are undefined.

    ``size`` is that of the batches of all ``world`` processes together; that of ``rank`` gets every
    ``world``-th row of each. If it would get fewer than two, rows without weight are added.
    """
    total = len(dataset)
    chosen = list(dataset.batch_indices(size, shuffle=True, seed=seed, epoch=epoch))
    if len(chosen) > 1 and len(chosen[-1]) == 1 < size:
        chosen[-2:] = [np.concatenate(chosen[-2:])]
    if world == 1:
        at_once = _batches_at_once(dataset, size)
        for start in range(first, len(chosen), at_once):
            yield from _gathered(dataset, chosen[start : start + at_once], total)
        return
    for indices in chosen[first:]:
        share = indices[rank::world]
        added = indices[: max(0, min(2, len(indices)) - len(share))]
        asked = np.concatenate([share, added]) if len(added) else share
        batch = _rows(dataset, asked, LABELLED, total)
        if len(added):
            w = batch.w.copy()
            w[len(share) :] = 0
            batch = batch._replace(w=w)
        yield batch.X, labels_of(batch)


def _batches_at_once(dataset: Dataset, size: int) -> int:
    """Return how many batches are gathered at once: many small ones of rows that are in memory.

    Rows that have to be read or computed are so when they are needed, batch by batch.
    """
    if type(dataset) is not NumpyDataset:
        return 1
    columns = dataset.X.values() if isinstance(dataset.X, Mapping) else (dataset.X,)
    rows = sum(column.nbytes for column in columns) / max(1, len(dataset))
    return max(1, int(_GATHERED / max(1.0, rows * size)))


def validation_batches(
    dataset: Dataset,
    size: int,
    parts: Sequence[str] = LABELLED,
    rank: int = 0,
    world: int = 1,
) -> Iterator[Batch]:
    """Yield the ``parts`` of all rows in order, batch by batch: those of ``rank``.

    Raises :class:`DatasetError` if the dataset changes meanwhile.
    """
    total = len(dataset)
    for indices in dataset.batch_indices(size, rank=rank, world=world):
        yield _rows(dataset, indices, parts, total)


def has_labels(dataset: Dataset, size: int) -> bool:
    """Return whether a row has a label with a weight; X is not read."""
    return any(labels_of(batch).given.any() for batch in dataset.batches(size, parts=("y", "w")))


def _rows(dataset: Dataset, indices: np.ndarray, parts: Sequence[str], total: int) -> Batch:
    """Return rows of a dataset that had ``total`` of them when it was begun.

    Raises :class:`DatasetError` if it has changed since.
    """
    try:
        batch = dataset.rows(indices, parts)
    except (IndexError, KeyError, ValueError) as error:
        if len(dataset) != total:
            raise _changed(f"it has {len(dataset)} rows now, and had {total}") from error
        raise
    found = len(batch.w)
    if found != len(indices) or len(dataset) != total:
        raise _changed(
            f"it gave {found} of {len(indices)} rows, and has {len(dataset)} now of {total}"
        )
    return batch


def _changed(how: str) -> DatasetError:
    return DatasetError(
        f"The dataset changes while it is read: {how}.",
        hint="Train on a dataset that nothing changes, such as a copy; fit(..., resume=True) goes "
        "on with the rows that training began with.",
    )


def _gathered(
    dataset: Dataset, batches: Sequence[np.ndarray], total: int
) -> Iterator[tuple[Columns, Labels]]:
    """Yield X and labels of each of the batches, whose rows are gathered together."""
    block = _rows(dataset, np.concatenate(batches), LABELLED, total)
    labels = labels_of(block)
    end = 0
    for indices in batches:
        part = slice(end, end := end + len(indices))
        yield (
            take_rows(block.X, part),
            Labels(labels.y[part], labels.w[part], labels.given[part]),
        )


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
