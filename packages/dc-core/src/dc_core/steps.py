"""The contracts of a pipeline's steps: loader, featurizer, splitter, transformer."""

from __future__ import annotations

import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, Self, TypeVar, final

import numpy as np

from dc_core.columns import Columns, concatenate_rows
from dc_core.component import Component
from dc_core.dataset import Dataset, NumpyDataset, check_dataset, column_text
from dc_core.display import html_table
from dc_core.errors import DatasetError, LoaderError, Unsupported
from dc_core.failures import Failure, FailureReport
from dc_core.fitting import FitsDataset
from dc_core.origins import set_origins

logger = logging.getLogger(__name__)

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Features:
    """The result of a featurizer: one row per input.

    ``values`` is ``(n, ...)``, zero in the rows that failed; or a :class:`~dc_core.Ragged` column,
    empty there; or a mapping of such columns by name. ``ok`` is ``(n,)`` of bool. ``failures`` is
    the report on the others.
    """

    values: Columns
    ok: np.ndarray
    failures: FailureReport = field(default_factory=FailureReport)

    def _repr_html_(self) -> str:
        """Show the rows and the failures in notebooks."""
        named = self.values if isinstance(self.values, Mapping) else {"values": self.values}
        rows = [(name, column_text(column, len(self.ok))) for name, column in named.items()]
        title = f"Features of {len(self.ok)} inputs"
        return html_table(title, ("column", "shape and dtype"), rows) + self.failures._repr_html_()


class Loaded(NamedTuple):
    """The result of a loader: the dataset of the usable rows, and the report on the others."""

    dataset: Dataset
    failures: FailureReport


class Split(NamedTuple):
    """Three disjoint datasets."""

    train: Dataset
    valid: Dataset
    test: Dataset


class Featurizer(Component, ABC, Generic[S]):
    """Turns inputs of type ``S`` (SMILES, sequences …) into arrays."""

    @property
    def bits(self) -> bool | Collection[str]:
        """Which columns of the features hold zeros and ones only, so that they are stored as bits.

        True or False if the features are one column, the columns' names if they have any.
        """
        return False

    @property
    def codes(self) -> Collection[str]:
        """Which ragged columns hold integers of which few are different, by name.

        They are stored as their places in a table, two bytes a value.
        """
        return ()

    @abstractmethod
    def featurize(self, inputs: Sequence[S], *, strict: bool = False) -> Features:
        """Return one row per input; ``strict`` raises :class:`FeaturizationError` if any fails."""


class Loader(Component, ABC):
    """Reads a source of data, such as a file; a subclass writes :meth:`batches`.

    The rows of a source are numbered from 0. Every row is either in a dataset, or the report has a
    failure of it without a task; a failure with a task is that of one label.
    """

    @abstractmethod
    def batches(self, source: Any, *, size: int = 4096, start: int = 0) -> Iterator[Loaded]:
        """Yield the rows from row ``start`` on, in batches of ``size`` rows; the last has the rest.

        Rows that failed count, so that batch i is about the rows from ``start + i * size`` on.
        Failures have the row numbers of the source. There is at least one batch, which is empty if
        no rows are left. All batches have the same columns, tasks and classes, whatever the size.

        Raises :class:`LoaderError` if the source cannot be read, when it is found.
        """

    @final
    def load(self, source: Any, *, strict: bool = False) -> Loaded:
        """Return the dataset of all usable rows, and the report on the others, which is logged.

        It holds the rows of all :meth:`batches`, one after another.

        Raises :class:`FeaturizationError` at the first batch in which anything failed if
        ``strict``, and :class:`LoaderError` if the source cannot be read to its end.
        """
        loaded = self._collect(source, strict=strict)
        name = os.fspath(source) if isinstance(source, str | os.PathLike) else type(source).__name__
        level = logging.WARNING if loaded.failures.failures else logging.INFO
        logger.log(level, "%s: %d rows loaded, %s", name, len(loaded.dataset), loaded.failures)
        return loaded

    def _collect(self, source: Any, *, strict: bool) -> Loaded:
        """Return all batches as one. A loader that can do it in less memory overrides this."""
        datasets: list[Dataset] = []
        failures: list[Failure] = []
        for dataset, report in self.batches(source):
            if strict:
                report.raise_if_any()
            datasets.append(dataset)
            failures += report.failures
        return Loaded(_concatenated(datasets), FailureReport(tuple(failures)))


def _concatenated(datasets: Sequence[Dataset]) -> Dataset:
    """Return the rows of all ``datasets`` as one."""
    if not datasets:
        raise LoaderError("The loader gave no batch.", hint="An empty source is an empty batch.")
    first, *others = [dataset for dataset in datasets if len(dataset)] or datasets[:1]
    if not others:
        return first
    for other in others:
        if (other.tasks, dict(other.classes)) != (first.tasks, dict(first.classes)):
            raise DatasetError(
                f"The batches have different tasks or classes: {first.tasks}, "
                f"{dict(first.classes)} and {other.tasks}, {dict(other.classes)}."
            )
    parts = [(dataset.X, dataset.y, dataset.w, dataset.ids) for dataset in (first, *others)]
    X, y, w, ids = (concatenate_rows(part) for part in zip(*parts, strict=True))
    return NumpyDataset(X, y, w, ids, first.tasks, first.classes)


class Splitter(Component, ABC):
    """Divides the rows of a dataset."""

    @abstractmethod
    def indices(self, dataset: Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the row numbers of train, valid and test: disjoint, and together all rows."""

    def split(self, dataset: Dataset) -> Split:
        """Return the train, valid and test datasets."""
        check_dataset(dataset)
        return Split(*(dataset.select(rows) for rows in self.indices(dataset)))


class Transformer(FitsDataset, Component, ABC):
    """Maps a dataset's arrays, and maps predictions back; its statistics are weights."""

    def _after_fit(self, dataset: Any) -> None:
        set_origins(self, ())

    @abstractmethod
    def fit(self, dataset: Dataset) -> Self:
        """Learn the statistics from ``dataset`` (the training rows only) and return itself."""

    @abstractmethod
    def transform(self, dataset: Dataset) -> Dataset:
        """Return the transformed dataset; raises :class:`NotFitted` before :meth:`fit`."""

    def untransform(self, prediction: np.ndarray) -> np.ndarray:
        """Map predictions ``(n, tasks[, classes])`` back to the units of the labels."""
        return prediction

    def untransform_deviation(self, prediction: np.ndarray, deviation: np.ndarray) -> np.ndarray:
        """Map standard deviations back to the units of the labels, like :meth:`untransform`.

        ``prediction`` and ``deviation`` are ``(n, tasks)`` before :meth:`untransform`. A
        transformer that maps predictions back writes this too.

        Raises :class:`Unsupported` if it does not.
        """
        if type(self).untransform is not Transformer.untransform:
            raise Unsupported(
                f"{type(self).__name__} does not map standard deviations back.",
                hint="Write its untransform_deviation, or leave the transformer out.",
            )
        return deviation
