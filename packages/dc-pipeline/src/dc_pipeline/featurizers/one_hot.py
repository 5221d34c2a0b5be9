"""``OneHot``: from codes to one-hot vectors, by batch."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from dc_core import (
    Batch,
    Column,
    Dataset,
    MappedDataset,
    Ragged,
    Transformer,
    check_count,
    check_dataset,
)
from dc_core.errors import DatasetError


class OneHot(Transformer):
    """Expands codes to one-hot vectors of ``size`` when a batch is read.

    X is one column of integers from 0 to ``size - 1``: ragged, as of :class:`SequenceTokens` and
    :class:`SmilesTokens`, or an array ``(n, ...)``. The result has one more axis, of uint8. With
    ``length``, a ragged column becomes ``(n, length, size)``, zero beyond the end of a row.

    Nothing is fitted. Raises :class:`ParameterError` for counts out of range. Reading raises
    :class:`DatasetError` for codes out of range, and for rows longer than ``length``.
    """

    def __init__(self, size: int, *, length: int | None = None) -> None:
        self.size = check_count("size", size, minimum=1, maximum=1 << 20)
        self.length = None if length is None else check_count("length", length, minimum=1)

    def fit(self, dataset: Dataset) -> Self:
        """Return itself: there is nothing to learn."""
        check_dataset(dataset)
        return self

    def transform(self, dataset: Dataset) -> Dataset:
        """Return the dataset whose batches are expanded when they are read.

        Raises :class:`DatasetError` if X has named columns.
        """
        check_dataset(dataset)
        if dataset.columns:
            raise DatasetError(
                f"OneHot needs X as one column; it has {', '.join(dataset.columns)}.",
                hint=f"Choose one: dataset[{dataset.columns[0]!r}].",
            )
        return MappedDataset(dataset, _Expanded(self.size, self.length))


class _Expanded:
    """The mapping of a batch; a class, so that it can be pickled."""

    def __init__(self, size: int, length: int | None) -> None:
        self.size, self.length = size, length

    def __call__(self, batch: Batch) -> Batch:
        X: Any = batch.X
        return batch if X is None else batch._replace(X=one_hot(X, self.size, self.length))


def one_hot(codes: Column, size: int, length: int | None = None) -> Column:
    """Return ``codes`` with an axis of ``size`` more, which is 1 at the code; see :class:`OneHot`.

    Raises :class:`DatasetError` for what is not a code, and for rows longer than ``length``.
    """
    values = codes.values if isinstance(codes, Ragged) else codes
    if values.dtype.kind not in "iu":
        raise DatasetError(f"Codes are integers; X has dtype {values.dtype}.")
    low, high = int(values.min(initial=0)), int(values.max(initial=0))
    if low < 0 or high >= size:
        raise DatasetError(
            f"X has the code {low if low < 0 else high}, which is not from 0 to {size - 1}.",
            hint="Give OneHot the size of the featurizer.",
        )
    hot = np.zeros((*values.shape, size), np.uint8)
    np.put_along_axis(hot, values[..., None].astype(np.int64), 1, axis=-1)
    if not isinstance(codes, Ragged):
        return hot
    expanded = Ragged(hot, codes.offsets)
    return expanded if length is None else expanded.padded(length)[0]
