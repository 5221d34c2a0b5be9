"""Read the datasets on disk that DeepChem writes.

A directory has ``tasks.json``, a list of names; ``metadata.csv.gzip``, which names for each shard
the files of its ids, X, y and w, and in newer ones their shapes; and these files, in NumPy's format
(DeepChem 2.8, ``deepchem.data.DiskDataset``).
"""

from __future__ import annotations

import csv
import gzip
import json
import pickle
import tokenize
import zlib
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Any, Final

import numpy as np

from dc_core import (
    FailureReport,
    Loaded,
    Loader,
    NumpyDataset,
    Ragged,
    check_count,
    check_flag,
    concatenate_rows,
)
from dc_core.errors import DatasetError, LoaderError

_METADATA: Final = "metadata.csv.gzip"
_PARTS: Final = ("ids", "X", "y", "w")
_LIMIT: Final = 1 << 26
_BAD_FILE: Final = (
    OSError,
    EOFError,
    ValueError,
    TypeError,
    KeyError,
    SyntaxError,
    MemoryError,
    RecursionError,
    tokenize.TokenError,
)
"""Exceptions of NumPy for a file that is not an array."""


class DeepChemLoader(Loader):
    """Reads a directory that DeepChem's ``DiskDataset`` wrote, block by block.

    X, y, w and ids are as they are stored; labels of weight 0 are kept. Without y there are no
    labels. Numbers as X stay in the dtype of the files.

    DeepChem stores text, and features of different shapes, as pickled objects, and unpickling runs
    whatever code the file holds. Such a file is refused unless ``allow_pickle`` is set, which is
    for directories that you wrote yourself. ``ids=False`` numbers the rows and does not open the
    files of the ids, which are most often the only pickled ones. Objects are read if they are text,
    or arrays that differ in their first axis alone.

    Raises :class:`LoaderError` if the directory has another layout, or a shard is damaged.
    """

    def __init__(self, allow_pickle: bool = False, ids: bool = True) -> None:
        self.allow_pickle = check_flag("allow_pickle", allow_pickle)
        self.ids = check_flag("ids", ids)

    def batches(
        self, source: str | PathLike[str], *, size: int = 4096, start: int = 0
    ) -> Iterator[Loaded]:
        """Yield the rows from row ``start`` on, in batches of ``size`` rows, as all loaders do."""
        check_count("size", size, minimum=1)
        check_count("start", start, minimum=0)
        directory = _directory(source)
        tasks = _tasks(directory)
        pending: list[NumpyDataset] = []
        missing = size
        first = 0
        empty: NumpyDataset | None = None
        for shard in _shards(directory):
            rows = self._shard(directory, shard, tasks, first)
            empty = empty or rows[:0]
            place = max(0, min(start - first, len(rows)))
            first += len(rows)
            while place < len(rows):
                part = rows[place : place + missing]
                pending.append(part)
                place += len(part)
                missing -= len(part)
                if missing == 0:
                    yield _joined(pending, directory)
                    pending, missing = [], size
        if empty is None:
            raise LoaderError(f"{directory} has no shards.", hint="The dataset is empty.")
        if pending or first <= start:
            yield _joined(pending or [empty], directory)

    def _shard(
        self, directory: Path, shard: dict[str, str], tasks: list[str], first: int
    ) -> NumpyDataset:
        """Return the rows of a shard, which stay on the disk where they can."""
        arrays = {
            part: self._array(directory / name)
            for part, name in shard.items()
            if part != "ids" or self.ids
        }
        X = arrays.get("X")
        if X is None:
            raise LoaderError(f"{directory} has a shard without X.")
        n = len(X)
        for part, array in arrays.items():
            if len(array) != n:
                raise LoaderError(
                    f"{directory / shard[part]} has {len(array)} rows, and X has {n}.",
                    hint="The directory is damaged: write it again.",
                )
        y, w = arrays.get("y"), arrays.get("w")
        if y is not None and y.dtype.kind not in "biuf":
            raise LoaderError(
                f"{directory / shard['y']} holds labels of dtype {y.dtype}.",
                hint="Only numbers are read as labels.",
            )
        if y is not None and w is not None and w.shape != y.shape and w.size == n:
            w = w.reshape(n)
        ids = np.asarray(arrays["ids"] if "ids" in arrays else np.arange(first, first + n))
        try:
            return NumpyDataset(
                X,
                y,
                None if y is None else w,
                ids.astype(np.dtypes.StringDType()),
                tasks if y is not None else [],
            )
        except (DatasetError, ValueError) as error:
            raise LoaderError(f"{directory}, the shard of {shard['X']}: {error}") from error

    def _array(self, path: Path) -> Any:
        """Return the array in a file, mapped if its dtype is not object."""
        try:
            with path.open("rb") as file:
                numpy_file = file.read(6) == b"\x93NUMPY"
            if not numpy_file:
                raise ValueError("it does not begin as one")
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except _BAD_FILE as error:
            if "Python objects" in str(error) or "Object arrays" in str(error):
                return self._objects(path)
            raise LoaderError(f"{path} is not an array of NumPy: {error}.") from error
        if array.ndim == 0:
            raise LoaderError(f"{path} is a single value.")
        return array

    def _objects(self, path: Path) -> Any:
        if not self.allow_pickle:
            raise LoaderError(
                f"{path} holds pickled objects, and unpickling runs whatever code is in it.",
                hint="If you wrote it yourself: DeepChemLoader(allow_pickle=True). If only the ids "
                "are pickled: DeepChemLoader(ids=False).",
            )
        try:
            values = np.load(path, allow_pickle=True)
        except (*_BAD_FILE, pickle.UnpicklingError, ImportError, AttributeError) as error:
            raise LoaderError(f"{path} cannot be unpickled: {error}.") from error
        items = values.ravel().tolist() if isinstance(values, np.ndarray) else [values]
        kinds = {type(item) for item in items}
        if kinds <= {str, int, float} and kinds:
            return np.array(list(map(str, items)), np.dtypes.StringDType()).reshape(values.shape)
        if kinds == {np.ndarray} and values.ndim == 1:
            try:
                return Ragged.from_rows(items)
            except DatasetError as error:
                raise LoaderError(f"{path}: {error}") from error
        raise LoaderError(
            f"{path} holds objects of type {', '.join(sorted(kind.__name__ for kind in kinds))}.",
            hint="Featurize the inputs again: only numbers, text and ragged arrays are read.",
        )


