"""The columns of a dataset on disk, as memory-mapped arrays."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from dc_core import Column, Ragged, dtype_from_name
from dc_core.dtypes import TEXT
from dc_pipeline.disk.header import ColumnSpec, Header
from dc_pipeline.errors import DiskDatasetError


class StoredColumn(Protocol):
    """A column whose rows are read when they are asked for."""

    def take(self, rows: np.ndarray | slice) -> Column:
        """Return the rows; those of a slice without a step are not copied where possible."""


def open_columns(directory: Path, header: Header) -> dict[str, StoredColumn]:
    """Map the files of all columns in ``directory``, and return them by stem.

    Raises :class:`DiskDatasetError` if a file is missing, or shorter than the header says.
    """
    maps = {name: _map(directory / name, size) for name, size in header.file_sizes().items()}
    columns: dict[str, StoredColumn] = {}
    for stem, spec in header.columns.items():
        stored = maps[f"{stem}.bin"].view(spec.stored_dtype)
        length = header.items.get(stem, 0) if spec.has_offsets else header.rows
        try:
            values = stored.reshape(length, *spec.stored_shape)
        except ValueError as error:  # without bytes, any length fits the file
            raise DiskDatasetError(
                f"{directory / stem}.bin cannot have {length} values of shape {spec.shape}.",
                hint="The header is damaged: copy or write the dataset again.",
            ) from error
        if spec.has_offsets:
            offsets = maps[f"{stem}.offsets"].view("<i8")
            kind = _Coded if spec.kind == "coded" else _Uneven
            columns[stem] = kind(spec, values, offsets, directory / f"{stem}.offsets")
        else:
            columns[stem] = _Even(spec, values)
    return columns


def _map(path: Path, size: int) -> np.ndarray:
    """Return the first ``size`` bytes of the file ``path``, mapped for reading."""
    try:
        with path.open("rb") as file:
            length = file.seek(0, 2)
            if length < size:
                raise DiskDatasetError(
                    f"{path} has {length} bytes, and dataset.json says {size}.",
                    hint="The file is damaged: copy or write the dataset again.",
                )
            if size == 0:
                return np.zeros(0, np.uint8)
            mapped = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)
    except OSError as error:
        raise DiskDatasetError(f"{path} cannot be read: {error}.") from error
    return np.frombuffer(mapped, np.uint8)


class _Even:
    """A column whose rows are equally long."""

    def __init__(self, spec: ColumnSpec, values: np.ndarray) -> None:
        self._spec, self.values = spec, values

    def take(self, rows: np.ndarray | slice) -> np.ndarray:
        stored = self.values[rows]
        if self._spec.kind != "bits":
            return stored
        bits = np.unpackbits(stored, axis=-1, count=self._spec.shape[-1])
        return bits.view(bool) if self._spec.dtype == "bool" else bits


class _Uneven:
    """A column of text, or a ragged one."""

    def __init__(
        self, spec: ColumnSpec, values: np.ndarray, offsets: np.ndarray, path: Path
    ) -> None:
        self._spec, self.values, self.offsets, self._path = spec, values, offsets, path

    def take(self, rows: np.ndarray | slice) -> Column:
        starts, ends = self.offsets[:-1][rows], self.offsets[1:][rows]
        total = len(self.values)
        if (starts < 0).any() or (starts > ends).any() or (ends > total).any():
            raise DiskDatasetError(
                f"{self._path} is damaged: rows do not lie within {total} values.",
                hint="Copy or write the dataset again.",
            )
        return self._texts(starts, ends) if self._spec.kind == "text" else self._rows(starts, ends)

    def _texts(self, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
        # One copy of a contiguous range is faster to slice than the map.
        first = int(starts.min()) if starts.size else 0
        dense = starts.size and int(ends.max()) - first <= 2 * int((ends - starts).sum()) + 4096
        data: Any = self.values[first : int(ends.max())].tobytes() if dense else self.values.data
        if dense:
            starts, ends = starts - first, ends - first
        try:
            texts = [
                str(data[a:b], "utf-8") for a, b in zip(starts.tolist(), ends.tolist(), strict=True)
            ]
        except UnicodeDecodeError as error:
            raise DiskDatasetError(f"{self._path}: the text is not UTF-8: {error}.") from error
        return np.array(texts, dtype=object).astype(TEXT)

    def _rows(self, starts: np.ndarray, ends: np.ndarray) -> Ragged:
        lengths = ends - starts
        offsets = np.zeros(len(lengths) + 1, np.int64)
        np.cumsum(lengths, out=offsets[1:])
        if len(starts) and (starts[1:] == ends[:-1]).all():
            return Ragged(self.values[starts[0] : ends[-1]], offsets)
        places = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
        return Ragged(self.values[places], offsets)


class _Coded(_Uneven):
    """A ragged column whose values are stored as their places in a table."""

    def __init__(
        self, spec: ColumnSpec, values: np.ndarray, offsets: np.ndarray, path: Path
    ) -> None:
        super().__init__(spec, values, offsets, path)
        self._table = np.array(spec.table, dtype_from_name(spec.dtype))

    def _rows(self, starts: np.ndarray, ends: np.ndarray) -> Ragged:
        places = super()._rows(starts, ends)
        if places.values.max(initial=0) >= len(self._table) and len(places.values):
            raise DiskDatasetError(
                f"{self._path.with_suffix('.bin')} is damaged: it has places beyond the table's "
                f"{len(self._table)} values.",
                hint="Copy or write the dataset again.",
            )
        return Ragged(self._table[places.values], places.offsets)
