"""Loading a CSV file: each row becomes one of the dataset, or a line in the failure report."""

from __future__ import annotations

import csv
import gzip
import io
import logging
import math
import zlib
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from dc_core import Failure, FailureReport, Featurizer, Loaded, Loader, NumpyDataset
from dc_core.errors import LoaderError, ParameterError

logger = logging.getLogger(__name__)

_GZIP: Final = b"\x1f\x8b"
_MISSING: Final = frozenset({"", "na", "n/a", "nan", "none", "null"})


class _Row(NamedTuple):
    number: int
    input: str
    id: str
    y: list[float]
    w: list[float]


class CSVLoader(Loader):
    """Reads a CSV file with a header, plain or gzipped.

    ``inputs`` names the column of the raw inputs, such as SMILES; ``tasks`` those of the labels;
    ``id`` that of the rows' names (default: the inputs); ``weights`` one for all tasks, or one for
    each. X is the inputs, or with a ``featurizer`` its features.

    A label that is missing (empty, ``NA``, ``NaN`` …) is NaN with weight 0. A row fails without an
    input, with a label or weight that is no finite number, or with another length than the header.

    Raises :class:`ParameterError` for another number of weights, or no single-character delimiter.
    """

    def __init__(
        self,
        inputs: str = "smiles",
        tasks: str | Sequence[str] = (),
        id: str | None = None,
        weights: str | Sequence[str] | None = None,
        featurizer: Featurizer[Any] | None = None,
        delimiter: str = ",",
        encoding: str = "utf-8-sig",
    ) -> None:
        self.inputs = inputs
        self.tasks = _names(tasks)
        self.id = id
        self.weights = _names(weights or ())
        self.featurizer = featurizer
        self.delimiter = delimiter
        self.encoding = encoding
        if len(delimiter) != 1:
            raise ParameterError(f"The delimiter is one character, not {delimiter!r}.")
        if len(self.weights) not in (0, 1, len(self.tasks)):
            raise ParameterError(
                f"There are {len(self.weights)} columns of weights for {len(self.tasks)} tasks.",
                hint="Give one for all tasks, or one for each.",
            )

    def load(self, path: str | PathLike[str], *, strict: bool = False) -> Loaded:
        """Return the dataset of the good rows, and the report on the others, which is logged.

        Rows are numbered from 0 below the header; blank lines do not count. ``strict`` raises
        :class:`FeaturizationError` in place of a report with failures. Raises :class:`LoaderError`
        for a file that cannot be read, is no CSV in the encoding, or lacks a column.
        """
        file = Path(path)
        header, *lines = self._lines(file)
        places = self._places(header, file)
        rows: list[_Row] = []
        failures: list[Failure] = []
        for number, fields in enumerate(lines):
            try:
                rows.append(self._row(number, fields, places, len(header)))
            except ValueError as error:
                place = places[self.inputs]
                given = fields[place] if place < len(fields) else ""
                failures.append(Failure(number, given, "parse", str(error)))
        X = np.array([row.input for row in rows], dtype=str)
        if self.featurizer is not None:
            features = self.featurizer.featurize(X.tolist())
            for failure in features.report.failures:
                number = rows[failure.row].number
                failures.append(Failure(number, failure.input, failure.status, failure.message))
            X = features.values[features.ok]
            rows = [row for row, good in zip(rows, features.ok, strict=True) if good]
        report = FailureReport(tuple(sorted(failures, key=lambda failure: failure.row)))
        if strict:
            report.raise_if_any()
        if report.failures:
            logger.warning("%s: %s", file, report)
        return Loaded(self._dataset(X, rows), report)

    def _lines(self, file: Path) -> list[list[str]]:
        """Return the fields of every line that is not blank, the header first."""
        text = _text(file, self.encoding)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=self.delimiter)
        try:
            lines = [fields for fields in reader if fields]
        except csv.Error as error:
            raise LoaderError(
                f"{file}, line {reader.line_num}: {error}.", hint="Look for an unclosed quote."
            ) from error
        if not lines:
            raise LoaderError(f"{file} is empty.", hint="The first line names the columns.")
        return lines

    def _places(self, header: list[str], file: Path) -> dict[str, int]:
        """Return where in a line each column that is asked for stands."""
        columns = [name.strip() for name in header]
        wanted = [self.inputs, *self.tasks, *self.weights, *([self.id] if self.id else [])]
        for name in wanted:
            if name not in columns:
                raise LoaderError(
                    f"{file} has no column {name!r}.", hint=f"It has: {', '.join(columns)}."
                )
            if columns.count(name) > 1:
                raise LoaderError(f"{file} has several columns {name!r}.", hint="Rename one.")
        return {name: columns.index(name) for name in wanted}

    def _row(self, number: int, fields: list[str], places: dict[str, int], width: int) -> _Row:
        """Return a line's values; a ``ValueError`` says what is wrong with it."""
        if len(fields) != width:
            raise ValueError(f"the row has {len(fields)} fields and the header {width}")
        given = fields[places[self.inputs]].strip()
        if not given:
            raise ValueError("the input is missing")
        y = [_number(task, fields[places[task]]) for task in self.tasks]
        w = [_number(name, fields[places[name]]) for name in self.weights]
        for name, weight in zip(self.weights, w, strict=True):
            if not weight >= 0:
                raise ValueError(f"the weight {name} is {fields[places[name]]!r}")
        return _Row(number, given, fields[places[self.id]].strip() if self.id else given, y, w)

    def _dataset(self, X: np.ndarray, rows: list[_Row]) -> NumpyDataset:
        y = np.array([row.y for row in rows], dtype=float).reshape(len(rows), len(self.tasks))
        w = np.array([row.w for row in rows], dtype=float).reshape(len(rows), len(self.weights))
        ids = np.array([row.id for row in rows], dtype=str)
        return NumpyDataset(X, y, w if self.weights else None, ids, self.tasks)


def _names(columns: str | Sequence[str]) -> tuple[str, ...]:
    return (columns,) if isinstance(columns, str) else tuple(columns)


def _number(name: str, text: str) -> float:
    """Return a number, NaN for a missing one; a ``ValueError`` for anything else."""
    if text.strip().lower() in _MISSING:
        return math.nan
    try:
        value = float(text)
    except ValueError:
        value = math.inf
    # Python reads 1_000 as a number; a file that says so means something else.
    if not math.isfinite(value) or "_" in text:
        raise ValueError(f"{name} is {text!r}, which is no finite number")
    return value


def _text(file: Path, encoding: str) -> str:
    try:
        content = file.read_bytes()
        if content.startswith(_GZIP):
            content = gzip.decompress(content)
        return content.decode(encoding)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise LoaderError(
            f"{file} is a damaged gzip file: {error}.", hint="Get it again."
        ) from error
    except OSError as error:
        raise LoaderError(
            f"{file} cannot be read: {error.strerror}.", hint=f"Paths start at {Path.cwd()}."
        ) from error
    except UnicodeDecodeError as error:
        raise LoaderError(
            f"{file} is no text in {encoding}: {error.reason} at byte {error.start}.",
            hint="Give the file's encoding, such as encoding='latin-1'.",
        ) from error
    except LookupError as error:
        raise LoaderError(f"There is no encoding {encoding!r}.", hint="utf-8 is usual.") from error
