"""Load a CSV file: every row is in the dataset or in the failure report."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any, Final

import numpy as np

from dc_core import (
    Columns,
    Failure,
    FailureReport,
    Featurizer,
    Loaded,
    Loader,
    NumpyDataset,
    check_names,
    take_rows,
)
from dc_core.errors import LoaderError, ParameterError
from dc_pipeline.delimited import Block, Layout, Unread, read_blocks, read_header
from dc_pipeline.growing import GrowingArray
from dc_pipeline.numerals import MISSING
from dc_pipeline.text_file import file_size, read_text

logger = logging.getLogger(__name__)

_BOUND: Final = re.compile(r"(?:[<>]=?|[≤≥])\s*[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
"""A censored label: the measurement only says that the value is below or above a number."""


class CSVLoader(Loader):
    """Reads a CSV file with a header, plain or gzipped.

    ``inputs`` names the column of the raw inputs, such as SMILES; ``tasks`` those of the labels;
    ``id`` that of the rows' names (default: the inputs); ``weights`` one for all tasks, or one for
    each task. X is the inputs, or with a ``featurizer`` its features.

    ``classes`` names the tasks whose labels are text, such as ``active``: they are numbered in
    sorted order, and the dataset's :attr:`~dc_core.Dataset.classes` holds their names. A mapping
    sets the names and their order: ``classes={"activity": ["inactive", "active"]}``; another label
    then fails (status ``label``).

    A label that is missing (empty, ``NA``, ``NaN`` …) is NaN with weight 0. So is one that is not a
    finite number (status ``label``) or only a bound, such as ``>5`` (status ``censored``): the
    report names its task, and the row is kept. A row fails (status ``parse``) if its input is
    missing or contains a line break, a weight is not a number of at least 0, a quote is not closed
    in its line, it has another number of fields than the header, or a field has more than 131 072
    characters.

    Raises :class:`ParameterError` for a wrong number of weights, a delimiter that is not a single
    character, names that are not text or occur twice, and classes of other tasks.
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
        classes: str | Sequence[str] | Mapping[str, Sequence[str]] = (),
    ) -> None:
        (self.inputs,) = _names("inputs", [inputs])
        self.tasks = _names("tasks", tasks)
        self.id = None if id is None else _names("id", [id])[0]
        self.weights = _names("weights", weights or ())
        self.featurizer = featurizer
        self.delimiter = delimiter
        self.encoding = encoding
        self.classes: dict[str, tuple[str, ...]] = (
            {task: _names(f"classes[{task!r}]", names) for task, names in classes.items()}
            if isinstance(classes, Mapping)
            else dict.fromkeys(_names("classes", classes), ())
        )
        separator: Any = delimiter
        if not isinstance(separator, str) or len(separator) != 1 or separator in '"\r\n':
            raise ParameterError(
                f"The delimiter is {delimiter!r}.", hint="Give one character, such as ',' or ';'."
            )
        if len(self.weights) not in (0, 1, len(self.tasks)):
            raise ParameterError(
                f"There are {len(self.weights)} columns of weights for {len(self.tasks)} tasks.",
                hint="Give one for all tasks, or one for each.",
            )
        if not set(self.classes) <= set(self.tasks):
            raise ParameterError(
                f"classes names {min(set(self.classes) - set(self.tasks))!r}, which is not a task."
            )
        if featurizer is not None and not isinstance(featurizer, Featurizer):
            raise ParameterError(
                f"featurizer={featurizer!r} is not a featurizer.",
                hint="Give an instance, such as ECFP().",
            )

    def load(self, path: str | PathLike[str], *, strict: bool = False) -> Loaded:
        """Return the dataset of the usable rows and the report on the others, which is logged.

        Rows are numbered from 0 after the header; blank lines do not count. ``strict`` raises
        :class:`FeaturizationError` if anything failed. Raises :class:`LoaderError` if the file
        cannot be read, is not text in the encoding, or lacks a column.
        """
        if not isinstance(path, str | PathLike):
            raise LoaderError(
                f"The path is of type {type(path).__name__}.",
                hint="For a DataFrame: NumpyDataset.from_dataframe(df, X=..., y=...).",
            )
        file = Path(path)
        dataset, report = self._dataset(file)
        if strict:
            report.raise_if_any()
        if report.failures:
            logger.warning("%s: %s", file, report)
        return Loaded(dataset, report)

    def _dataset(self, file: Path) -> tuple[NumpyDataset, FailureReport]:
        columns = {name: GrowingArray(np.dtypes.StringDType()) for name in self._texts()}
        y = GrowingArray(np.float64, len(self.tasks))
        w = GrowingArray(np.float64, len(self.weights))
        records, ok = GrowingArray(np.intp), GrowingArray(bool)
        failures: list[Failure] = []
        characters = 0
        blocks = self._blocks(file)
        size = file_size(file)
        for block in blocks:
            weights, good, faults = self._weights(block)
            labels, bad_labels = self._labels(block, good)
            failures += block.failures + faults + bad_labels
            characters += block.characters
            count = len(records.array) + len(good)
            expected = int(1.05 * count * size / characters)
            for name, column in block.texts.items():
                columns[name].extend(column, expected)
            y.extend(labels, expected)
            w.extend(weights, expected)
            records.extend(block.records, expected)
            ok.extend(good, expected)
        rows, usable, labels, weights = records.array, ok.array, y.array, w.array
        texts = {name: column.array for name, column in columns.items()}
        inputs = texts[self.inputs]
        X: Columns = inputs
        ids = texts[self.id or self.inputs]
        classes = dict(self.classes)
        for task in classes:
            numbered, classes[task], bad = _numbered(texts[task], classes[task])
            labels[:, self.tasks.index(task)] = numbered
            failures += [
                Failure(
                    int(rows[row]),
                    str(inputs[row]),
                    "label",
                    f"{name!r} is not a class of {task}",
                    task,
                )
                for row, name in bad
                if usable[row]
            ]
        if self.featurizer is not None:
            features = self.featurizer.featurize(inputs.tolist())
            failures += [
                replace(failure, row=int(rows[failure.row]))
                for failure in features.failures
                if usable[failure.row]
            ]
            X, usable = features.values, usable & features.ok
        report = FailureReport(tuple(sorted(failures, key=lambda failure: failure.row)))
        if not usable.all():
            parts = (X, labels, weights, ids)
            X, labels, weights, ids = (take_rows(part, usable) for part in parts)
        given = weights if self.weights else None
        return NumpyDataset(X, labels, given, ids, self.tasks, classes), report

    def _texts(self) -> list[str]:
        """Return the names of the columns that are read as text."""
        return list(dict.fromkeys([self.inputs, self.id or self.inputs, *self.classes]))

    def _numbers(self) -> list[str]:
        """Return the names of the columns that are read as numbers: labels, then weights."""
        return [*(task for task in self.tasks if task not in self.classes), *self.weights]

    def _weights(self, block: Block) -> tuple[np.ndarray, np.ndarray, list[Failure]]:
        """Return the weights ``(n, columns)``, the rows in which all can be used, and failures."""
        first = len(self._numbers()) - len(self.weights)
        weights = block.numbers[:, first:]
        valid = weights >= 0
        ok = np.asarray(valid.all(axis=1))
        failures = []
        for row in np.flatnonzero(~ok).tolist():
            i = int(np.flatnonzero(~valid[row])[0])
            text = block.unread.get((row, first + i))
            value = weights[row, i]
            number = "missing" if np.isnan(value) else f"{value:g}"
            shown = number if text is None else repr(text)
            fault = f"the weight {self.weights[i]} is {shown}"
            failures.append(self._failure(block, row, "parse", fault))
        return weights, ok, failures

    def _labels(self, block: Block, ok: np.ndarray) -> tuple[np.ndarray, list[Failure]]:
        """Return the labels ``(n, tasks)``, and failures in the rows that are ``ok``."""
        numbers = self._numbers()
        if self.classes:
            labels = np.empty((len(block.records), len(self.tasks)))
            columns = [t for t, task in enumerate(self.tasks) if task not in self.classes]
            labels[:, columns] = block.numbers[:, : len(columns)]
        else:
            labels = block.numbers[:, : len(self.tasks)]
        failures = []
        for (row, column), text in block.unread.items():
            if ok[row] and column < len(numbers) - len(self.weights):
                status, fault = _label_fault(numbers[column], text)
                failures.append(self._failure(block, row, status, fault, numbers[column]))
        return labels, failures

    def _failure(self, block: Block, row: int, status: str, fault: str, task: str = "") -> Failure:
        given = block.texts[self.inputs][row]
        return Failure(int(block.records[row]), given, status, fault, task)

    def _blocks(self, file: Path) -> Iterator[Block]:
        unread = Unread(read_text(file, self.encoding))
        header = read_header(unread, self.delimiter)
        if not header:
            raise LoaderError(f"{file} is empty.", hint="The first line names the columns.")
        if isinstance(header, str):
            raise LoaderError(
                f"{file}, the first line: {header}.", hint="The first line names the columns."
            )
        places = self._places(header, file)
        layout = Layout(
            self.delimiter,
            len(header),
            self.inputs,
            texts={name: places[name] for name in self._texts()},
            numbers=[places[name] for name in self._numbers()],
        )
        return read_blocks(unread, layout)

    def _places(self, header: list[str], file: Path) -> dict[str, int]:
        """Return the position in a record of each column that is needed."""
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


