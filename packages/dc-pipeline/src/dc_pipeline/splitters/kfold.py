"""Cross-validation: every splitter's parts, or every group, as the test rows in turn."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from dc_core import Component, Dataset, Splitter, check_count, check_dataset
from dc_core.errors import DatasetError, EmptyDataset, ParameterError
from dc_pipeline.splitters.division import DividingSplitter
from dc_pipeline.splitters.grouping import GroupSplitter, as_grouping, row_groups


class Fold(NamedTuple):
    """One turn of a cross-validation: two disjoint datasets."""

    train: Dataset
    test: Dataset


class CrossValidation(Component, ABC):
    """Tests on one part of the rows after another, and trains on others."""

    @abstractmethod
    def indices(self, dataset: Dataset) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Iterate over the row numbers of train and test, each in the dataset's order."""

    def split(self, dataset: Dataset) -> Iterator[Fold]:
        """Iterate over the folds.

        Raises :class:`DatasetError` for anything but a dataset, :class:`EmptyDataset` for one
        without rows, and :class:`DatasetError` if a fold would be empty.
        """
        check_dataset(dataset)
        if len(dataset) == 0:
            raise EmptyDataset("There is no row to split.", hint="See the loader's failure report.")
        return (Fold(*map(dataset.select, rows)) for rows in self.indices(dataset))


class KFold(CrossValidation):
    """Cross-validation by the parts of a splitter: ``k`` folds, each the test rows once.

    ``splitter`` divides the rows, and its own fractions do not matter; a :class:`Grouping` or the
    labels of groups stand for a :class:`GroupSplitter` with balanced folds. Folds are as equal in
    size as the splitter allows.

    A model may not learn from what comes after its test rows. So with a :class:`TimeSplitter` the
    rows are divided into ``k + 1`` periods; each but the first is tested once, by a model of all
    earlier ones.

    Raises :class:`ParameterError` for a splitter that cannot make folds, and unless ``k`` is an
    integer of at least 2.
    """

    def __init__(self, splitter: Any, k: int = 5) -> None:
        if isinstance(splitter, Splitter) and not isinstance(splitter, DividingSplitter):
            raise ParameterError(
                f"{type(splitter).__name__} makes no folds.",
                hint="For folds that are given, use LeaveGroupOut(folds).",
            )
        self.splitter = (
            splitter
            if isinstance(splitter, DividingSplitter)
            else GroupSplitter(as_grouping(splitter), order="balanced")
        )
        self.k = check_count("k", k, minimum=2)

    def indices(self, dataset: Dataset) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Iterate over the row numbers of train and test, each in the dataset's order.

        Raises :class:`EmptyDataset` for a dataset without rows, and :class:`DatasetError` if a fold
        would be empty.
        """
        first = int(self.splitter.ordered)
        folds = self.splitter.folds(dataset, self.k + first)
        sizes = np.bincount(folds, minlength=self.k + first)
        if not sizes.all():
            raise DatasetError(
                f"{np.count_nonzero(sizes == 0)} of {len(sizes)} folds have no rows: there are too "
                "few groups, or one is too large.",
                hint="Choose a smaller k, or groups that are smaller.",
            )
        return (
            (
                np.flatnonzero(folds < fold if first else folds != fold),
                np.flatnonzero(folds == fold),
            )
            for fold in range(first, self.k + first)
        )


class LeaveGroupOut(CrossValidation):
    """Cross-validation by groups: each is the test rows once, and all others are train.

    ``grouping`` is a :class:`Grouping`, such as clusters, or the labels of groups, such as folds
    that were published. Groups of fewer than ``minimum`` rows are never tested, only trained on.
    Groups come in the order of their first rows.

    Raises :class:`ParameterError` for labels that cannot be used, and unless ``minimum`` is an
    integer of at least 1.
    """

    def __init__(self, grouping: Any, *, minimum: int = 1) -> None:
        self.grouping = as_grouping(grouping)
        self.minimum = check_count("minimum", minimum, minimum=1)

    def indices(self, dataset: Dataset) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Iterate over the row numbers of train and test, each in the dataset's order.

        Raises :class:`DatasetError` if there are fewer than two groups, or none is large enough.
        """
        groups = row_groups(self.grouping, dataset)
        sizes = np.bincount(groups)
        tested = np.flatnonzero(sizes >= self.minimum)
        if len(sizes) < 2 or not len(tested):
            raise DatasetError(
                f"There are {len(sizes)} groups, and {len(tested)} have {self.minimum} rows.",
                hint="Leaving one out needs two groups, and one that is large enough to test on.",
            )
        return (
            (np.flatnonzero(groups != group), np.flatnonzero(groups == group)) for group in tested
        )