def _directory(source: Any) -> Path:
    if not isinstance(source, str | PathLike):
        raise LoaderError(f"The path is of type {type(source).__name__}.")
    directory = Path(source)
    if not directory.is_dir():
        raise LoaderError(
            f"{directory} cannot be read: it is not a directory.",
            hint="Give the data_dir of a DeepChem DiskDataset.",
        )
    return directory


def _tasks(directory: Path) -> list[str]:
    try:
        with (directory / "tasks.json").open("rb") as file:
            tasks = json.loads(file.read(_LIMIT))
        if not isinstance(tasks, list) or not all(isinstance(t, str | int) for t in tasks):
            raise ValueError("it is not a list of names")
    except (OSError, ValueError, RecursionError) as error:
        raise LoaderError(
            f"{directory / 'tasks.json'} cannot be read: {error}.",
            hint="This is not a directory of DeepChem, or of a version before 2.4.",
        ) from error
    return list(map(str, tasks))


def _shards(directory: Path) -> list[dict[str, str]]:
    """Return the names of the files of each shard, by part; those that it lacks are left out."""
    path = directory / _METADATA
    try:
        with gzip.open(path, "rb") as file:
            text = file.read(_LIMIT + 1)
        if len(text) > _LIMIT:
            raise ValueError(f"it has more than {_LIMIT} bytes")
        rows = list(csv.DictReader(text.decode().splitlines(), strict=True))
        for row in rows:
            if not set(_PARTS) <= row.keys():
                raise ValueError(f"it has the columns {', '.join(map(str, row))}")
    except (OSError, EOFError, ValueError, zlib.error, csv.Error) as error:
        raise LoaderError(f"{path} cannot be read: {error}.") from error
    shards = [{part: row[part] for part in _PARTS if row[part]} for row in rows]
    for shard in shards:
        for name in shard.values():
            if Path(name).name != name or name in ("..", "."):
                raise LoaderError(f"{path} names {name!r}, which is not a file in the directory.")
    return shards


def _joined(parts: list[NumpyDataset], directory: Path) -> Loaded:
    first = parts[0]
    try:
        X, y, w, ids = (
            concatenate_rows([getattr(part, name) for part in parts])
            for name in ("X", "y", "w", "ids")
        )
    except DatasetError as error:
        raise LoaderError(f"The shards of {directory} differ: {error}") from error
    return Loaded(NumpyDataset(X, y, w, ids, first.tasks, first.classes), FailureReport())
