"""What data training began with: digests of the rows, which are a part of its state."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from dc_core.columns import Ragged
from dc_core.dataset import Dataset
from dc_core.errors import TrainingStateError
from dc_core.training.batches import LABELLED

_BYTES: Final = hashlib.sha256().digest_size


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


@dataclass(frozen=True, slots=True)
class Fingerprints:
    """The fingerprints of the rows to train and to validate on; None if there were none yet."""

    rows: np.ndarray | None = None
    valid: np.ndarray | None = None

    def with_those_of(self, dataset: Dataset, valid: Dataset | None) -> Self:
        """Return the same, with what is None taken from the datasets."""
        return type(self)(
            fingerprint(dataset) if self.rows is None else self.rows,
            fingerprint(valid) if self.valid is None and valid is not None else self.valid,
        )

    def check(self, dataset: Dataset, valid: Dataset | None) -> None:
        """Raise :class:`TrainingStateError` if the datasets differ from those before.

        Rows to validate on may be left out, and added if there were none.
        """
        if self.rows is not None and not np.array_equal(self.rows, fingerprint(dataset)):
            raise TrainingStateError(
                "Training began with other data: their number, tasks or rows differ.",
                hint="Resume with the same rows in the same order, or call fit() without resume to "
                "train on with others.",
            )
        if self.valid is None or valid is None:
            return
        if not np.array_equal(self.valid, fingerprint(valid)):
            raise TrainingStateError(
                "Training began with other validation rows: their number, tasks or rows differ.",
                hint="Resume with the same rows in the same order: results on others cannot be "
                "compared with those in the history.",
            )

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return the fingerprints as arrays by name; none for those that are None."""
        named = {"rows": self.rows, "valid": self.valid}
        return {name: array.copy() for name, array in named.items() if array is not None}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """Return the fingerprints of :meth:`to_arrays`; :class:`TrainingStateError` for others."""
        forms = {(array.shape, array.dtype) for array in arrays.values()}
        if arrays.keys() - {"rows", "valid"} or forms - {((_BYTES,), np.dtype(np.uint8))}:
            raise TrainingStateError(
                "The fingerprints of the data in the training state are malformed.",
                hint="The training state is incomplete, or of another version.",
            )
        return cls(**{name: array.copy() for name, array in arrays.items()})
