"""The contracts of a pipeline's steps: loader, featurizer, splitter, transformer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, Self, TypeVar

import numpy as np

from dc_core.columns import Columns
from dc_core.component import Component
from dc_core.dataset import Dataset, check_dataset
from dc_core.failures import FailureReport
from dc_core.fitting import FitsDataset

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

    @abstractmethod
    def featurize(self, inputs: Sequence[S], *, strict: bool = False) -> Features:
        """Return one row per input; ``strict`` raises :class:`FeaturizationError` if any fails."""


class Loader(Component, ABC):
    """Reads a file of data."""

    @abstractmethod
    def load(self, path: str, *, strict: bool = False) -> Loaded:
        """Return the usable rows, and a report on the others; ``strict`` raises if any failed."""


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

    @abstractmethod
    def fit(self, dataset: Dataset) -> Self:
        """Learn the statistics from ``dataset`` (the training rows only) and return itself."""

    @abstractmethod
    def transform(self, dataset: Dataset) -> Dataset:
        """Return the transformed dataset; raises :class:`NotFitted` before :meth:`fit`."""

    def untransform(self, prediction: np.ndarray) -> np.ndarray:
        """Map predictions ``(n, tasks[, classes])`` back to the units of the labels."""
        return prediction
