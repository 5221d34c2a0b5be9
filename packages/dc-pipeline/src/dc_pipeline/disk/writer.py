"""Write a dataset to disk, block by block."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Mapping
from contextlib import ExitStack, suppress
from importlib import import_module
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np

from dc_core import Column, Dataset, Ragged, check_dataset, dtype_from_name, sync_directory
from dc_pipeline.disk.failures import FAILURES
from dc_pipeline.disk.header import (
    FILENAME,
    MAX_CODES,
    ColumnSpec,
    Header,
    Segment,
    read_header,
    write_header,
)
from dc_pipeline.disk.writing import writing
from dc_pipeline.errors import DiskDatasetError

fcntl: Any = None
with suppress(ModuleNotFoundError):  # not a POSIX system
    fcntl = import_module("fcntl")

_LOCK: Final = ".lock"


class DatasetWriter:
    """Appends rows to a dataset in a directory, which is made if it does not exist.

    The first block decides which columns there are, and of which dtype and shape. Bools are packed
    into bits, and so are the columns named in ``pack``, whose values are zeros and ones as uint8
    (``pack=True``: X, if it is one column). Ragged columns of integers named in ``code`` have at
    most 65 536 different values, and take two bytes a value. ``provenance`` is JSON about where the
    rows come from, added to what the dataset has.

    What is appended counts from :meth:`commit` on, which leaving the ``with`` block calls; if it is
    left by an exception, the rows since the last commit are dropped. A process that is killed
    leaves the dataset of the last commit.

    Memory is that of one block, besides the tables of coded columns.

    Raises :class:`DiskDatasetError` if another process writes to the directory, if it holds
    something else, and if it cannot be written.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        pack: Collection[str] | bool = (),
        code: Collection[str] = (),
        provenance: Mapping[str, Any] | None = None,
    ) -> None:
        self.directory = Path(directory)
        self._pack = {""} if pack is True else set(pack or ())
        self._code = set(code)
        self._added = dict(provenance or {})
        self._header: Header | None = None
        self._files: dict[str, FileIO] = {}
        self._digests: dict[str, Any] = {}
        self._items: dict[str, int] = {}
        self._tables: dict[str, np.ndarray] = {}
        self._new = 0
        self._closed = False
        self._resources = ExitStack()
        try:
            self._open()
        except BaseException:
            self._resources.close()
            raise

    @property
    def rows(self) -> int:
        """The number of rows, those included that are not committed yet."""
        return (self._header.rows if self._header else 0) + self._new

    def append(self, dataset: Dataset) -> None:
        """Append the rows of ``dataset``.

        Raises :class:`DiskDatasetError` if its columns, tasks or classes are not those of the rows
        before it, if the disk is full, or if the writer is closed. The rows before it are kept.
        """
        check_dataset(dataset)
        self._check_open()
        if len(dataset) == 0:
            return
        X = dataset.X if isinstance(dataset.X, Mapping) else {"": dataset.X}
        if self._header is None:
            self._start(dataset, X)
        header = self._header
        assert header is not None  # noqa: S101 - set by _start
        self._check(header, _header_of(dataset, X, *_packed_and_coded(header)))
        X, tables = self._coded(header, X)
        arrays: dict[str, Column] = {f"x{i}": column for i, column in enumerate(X.values())}
        arrays |= {"y": dataset.y, "w": dataset.w, "ids": dataset.ids}
        blocks: dict[str, np.ndarray] = {}
        items = dict(self._items)
        for stem, spec in header.columns.items():
            values, ends = _stored(stem, arrays[stem], spec)
            blocks[f"{stem}.bin"] = values
            if ends is not None:
                blocks[f"{stem}.offsets"] = (ends + items.get(stem, 0)).astype("<i8")
                items[stem] = items.get(stem, 0) + int(ends[-1])
        self._write(blocks)
        self._items, self._tables = items, tables
        self._new += len(dataset)

    def commit(self, provenance: Mapping[str, Any] | None = None) -> None:
        """Make all rows appended so far part of the dataset, durably; add to its provenance.

        Raises :class:`DiskDatasetError` if they cannot be written, or if the writer is closed. The
        rows of the last commit are kept.
        """
        self._check_open()
        self._added |= provenance or {}
        if self._header is None:
            return
        hint = f"Only the {self._header.rows} rows of the last commit are kept: append the others"
        with writing(self.directory, f"{hint} again, by a new DatasetWriter."):
            try:
                for file in self._files.values():
                    os.fsync(file.fileno())
            except OSError:
                # The system may drop what it could not write, and a second fsync would succeed.
                self.close()
                raise
        sha256 = {name: digest.hexdigest() for name, digest in self._digests.items()}
        provenance = {**self._header.provenance, **self._added}
        header = self._header.with_rows(
            Segment(self._new, sha256), self._items, self._tables, provenance
        )
        write_header(self.directory, header)
        self._header = header
        self._new = 0
        self._digests = {name: hashlib.sha256() for name in self._files}

    def close(self) -> None:
        """End writing without committing."""
        self._closed = True
        self._resources.close()

    def __enter__(self) -> Self:
        """Return the writer."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Commit, unless the block raised; close in any case."""
        try:
            if kind is None and not self._closed:
                self.commit()
        finally:
            self.close()

    def _check_open(self) -> None:
        if self._closed:
            raise DiskDatasetError(
                f"The writer of {self.directory} is closed.",
                hint="Make a new DatasetWriter; its rows are those of the last commit.",
            )

    def _open(self) -> None:
        with writing(self.directory):
            self.directory.mkdir(parents=True, exist_ok=True)
            check_directory(self.directory)
            lock = self._resources.enter_context((self.directory / _LOCK).open("wb"))
        if fcntl is not None:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise DiskDatasetError(
                    f"Another writer has {self.directory} open.", hint="Wait until it has finished."
                ) from error
        if (self.directory / FILENAME).exists():
            self._header = read_header(self.directory)
            self._items = dict(self._header.items)
            self._tables = _tables_of(self._header)
            self._open_files(self._header)

    def _start(self, dataset: Dataset, X: Mapping[str, Column]) -> None:
        """Decide the form of the columns by the first rows."""
        for argument, names in (("pack", self._pack), ("code", self._code)):
            if names - X.keys():
                unknown = min(names - X.keys())
                raise DiskDatasetError(f"{argument} names {unknown!r}, which is not a column of X.")
        header = _header_of(dataset, X, self._pack, self._code)
        self._open_files(header)
        self._header = header
        self._tables = _tables_of(header)

    def _open_files(self, header: Header) -> None:
        """Open every file at its committed end, and cut off uncommitted bytes."""
        with writing(self.directory):
            for name, size in header.file_sizes().items():
                path = self.directory / name
                file = FileIO(path, "r+" if path.exists() else "w+")
                self._resources.enter_context(file)
                if header.rows and file.seek(0, 2) < size:
                    raise DiskDatasetError(
                        f"{path} is shorter than dataset.json says.",
                        hint="Write the dataset again.",
                    )
                if not header.rows and name.endswith(".offsets"):
                    file.write(bytes(8))
                file.truncate(size)
                file.seek(size)
                self._files[name] = file
            sync_directory(self.directory)
        self._digests = {name: hashlib.sha256() for name in self._files}

    def _check(self, header: Header, found: Header) -> None:
        """Raise :class:`DiskDatasetError` unless rows of the form of ``found`` can be appended."""
        if found.form == header.form:
            return
        if (found.tasks, dict(found.classes)) != (header.tasks, dict(header.classes)):
            raise DiskDatasetError(
                f"The tasks and classes {found.tasks}, {dict(found.classes)} are not those of the "
                f"dataset: {header.tasks}, {dict(header.classes)}.",
                hint="Give classes=... when loading, so that all parts number them alike.",
            )
        raise DiskDatasetError(
            f"The dataset has the columns {_shown(header)}; these rows have {_shown(found)}.",
            hint="Featurize all rows alike, and convert them to the same dtype.",
        )

    def _coded(
        self, header: Header, X: Mapping[str, Column]
    ) -> tuple[dict[str, Column], dict[str, np.ndarray]]:
        """Return X with places in tables for the values of coded columns, and these tables."""
        columns, tables = dict(X), dict(self._tables)
        for name, column in X.items():
            if header.X[name].kind == "coded" and isinstance(column, Ragged):
                places, tables[name] = _places(name, column.values, tables[name])
                columns[name] = Ragged(places, column.offsets)
        return columns, tables

    def _write(self, blocks: Mapping[str, np.ndarray]) -> None:
        """Append each block to its file and digest; take all back if one cannot be written."""
        ends = {name: self._files[name].tell() for name in blocks}
        digests = {name: self._digests[name].copy() for name in blocks}
        hint = f"The {self.rows} rows before these are kept; free space and go on."
        with writing(self.directory, hint):
            try:
                for name, block in blocks.items():
                    data = np.ascontiguousarray(block).reshape(-1).view(np.uint8)
                    written = 0
                    while written < data.size:
                        written += self._files[name].write(data[written:].data)
                    digests[name].update(data.data)
            except BaseException:
                self._cut(ends)
                raise
        self._digests = digests

    def _cut(self, ends: Mapping[str, int]) -> None:
        """Let the files end where they did, or close them so that nothing is written behind."""
        try:
            for name, end in ends.items():
                self._files[name].truncate(end)
                self._files[name].seek(end)
        except BaseException:
            self.close()
            raise


