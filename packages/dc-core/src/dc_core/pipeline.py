"""The contracts of the road around a model: loader, featurizer, splitter, transformer.

Every input has one row, always, with a status and a message: a bad one is neither dropped in
silence nor ends the run. It goes to the :class:`FailureReport`, and the rest goes on.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, NamedTuple, Self, TypeVar

import numpy as np

from dc_core.component import Component
from dc_core.dataset import Dataset, check_dataset
from dc_core.errors import FeaturizationError

S = TypeVar("S")

STATUSES: Final = ("ok", "parse", "sanitize", "feature", "timeout", "crash")
"""What can become of an input; all but ``ok`` are failures, named by the step that failed."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One input that could not be used: its row in the source, the step that failed, and why."""

    row: int
    input: str
    status: str
    message: str


@dataclass(frozen=True, slots=True)
class FailureReport:
    """The rows that could not be used, in order."""

    failures: tuple[Failure, ...] = ()

    def __len__(self) -> int:
        """Return how many rows failed."""
        return len(self.failures)

    def __str__(self) -> str:
        """Summarise: how many failed at which step, and the first few."""
        if not self.failures:
            return "no failures"
        counts = ", ".join(
            f"{n} × {s}" for s, n in Counter(f.status for f in self.failures).items()
        )
        rows = "; ".join(f"row {f.row} ({f.input!r}): {f.message}" for f in self.failures[:3])
        more = "" if len(self) <= 3 else f"; and {len(self) - 3} more"
        return f"{len(self)} failed ({counts}): {rows}{more}"

    def raise_if_any(self) -> None:
        """Raise :class:`FeaturizationError` with this report's summary if anything failed."""
        if self.failures:
            raise FeaturizationError(
                f"{self}.", hint="Correct these inputs, or pass strict=False to go on without them."
            )


@dataclass(frozen=True, slots=True)
class Features:
    """What a featurizer returns: one row per input.

    ``values`` is ``(n, ...)``, zero in the rows that failed; ``ok`` is ``(n,)`` of bool.
    """

    values: np.ndarray
    ok: np.ndarray
    report: FailureReport = field(default_factory=FailureReport)


class Loaded(NamedTuple):
    """What a loader returns: the dataset of the good rows, and the report on the others."""

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
        """Return one row per input; ``strict`` raises :class:`FeaturizationError` at failures."""


class Loader(ABC):
    """Reads a file of data."""

    @abstractmethod
    def load(self, path: str, *, strict: bool = False) -> Loaded:
        """Return the good rows and the report on the bad; ``strict`` raises at the bad."""


class Splitter(ABC):
    """Divides the rows of a dataset."""

    @abstractmethod
    def indices(self, dataset: Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the row numbers of train, valid and test: disjoint, and together all rows."""

    def split(self, dataset: Dataset) -> Split:
        """Return the train, valid and test datasets."""
        check_dataset(dataset)
        return Split(*(dataset.select(rows) for rows in self.indices(dataset)))


class Transformer(Component, ABC):
    """Maps a dataset's arrays, and maps predictions back; its statistics are weights."""

    @abstractmethod
    def fit(self, dataset: Dataset) -> Self:
        """Learn the statistics from ``dataset`` (the training rows only) and return itself."""

    @abstractmethod
    def transform(self, dataset: Dataset) -> Dataset:
        """Return the transformed dataset; raises :class:`NotFitted` before :meth:`fit`."""

    def untransform(self, prediction: np.ndarray) -> np.ndarray:
        """Map predictions ``(n, tasks[, classes])`` back to the labels' own units."""
        return prediction