def _label_fault(task: str, text: str) -> tuple[str, str]:
    """Return the status of a label that cannot be used, and the reason."""
    if _BOUND.fullmatch(text):
        return "censored", f"{task} is {text!r}, which is only a bound"
    return "label", f"{task} is {text!r}, which is not a finite number"


def _numbered(
    labels: np.ndarray, names: Sequence[str]
) -> tuple[np.ndarray, tuple[str, ...], list[tuple[int, str]]]:
    """Return the numbers of classes, their names, and the labels that are not among the names.

    Without ``names`` they are all labels in sorted order. A missing label is NaN.
    """
    given: list[str] = labels.tolist()
    found = {label for label in set(given) if label.lower() not in MISSING}
    names = tuple(names) or tuple(sorted(found))
    number = {name: float(i) for i, name in enumerate(names)}
    unknown = found - set(names)
    bad = [(row, label) for row, label in enumerate(given) if label in unknown] if unknown else []
    return np.array([number.get(label, np.nan) for label in given], float), names, bad


def _names(argument: str, given: str | Sequence[str]) -> tuple[str, ...]:
    names = [given] if isinstance(given, str) else given
    check_names(argument, names)
    if not all(isinstance(name, str) for name in names):
        raise ParameterError(f"{argument}={given!r} must be names of columns.")
    if len(set(names)) != len(names):
        raise ParameterError(f"{argument}={given!r} has a name twice.")
    return tuple(names)