def check_directory(directory: Path) -> None:
    """Raise :class:`DiskDatasetError` if ``directory`` holds something else than a dataset."""
    if not directory.exists() or (directory / FILENAME).exists():
        return
    with writing(directory):
        strangers = [
            path.name
            for path in directory.iterdir()
            if path.suffix not in (".bin", ".offsets")
            and path.name != FAILURES
            and not path.name.startswith(".")
        ]
    if strangers:
        raise DiskDatasetError(
            f"{directory} is not a dataset: it holds {min(strangers)!r}.",
            hint="Choose a new directory.",
        )


def _header_of(
    dataset: Dataset, X: Mapping[str, Column], pack: Collection[str], code: Collection[str]
) -> Header:
    """Return the header of a dataset without rows that has the form of ``dataset``."""
    specs = {
        name: ColumnSpec.of(column, packed=name in pack, coded=name in code)
        for name, column in X.items()
    }
    y, w = ColumnSpec.of(dataset.y), ColumnSpec.of(dataset.w)
    return Header(0, specs, y, w, dataset.tasks, dataset.classes)


def _packed_and_coded(header: Header) -> tuple[set[str], set[str]]:
    """Return the names of the columns that are stored as bits, and of those stored as codes."""
    packed, coded = (
        {name for name, spec in header.X.items() if spec.kind == kind} for kind in ("bits", "coded")
    )
    return packed, coded


