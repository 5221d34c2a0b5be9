"""The base of loaders of tables: inputs, labels, weights and ids from named columns."""

from __future__ import annotations

import logging
import re
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from dc_core import (
    Column,
    Columns,
    Failure,
    FailureReport,
    Featurizer,
    Loaded,
    Loader,
    NumpyDataset,
    check_count,
    check_names,
    concatenate_rows,
    take_rows,
)
from dc_core.errors import ParameterError
from dc_pipeline.loaders.block import Block, in_batches
from dc_pipeline.loaders.growing import GrowingArray
from dc_pipeline.loaders.numerals import MISSING
from dc_pipeline.loaders.values import Fields

logger = logging.getLogger(__name__)

_BOUND: Final = re.compile(r"(?:[<>]=?|[≤≥])\s*[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
"""A censored label: the measurement only says that the value is below or above a number."""


class TableLoader(Loader):
    """A loader of records with named fields.

    A subclass writes :meth:`_blocks`; and :meth:`_expected` and :meth:`_no_columns` if it can.
    Parameters and failures are those of :class:`CSVLoader`.
    """

    def __init__(
        self,
        inputs: str,
        tasks: str | Sequence[str] = (),
        id: str | None = None,
        weights: str | Sequence[str] | None = None,
        featurizer: Featurizer[Any] | None = None,
        classes: str | Sequence[str] | Mapping[str, Sequence[str]] = (),
    ) -> None:
        (self.inputs,) = names_of_columns("inputs", [inputs])
        self.tasks = names_of_columns("tasks", tasks)
        self.id = None if id is None else names_of_columns("id", [id])[0]
        self.weights = names_of_columns("weights", weights or ())
        self.featurizer = check_featurizer(featurizer)
        self.classes: dict[str, tuple[str, ...]] = (
            {task: names_of_columns(f"classes[{task!r}]", names) for task, names in classes.items()}
            if isinstance(classes, Mapping)
            else dict.fromkeys(names_of_columns("classes", classes), ())
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

    def batches(self, source: Any, *, size: int = 4096, start: int = 0) -> Iterator[Loaded]:
        """Yield the rows from row ``start`` on, in batches of ``size`` rows, as all loaders do.

        If the names of classes are not given, the source is read twice: they are numbered alike in
        all batches.
        """
        check_count("size", size, minimum=1)
        check_count("start", start, minimum=0)
        classes = dict(self.classes)
        unnamed = [task for task, names in classes.items() if not names]
        if unnamed:
            found: dict[str, set[str]] = {task: set() for task in unnamed}
            for block in self._blocks(source, 0):
                for task, names in found.items():
                    names |= _class_names(block.texts[task].tolist())
            classes |= {task: tuple(sorted(names)) for task, names in found.items()}
        for blocks in in_batches(self._blocks(source, start), size, start):
            yield self._loaded(blocks, 0, classes)

    def _collect(self, source: Any, *, strict: bool) -> Loaded:
        # Rows are added to growing arrays: concatenating batches would hold all of them twice.
        if strict:
            return super()._collect(source, strict=True)
        loaded = self._loaded(self._blocks(source, 0), self._expected(source), self.classes)
        if self.id is not None:
            ids = loaded.dataset.ids.tolist()
            repeated = len(ids) - len(set(ids))
            if repeated:
                logger.warning("%d rows have the id of a row before them", repeated)
        return loaded

    @abstractmethod
    def _blocks(self, source: Any, start: int) -> Iterator[Block]:
        """Yield the records of ``source``; those before ``start`` may be left out.

        The texts of a block are :meth:`_texts`, and its numbers :meth:`_numbers`.
        """

    def _expected(self, source: Any) -> int:
        """Return the size of ``source`` in the unit of :attr:`Block.progress`; 0 if unknown."""
        return 0

    def _no_columns(self) -> dict[str, Column]:
        """Return the further columns of X without any row."""
        return {}

    def _loaded(
        self, blocks: Iterable[Block], size: int, given: Mapping[str, tuple[str, ...]]
    ) -> Loaded:
        """Return the rows of ``blocks``, which are of ``size`` together; ``given`` are classes."""
        columns = {name: GrowingArray(np.dtypes.StringDType()) for name in self._texts()}
        y = GrowingArray(np.float64, len(self.tasks))
        w = GrowingArray(np.float64, len(self.weights))
        records, ok = GrowingArray(np.intp), GrowingArray(bool)
        more: list[Mapping[str, Column]] = [self._no_columns()]
        failures: list[Failure] = []
        progress = 0
        for block in blocks:
            weights, good, faults = self._weights(block)
            labels, bad_labels = self._labels(block, good)
            failures += block.failures + faults + bad_labels
            progress += block.progress
            count = len(records.array) + len(good)
            expected = int(1.05 * count * size / max(1, progress))
            for name in columns:
                columns[name].extend(block.texts[name], expected)
            if block.columns:
                more.append(block.columns)
            y.extend(labels, expected)
            w.extend(weights, expected)
            records.extend(block.records, expected)
            ok.extend(good, expected)
        rows, usable, labels, weights = records.array, ok.array, y.array, w.array
        texts = {name: column.array for name, column in columns.items()}
        inputs = texts[self.inputs]
        X: Columns = inputs
        ids = texts[self.id or self.inputs]
        classes = dict(given)
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
        if more[0]:
            X = {**(X if isinstance(X, Mapping) else {self.inputs: X}), **concatenate_rows(more)}
        report = FailureReport(tuple(sorted(failures, key=lambda failure: failure.row)))
        if not usable.all():
            parts = (X, labels, weights, ids)
            X, labels, weights, ids = (take_rows(part, usable) for part in parts)
        w_given = weights if self.weights else None
        return Loaded(NumpyDataset(X, labels, w_given, ids, self.tasks, classes), report)

    def _texts(self) -> list[str]:
        """Return the names of the columns that are read as text."""
        return list(dict.fromkeys([self.inputs, self.id or self.inputs, *self.classes]))

    def _numbers(self) -> list[str]:
        """Return the names of the columns that are read as numbers: labels, then weights."""
        return [*(task for task in self.tasks if task not in self.classes), *self.weights]

    def _fields(self) -> Fields:
        """Return the fields of a record that are needed."""
        return Fields(self.inputs, self._texts(), self._numbers())

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


def check_featurizer(value: Any) -> Featurizer[Any] | None:
    """Return ``value``, a featurizer or None; raises :class:`ParameterError` for anything else."""
    if value is not None and not isinstance(value, Featurizer):
        raise ParameterError(
            f"featurizer={value!r} is not a featurizer.", hint="Give an instance, such as ECFP()."
        )
    return value


def names_of_columns(argument: str, given: str | Sequence[str]) -> tuple[str, ...]:
    """Return one name or several as a tuple.

    Raises :class:`ParameterError`, with the ``argument``, if they are not text or occur twice.
    """
    names = [given] if isinstance(given, str) else given
    check_names(argument, names)
    if not all(isinstance(name, str) for name in names):
        raise ParameterError(f"{argument}={given!r} must be names of columns.")
    if len(set(names)) != len(names):
        raise ParameterError(f"{argument}={given!r} has a name twice.")
    return tuple(names)


def _label_fault(task: str, text: str) -> tuple[str, str]:
    """Return the status of a label that cannot be used, and the reason."""
    if _BOUND.fullmatch(text):
        return "censored", f"{task} is {text!r}, which is only a bound"
    names = text.isidentifier() and text.lower() not in ("inf", "infinity", "nan")
    classes = f"; for names of classes, give classes={task!r}" if names else ""
    return "label", f"{task} is {text!r}, which is not a finite number{classes}"


def _class_names(labels: list[str]) -> set[str]:
    """Return the different labels that are not missing."""
    return {label for label in set(labels) if label.lower() not in MISSING}


def _numbered(
    labels: np.ndarray, names: Sequence[str]
) -> tuple[np.ndarray, tuple[str, ...], list[tuple[int, str]]]:
    """Return the numbers of classes, their names, and the labels that are not among the names.

    Without ``names`` they are all labels in sorted order. A missing label is NaN.
    """
    given: list[str] = labels.tolist()
    found = _class_names(given)
    names = tuple(names) or tuple(sorted(found))
    number = {name: float(i) for i, name in enumerate(names)}
    unknown = found - set(names)
    bad = [(row, label) for row, label in enumerate(given) if label in unknown] if unknown else []
    return np.array([number.get(label, np.nan) for label in given], float), names, bad
