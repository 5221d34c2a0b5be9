"""``ElementwiseTransformer``: the base of transformers that map each value by a function."""

from __future__ import annotations

from abc import abstractmethod
from copy import copy
from typing import ClassVar, Self, TypeAlias

import numpy as np

from dc_core import Batch, Dataset, MappedDataset, Transformer, check_dataset
from dc_core.errors import DatasetError, NotFitted, ParameterError, StructureError
from dc_pipeline.transformers.values import (
    BLOCK,
    Part,
    Values,
    part_of,
    row_blocks,
    with_part,
)

Statistics: TypeAlias = tuple[np.ndarray, ...]


class ElementwiseTransformer(Transformer):
    """Maps each value of y, of X, or of the ``column`` of X if that has named columns.

    A subclass names its statistics in ``fitted``: float64 arrays of the shape of one row, or with
    another axis in front. It writes :meth:`_learn`, :meth:`_forward`, :meth:`_inverse` and
    :meth:`_deviation`, which get the checked statistics.

    Missing values (NaN) stay missing. The result keeps the dtype of floating-point values; integers
    and bools become float32.

    Raises :class:`ParameterError` for any other part, and for a column of y.
    """

    _block: ClassVar[int] = BLOCK

    def __init__(self, part: Part, column: str | None) -> None:
        if part not in ("X", "y"):
            raise ParameterError(
                f"part={part!r} cannot be transformed.", hint="Give part='X' or part='y'."
            )
        if column is not None and (part == "y" or not isinstance(column, str)):
            raise ParameterError(
                f"column={column!r} is not the name of a column of X.",
                hint="Give one with part='X', or leave it out.",
            )
        self.part = part
        self.column = column

    def fit(self, dataset: Dataset) -> Self:
        """Learn the statistics from ``dataset``, by blocks of rows, and return itself.

        Raises :class:`EmptyDataset` if there are no rows or no tasks, and :class:`DatasetError` if
        values are infinite or not numbers, or cannot be mapped, and if the labels are classes.
        """
        check_dataset(dataset)
        if self.part == "y" and dataset.classes:
            raise DatasetError(
                f"The labels of {next(iter(dataset.classes))!r} are classes.",
                hint=f"Leave {type(self).__name__}('y') out: it is for quantities.",
            )
        self._learn(Values(dataset, self.part, self.column, type(self).__name__))
        return self

    def transform(self, dataset: Dataset) -> Dataset:
        """Return the dataset whose rows are mapped when they are read.

        Nothing is copied, and the statistics are those of now, also after another :meth:`fit`. A
        dataset without labels is returned as it is by a transformer of y.

        Raises :class:`NotFitted` before :meth:`fit`, :class:`DatasetError` if the columns are not
        those of the training data, or, when it is read, for a value that cannot be mapped; and
        :class:`StructureError` if stored statistics do not fit each other.
        """
        check_dataset(dataset)
        self._statistics()
        if self.part == "y" and not dataset.tasks:
            return dataset
        mapped = MappedDataset(dataset, copy(self)._map, needs={"y": ("w",)})
        mapped.rows(np.arange(min(1, len(mapped))), (self.part,))  # raises for other columns
        return mapped

    def untransform(self, prediction: np.ndarray) -> np.ndarray:
        """Map predictions ``(n, tasks)`` back to the labels' own units.

        Raises :class:`NotFitted`, :class:`DatasetError` for another number of tasks or for
        probabilities ``(n, tasks, classes)``, which have no units, and :class:`StructureError`.
        """
        if self.part == "X":
            return prediction
        statistics = self._statistics()
        self._check_prediction(prediction, statistics)
        return np.asarray(self._inverse(prediction, statistics))

    def untransform_deviation(self, prediction: np.ndarray, deviation: np.ndarray) -> np.ndarray:
        """Map standard deviations ``(n, tasks)`` back to the labels' own units.

        ``prediction`` is in transformed units. By the delta method (Oehlert 1992,
        doi:10.1080/00031305.1992.10475842), a deviation is multiplied by the slope of
        :meth:`untransform` at the prediction. That is exact for linear functions, and right to
        first order in the deviation for others.

        Raises what :meth:`untransform` raises.
        """
        if self.part == "X":
            return deviation
        statistics = self._statistics()
        for array in (prediction, deviation):
            self._check_prediction(array, statistics)
        return np.asarray(self._deviation(prediction, deviation, statistics))

    @abstractmethod
    def _learn(self, values: Values) -> None:
        """Set the statistics."""

    @abstractmethod
    def _forward(self, values: np.ndarray, statistics: Statistics) -> np.ndarray:
        """Return ``values`` in float64 after the function; NaN gives NaN."""

    @abstractmethod
    def _inverse(self, values: np.ndarray, statistics: Statistics) -> np.ndarray:
        """Return the values that are mapped to ``values``."""

    @abstractmethod
    def _deviation(
        self, values: np.ndarray, deviation: np.ndarray, statistics: Statistics
    ) -> np.ndarray:
        """Return the deviation of :meth:`_inverse` where that of ``values`` is ``deviation``."""

    def _check_statistics(self, statistics: Statistics) -> None:
        """Raise :class:`StructureError` for statistics that :meth:`fit` cannot have made."""

    def _unmapped(self, values: np.ndarray) -> np.ndarray | None:
        """Return which values the function does not take, None if it takes all."""
        return None

    def _statistics(self) -> Statistics:
        """Return the fitted arrays.

        Raises :class:`NotFitted`, and :class:`StructureError` for what cannot have been learned.
        """
        arrays = [getattr(self, name) for name in self.fitted]
        if any(array is None for array in arrays):
            raise NotFitted(
                f"This {type(self).__name__} is not fitted yet.", hint="Call fit(train) first."
            )
        for name, array in zip(self.fitted, arrays, strict=True):
            if array.dtype.kind != "f" or array.shape != arrays[0].shape:
                raise self._damaged(
                    f"the {name} has shape {array.shape} and dtype {array.dtype}; it needs one "
                    "float per column"
                )
        statistics = tuple(arrays)
        self._check_statistics(statistics)
        return statistics

    def _row_shape(self, statistics: Statistics) -> tuple[int, ...] | None:
        """Return the shape of the rows that the statistics are for, None if they are for any."""
        return statistics[0].shape if statistics else None

    def _damaged(self, what: str) -> StructureError:
        return StructureError(
            f"The statistics of this {type(self).__name__} contradict each other: {what}.",
            hint="The stored transformer is damaged: publish it again.",
        )

    def _map(self, batch: Batch) -> Batch:
        values = part_of(batch, self.part, self.column, type(self).__name__)
        if values is None:
            return batch
        weights = batch.w if self.part == "y" else None
        return with_part(batch, self.part, self.column, self._mapped(values, weights))

    def _mapped(self, values: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
        statistics = self._statistics()
        self._check_shape(values, statistics)
        mapped = np.empty(values.shape, float_dtype(values.dtype))
        for rows in row_blocks(values, self._block):
            block = values[rows].astype(np.float64, copy=False)
            outside = self._unmapped(block)
            if outside is not None and outside.any():
                counts = outside if weights is None else outside & (weights[rows] > 0)
                if counts.any():
                    raise self._outside(block[counts][0])
                block = np.where(outside, np.nan, block)
            mapped[rows] = self._forward(block, statistics)
        return mapped

    def _outside(self, value: float) -> DatasetError:
        return DatasetError(
            f"{type(self).__name__} cannot map {value:.6g}, a value of {self.part}.",
            hint="PowerTransformer maps any number; ClippingTransformer sets limits.",
        )

    def _check_prediction(self, prediction: np.ndarray, statistics: Statistics) -> None:
        if prediction.ndim != 2:
            raise DatasetError(
                f"{type(self).__name__} maps predictions of shape (n, tasks) back; these have "
                f"{prediction.shape}.",
                hint="Classification needs no transformed y.",
            )
        self._check_shape(prediction, statistics)

    def _check_shape(self, values: np.ndarray, statistics: Statistics) -> None:
        shape = self._row_shape(statistics)
        if shape is not None and values.shape[1:] != shape:
            raise DatasetError(
                f"{type(self).__name__} was fitted to {self.part} with rows of shape {shape}; "
                f"these have {values.shape[1:]}.",
                hint="Give the columns of the training data; classification needs no transformed "
                "y.",
            )


def float_dtype(dtype: np.dtype) -> np.dtype:
    """Return ``dtype`` if it is of floats, and else float32."""
    return dtype if dtype.kind == "f" else np.dtype(np.float32)