def _stored(stem: str, column: Column, spec: ColumnSpec) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the values of ``column`` as they are stored, and where its rows end."""
    if isinstance(column, Ragged):
        return column.values.astype(spec.stored_dtype, copy=False), column.offsets[1:]
    if spec.kind == "text":
        encoded = [text.encode() for text in column.tolist()]
        ends = np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded)))
        return np.frombuffer(b"".join(encoded), np.uint8), ends
    if spec.kind == "bits":
        if column.dtype == np.uint8 and column.max(initial=0) > 1:
            raise DiskDatasetError(
                f"The column {stem} holds {column.max()}, and its values are packed into bits.",
                hint="Leave it out of pack=.",
            )
        return np.packbits(column, axis=-1), None
    return column.astype(spec.stored_dtype, copy=False), None


def _tables_of(header: Header) -> dict[str, np.ndarray]:
    return {
        name: np.array(spec.table, dtype_from_name(spec.dtype))
        for name, spec in header.X.items()
        if spec.kind == "coded"
    }


def _places(name: str, values: np.ndarray, table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the places of ``values`` in the table, and the table with those that it lacked."""
    table = np.concatenate([table, np.setdiff1d(values, table)])
    if len(table) > MAX_CODES:
        raise DiskDatasetError(
            f"The column {name} has more than {MAX_CODES} different values.",
            hint="Leave it out of code=, and write the dataset again.",
        )
    order = np.argsort(table)
    places = order[np.searchsorted(table, values, sorter=order)] if len(values) else order[:0]
    return places.astype(np.uint16), table


def _shown(header: Header) -> str:
    columns = {**header.X, "y": header.y, "w": header.w}
    return ", ".join(
        f"{name or 'X'}: {spec.kind} {spec.dtype} {spec.shape}" for name, spec in columns.items()
    )
