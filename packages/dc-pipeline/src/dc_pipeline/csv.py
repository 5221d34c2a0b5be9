"""Load a CSV file: every row is in the dataset or in the failure report."""

from __future__ import annotations

import csv
import gzip
import logging
import math
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import Any, Final

import numpy as np

from dc_core import Failure, FailureReport, Featurizer, Loaded, Loader, NumpyDataset
from dc_core.errors import LoaderError, ParameterError

logger = logging.getLogger(__name__)

_GZIP: Final = b"\x1f\x8b"
_MISSING: Final = frozenset({"", "na", "n/a", "nan", "none", "null"})
_BOUND: Final = re.compile(r"(?:[<>]=?|[≤≥])\s*[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
"""A censored label: the measurement only says that the value is below or above a number."""

_MAX_FIELD: Final = 131_072
_MAX_LINES: Final = 100
"""Over how many lines a quoted field may go on."""

_UNCLOSED: Final = "a quote is not closed"


class CSVLoader(Loader):
    """Reads a CSV file with a header, plain or gzipped.

    ``inputs`` names the column of the raw inputs, such as SMILES; ``tasks`` those of the labels;
    ``id`` that of the rows' names (default: the inputs); ``weights`` one for all tasks, or one for
    each. X is the inputs, or with a ``featurizer`` its features.

    A label that is missing (empty, ``NA``, ``NaN`` …) is NaN with weight 0. So is one that is not a
    finite number (status ``label``) or only a bound, such as ``>5`` (status ``censored``): the
    report names its task, and the row stays. A row fails (status ``parse``) if its input is missing
    or contains a line break, a weight is not a number of at least 0, a quote is not closed in its
    line, it has another number of fields than the header, or a field has more than 131 072
    characters.

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
        lines = [line for line in _lines(_text(file, self.encoding)) if line]
        if not lines:
            raise LoaderError(f"{file} is empty.", hint="The first line names the columns.")
        header = next(_records(lines, self.delimiter))
        if isinstance(header, str):
            raise LoaderError(f"{file}, the first line: {header}.", hint="It names the columns.")
        places = self._places(header, file)
        numbers, columns, failures = self._columns(lines, places, len(header))
        X: Any = columns[self.inputs]
        y, bad_labels = _labels([columns[task] for task in self.tasks], self.tasks, len(X))
        failures += [
            Failure(numbers[row], X[row], status, message, self.tasks[t])
            for row, t, status, message in bad_labels
        ]
        w = np.array([columns[name] for name in self.weights], dtype=float).T
        ids = columns[self.id] if self.id else X
        if self.featurizer is not None:
            features = self.featurizer.featurize(X)
            failures += [replace(f, row=numbers[f.row]) for f in features.report]
            ok = features.ok
            X = features.values[ok]
            y = y[ok]
            w = w[ok] if self.weights else w
            ids = [name for name, good in zip(ids, ok, strict=True) if good]
        report = FailureReport(tuple(sorted(failures, key=lambda failure: failure.row)))
        if strict:
            report.raise_if_any()
        if report.failures:
            logger.warning("%s: %s", file, report)
        dataset = NumpyDataset(X, y, w if self.weights else None, ids, self.tasks)
        return Loaded(dataset, report)

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

    def _columns(
        self, lines: list[str], places: Mapping[str, int], width: int
    ) -> tuple[list[int], dict[str, list[Any]], list[Failure]]:
        """Return the rows' numbers, their columns by name, and the rows that cannot be used.

        Weights are numbers; everything else is text, stripped.
        """
        columns: dict[str, list[Any]] = _plain_columns(lines, self.delimiter, places, width)
        if columns and all(columns[self.inputs]):
            numbers = list(range(len(lines) - 1))
            failures: list[Failure] = []
        else:
            numbers, columns, failures = self._checked_columns(lines, places, width)
        bad: dict[int, str] = {}
        for name in self.weights:
            values, faults = _numbers(columns[name])
            for row in np.flatnonzero(~(values >= 0)):
                bad.setdefault(int(row), f"the weight {name} is {columns[name][row]!r}")
            bad = {**dict.fromkeys(faults, f"a weight in {name} is not a number"), **bad}
            columns[name] = values.tolist()
        if bad:
            failures += [
                Failure(numbers[row], columns[self.inputs][row], "parse", fault)
                for row, fault in bad.items()
            ]
            kept = [row for row in range(len(numbers)) if row not in bad]
            numbers = [numbers[row] for row in kept]
            columns = {name: [items[row] for row in kept] for name, items in columns.items()}
        return numbers, columns, failures

    def _checked_columns(
        self, lines: list[str], places: Mapping[str, int], width: int
    ) -> tuple[list[int], dict[str, list[Any]], list[Failure]]:
        """Return what :meth:`_columns` returns, every record looked at by itself."""
        rows: list[list[str]] = []
        numbers: list[int] = []
        failures: list[Failure] = []
        given = places[self.inputs]
        records = islice(_records(lines, self.delimiter), 1, None)
        for number, record in enumerate(records):
            fault = record if isinstance(record, str) else _fault(record, width)
            fields = [] if isinstance(record, str) else record
            text = fields[given].strip() if given < len(fields) else ""
            if not fault and (not text or "\n" in text):
                fault = "the input contains a line break" if text else "the input is missing"
            if fault:
                failures.append(Failure(number, text, "parse", fault))
            else:
                numbers.append(number)
                rows.append(fields)
        columns = {name: [row[place].strip() for row in rows] for name, place in places.items()}
        return numbers, columns, failures


def _lines(text: str) -> list[str]:
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _plain_columns(
    lines: list[str], delimiter: str, places: Mapping[str, int], width: int
) -> dict[str, list[Any]]:
    """Return the columns of a table in which every line is a good record without quotes.

    It is empty for any other table: that one needs a closer look. The header is left out.
    """
    if max(map(len, lines)) > _MAX_FIELD:
        return {}
    text = delimiter.join(lines)
    if '"' in text or {line.count(delimiter) for line in lines} != {width - 1}:
        return {}
    fields = text.split(delimiter)
    return {
        name: [field.strip() for field in fields[width + place :: width]]
        for name, place in places.items()
    }


def _records(lines: list[str], delimiter: str) -> Iterator[list[str] | str]:
    """Yield the fields of each record, or say what is wrong with it.

    A quoted field may go on in the next lines. Where that does not give a record as wide as the
    first one, its quote was never closed: the line is one bad record, and the next starts anew.
    """
    width = 0
    place = 0
    while place < len(lines):
        line = lines[place]
        place += 1
        if '"' not in line:
            record: list[str] | str = line.split(delimiter)
        else:
            record = _quoted(line, delimiter)
            end = place
            while record == _UNCLOSED and width and end < min(len(lines), place + _MAX_LINES):
                line += "\n" + lines[end]
                end += 1
                if '"' in lines[end - 1]:
                    longer = _quoted(line, delimiter)
                    if isinstance(longer, list) and len(longer) == width:
                        record, place = longer, end
                    elif longer != _UNCLOSED:
                        break
        width = width or len(record)
        yield record


def _quoted(text: str, delimiter: str) -> list[str] | str:
    """Return the fields of one record with quotes, or say what is wrong with it."""
    try:
        (fields,) = csv.reader([text], delimiter=delimiter, strict=True)
    except csv.Error as error:
        return _UNCLOSED if "unexpected end of data" in str(error) else str(error)
    return fields


def _fault(fields: list[str], width: int) -> str:
    """Say what is wrong with a record; empty if nothing is."""
    if len(fields) != width:
        return f"the row has {len(fields)} fields and the header {width}"
    if max(map(len, fields)) > _MAX_FIELD:
        return f"a field has more than {_MAX_FIELD} characters"
    return ""


def _labels(
    columns: Sequence[list[str]], tasks: Sequence[str], n: int
) -> tuple[np.ndarray, list[tuple[int, int, str, str]]]:
    """Return y, and what cannot be read of it: row, number of the task, status, reason."""
    y = np.empty((n, len(columns)))
    bad = []
    for t, column in enumerate(columns):
        y[:, t], faults = _numbers(column)
        for row in faults:
            if _BOUND.fullmatch(column[row]):
                fault = ("censored", f"{tasks[t]} is {column[row]!r}, which is only a bound")
            else:
                fault = ("label", f"{tasks[t]} is {column[row]!r}, which is no finite number")
            bad.append((row, t, *fault))
    return y, bad


def _numbers(texts: list[str]) -> tuple[np.ndarray, list[int]]:
    """Return numbers, NaN for missing ones, and the rows of those that are not numbers."""
    try:
        values = np.fromiter(map(float, texts), float, len(texts))
        # Python reads 1_000 as a number; a file that says so means something else.
        if np.isfinite(values).all() and not any("_" in text for text in texts):
            return values, []
    except ValueError:
        pass
    values = np.full(len(texts), np.nan)
    bad = []
    for row, text in enumerate(texts):
        if text.lower() in _MISSING:
            continue
        try:
            value = float(text)
        except ValueError:
            value = math.inf
        if math.isfinite(value) and "_" not in text:
            values[row] = value
        else:
            bad.append(row)
    return values, bad


def _names(columns: str | Sequence[str]) -> tuple[str, ...]:
    return (columns,) if isinstance(columns, str) else tuple(columns)


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
