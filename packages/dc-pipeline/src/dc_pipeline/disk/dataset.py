"""``DiskDataset``: a dataset larger than memory."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from dc_core import PARTS, Batch, Columns, Dataset, check_dataset, check_parts
from dc_core.errors import DatasetError
from dc_pipeline.disk.columns import StoredColumn, open_columns
from dc_pipeline.disk.header import Header, read_header
from dc_pipeline.disk.writer import DatasetWriter
from dc_pipeline.errors import DiskDatasetError

_BLOCK: Final = 1 << 16
_READ: Final = 1 << 24
_ABSENT: Final[Any] = None


class DiskDataset(Dataset):
    """A dataset in a directory of memory-mapped arrays, read only as far as it is used.

    ``len`` takes constant time, and :meth:`select`, slices and splits are views: row numbers over
    the same files. It can be pickled, which sends the path and the row numbers.

    :meth:`create` writes a dataset, and :class:`DatasetWriter` one that comes in blocks.

    Raises :class:`DiskDatasetError` if the directory does not hold a dataset, or a damaged one.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self._open(Path(directory), read_header(Path(directory)))

    def _open(self, directory: Path, header: Header) -> None:
        self.directory = directory.absolute()
        """The directory, wherever the program or a worker that gets the dataset is."""
        self._header = header
        self._stored = open_columns(self.directory, self._header)
        self._stems = {name: f"x{i}" for i, name in enumerate(self._header.X)}
        self._names: str | tuple[str, ...] = "" if "" in self._stems else tuple(self._stems)
        self._rows: np.ndarray | slice = slice(0, self._header.rows)

    @classmethod
    def create(
        cls,
        directory: str | os.PathLike[str],
        dataset: Dataset,
        *,
        pack: Collection[str] | bool = (),
        code: Collection[str] = (),
        provenance: Mapping[str, Any] | None = None,
    ) -> DiskDataset:
        """Write ``dataset`` to ``directory``, by blocks of rows, and return it.

        ``pack``, ``code`` and ``provenance`` are as in :class:`DatasetWriter`.

        Raises :class:`DiskDatasetError` if the directory already has a dataset, if there are no
        rows, and as the writer does.
        """
        check_dataset(dataset)
        if len(dataset) == 0:
            raise DiskDatasetError("There are no rows to write.")
        with DatasetWriter(directory, pack=pack, code=code, provenance=provenance) as writer:
            if writer.rows:
                raise DiskDatasetError(
                    f"{directory} already has a dataset of {writer.rows} rows.",
                    hint="Choose another directory; DatasetWriter appends to this one.",
                )
            for start in range(0, len(dataset), _BLOCK):
                writer.append(dataset[start : start + _BLOCK])
        return cls(directory)

    @property
    def provenance(self) -> Mapping[str, Any]:
        """Where the rows come from, as the writer said it."""
        return dict(self._header.provenance)

    @property
    def identity(self) -> str:
        """A digest of the rows and their meaning, wherever the directory is.

        It covers the form of the columns, tasks and classes, and of the rows the digests in the
        header: they are not read for it, and :meth:`verify` checks that the digests hold.
        """
        content = {**self._header.to_json(), "provenance": {}, "names": self._names}
        found = hashlib.sha256(json.dumps(content, sort_keys=True).encode())
        if isinstance(self._rows, slice):
            found.update(repr((self._rows.start, self._rows.stop)).encode())
        else:
            found.update(self._rows.astype("<i8").tobytes())
        return found.hexdigest()

    @property
    def tasks(self) -> tuple[str, ...]:
        """The names of y's columns."""
        return self._header.tasks

    @property
    def classes(self) -> Mapping[str, tuple[str, ...]]:
        """The names of the classes 0, 1, … of each task whose labels were given as text."""
        return dict(self._header.classes)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of X's columns; empty if X is one column without a name."""
        return () if isinstance(self._names, str) else self._names

    def __len__(self) -> int:
        """Return the number of rows."""
        if isinstance(self._rows, slice):
            return int(self._rows.stop - self._rows.start)
        return len(self._rows)

    def rows(self, indices: np.ndarray, parts: Sequence[str] = PARTS) -> Batch:
        """Return the given ``parts`` of the rows at ``indices``, in that order."""
        return self._batch(self._numbers(np.asarray(indices)), parts)

    def select(self, indices: Sequence[int] | np.ndarray) -> DiskDataset:
        """Return the dataset of the rows at ``indices``: integers, or one bool per row.

        It is a view; :class:`DatasetError` is raised for rows that do not exist.
        """
        chosen = np.asarray(indices)
        if chosen.dtype == bool and chosen.shape == (len(self),):
            chosen = np.flatnonzero(chosen)
        if chosen.size == 0:
            chosen = np.zeros(0, np.intp)
        if chosen.ndim != 1 or chosen.dtype.kind not in "iu":
            raise DatasetError(
                f"Rows are selected by a list of integers or a mask of {len(self)} bools, "
                f"not by {chosen.dtype} of shape {chosen.shape}."
            )
        return self._view(self._numbers(chosen))

    def with_columns(self, names: str | Sequence[str]) -> DiskDataset:
        """Return the same rows with only the columns ``names`` in X; the others are not read."""
        wanted = (names,) if isinstance(names, str) else tuple(names)
        if not wanted or "" in self._stems or not set(wanted) <= set(self.columns):
            return super().with_columns(names)  # type: ignore[return-value] # it raises
        view = self._view(self._rows)
        view._names = names if isinstance(names, str) else wanted
        return view

    @property
    def X(self) -> Columns:
        """The features of all rows; if they are consecutive, dense ones are mapped, not read."""
        return self._batch(self._rows, ("X",)).X

    @property
    def y(self) -> np.ndarray:
        """The labels of all rows, ``(n, tasks)``; NaN where one is missing."""
        return self._batch(self._rows, ("y",)).y

    @property
    def w(self) -> np.ndarray:
        """The weights of all labels, ``(n, tasks)``; 0 where a label is missing."""
        return self._batch(self._rows, ("w",)).w

    @property
    def ids(self) -> np.ndarray:
        """The rows' names, ``(n,)`` of text."""
        return self._batch(self._rows, ("ids",)).ids

    def __getitem__(self, key: Any) -> Any:
        """Return one row for an integer, a view for a slice, mask or list, or chosen columns."""
        if isinstance(key, slice):
            start, stop, step = key.indices(len(self))
            if step == 1 and isinstance(self._rows, slice):
                first = self._rows.start + start
                return self._view(slice(first, first + max(0, stop - start)))
            chosen = np.arange(len(self))[key]
            return self._view(self._numbers(chosen))
        return super().__getitem__(key)

    def verify(self) -> None:
        """Read every file whole and compare it with its digests.

        Raises :class:`DiskDatasetError` for the first file that was changed.
        """
        segments = self._header.segments
        for name, size in self._header.file_sizes().items():
            with (self.directory / name).open("rb") as file:
                read = file.seek(8 if name.endswith(".offsets") and segments else 0)
                for segment, end in zip(segments, self._ends(name, size), strict=True):
                    digest = hashlib.sha256()
                    while read < end and (data := file.read(min(_READ, end - read))):
                        digest.update(data)
                        read += len(data)
                    if digest.hexdigest() != segment.sha256.get(name):
                        raise DiskDatasetError(
                            f"{self.directory / name} is not what was written.",
                            hint="Copy or write the dataset again.",
                        )

    def _ends(self, name: str, size: int) -> list[int]:
        """Return where the bytes of each segment end in the file ``name``."""
        rows = np.cumsum([segment.rows for segment in self._header.segments], dtype=np.int64)
        stem, _, suffix = name.partition(".")
        spec = self._header.columns[stem]
        if suffix == "offsets":
            return [8 * (int(row) + 1) for row in rows]
        if spec.has_offsets:
            offsets: Any = self._stored[stem]
            return [int(offsets.offsets[row]) * spec.item_bytes for row in rows]
        return [int(row) * spec.item_bytes for row in rows]

    def _numbers(self, indices: np.ndarray) -> np.ndarray:
        """Return the row numbers in the files of the rows ``indices`` of this view."""
        n = len(self)
        lowest, highest = (indices.min(), indices.max()) if indices.size else (0, -1)
        if lowest < -n or highest >= n:
            wrong = int(highest if highest >= n else lowest)
            raise DatasetError(f"There is no row {wrong}: the dataset has {n} rows.")
        if lowest < 0:
            indices = np.where(indices < 0, indices + n, indices)
        if not isinstance(self._rows, slice):
            return np.asarray(self._rows[indices])
        return indices + int(self._rows.start) if self._rows.start else indices

    def _batch(self, rows: np.ndarray | slice, parts: Sequence[str]) -> Batch:
        check_parts(parts)
        taken = [self._taken(part, rows) if part in parts else _ABSENT for part in PARTS]
        return Batch(*taken)

    def _taken(self, part: str, rows: np.ndarray | slice) -> Any:
        if part != "X":
            return self._column(part).take(rows)
        if isinstance(self._names, str):
            return self._column(self._stems[self._names]).take(rows)
        return {name: self._column(self._stems[name]).take(rows) for name in self._names}

    def _column(self, stem: str) -> StoredColumn:
        return self._stored[stem]

    def _view(self, rows: np.ndarray | slice) -> DiskDataset:
        view = DiskDataset.__new__(DiskDataset)
        view.__dict__.update(self.__dict__)
        view._rows = rows
        return view

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the path and the row numbers; the files are mapped again."""
        return _reopen, (self.directory, self._names, self._rows, self._header)


def _reopen(
    directory: Path, names: str | tuple[str, ...], rows: np.ndarray | slice, header: Header
) -> DiskDataset:
    if not read_header(directory).extends(header):
        raise DiskDatasetError(
            f"{directory} is not the dataset that it was.", hint="Open it again by its path."
        )
    dataset = DiskDataset.__new__(DiskDataset)
    dataset._open(directory, header)
    dataset._names, dataset._rows = names, rows
    return dataset
