"""Imputation: missing features replaced by a typical value of their column."""

from __future__ import annotations

from copy import copy
from math import prod
from typing import Final, Literal, Self

import numpy as np

from dc_core import (
    Batch,
    Dataset,
    MappedDataset,
    Transformer,
    check_count,
    check_dataset,
    check_flag,
)
from dc_core.errors import DatasetError, NotFitted, ParameterError, StructureError
from dc_pipeline.transformers.elementwise import float_dtype
from dc_pipeline.transformers.values import (
    SAMPLE,
    Values,
    column_quantiles,
    is_number,
    part_of,
    row_blocks,
    too_large,
    with_part,
)

_STRATEGIES: Final = ("mean", "median", "most_frequent", "constant")


class ImputationTransformer(Transformer):
    """Replaces missing features (NaN) by the column's mean, median or most frequent value.

    With ``strategy="constant"`` it is the ``constant``. ``fill`` is a float64 array of the shape
    of one row of X: what each column is filled with; 0 for a column without any value in training.
    The numbers are those of scikit-learn's ``SimpleImputer``; of several most frequent values it
    is the lowest. Median and most frequent value are those of a random sample of ``sample`` rows,
    chosen by ``seed``, if there are more, which are in memory together; the mean is that of all.

    With ``indicator``, X must be ``(n, features)``. A column follows for each feature that had
    missing values in training, marked True in ``missing``: 1 where it is missing, and else 0.

    ``column`` is the column of X, if that has named columns. Missing labels need no imputation:
    they have weight 0.

    Raises :class:`ParameterError` for another strategy, and a constant that is no number.
    """

    fitted = ("fill", "missing")

    def __init__(
        self,
        strategy: Literal["mean", "median", "most_frequent", "constant"] = "median",
        *,
        constant: float = 0.0,
        indicator: bool = False,
        sample: int = SAMPLE,
        seed: int = 0,
        column: str | None = None,
    ) -> None:
        if strategy not in _STRATEGIES:
            raise ParameterError(
                f"There is no strategy {strategy!r}.", hint=f"Give one of {', '.join(_STRATEGIES)}."
            )
        if not is_number(constant, -1e100, 1e100):
            raise ParameterError(f"constant={constant!r} must be a number, not above 1e100.")
        if column is not None and not isinstance(column, str):
            raise ParameterError(f"column={column!r} is not the name of a column of X.")
        self.strategy = strategy
        self.constant = float(constant)
        self.indicator = check_flag("indicator", indicator)
        self.sample = check_count("sample", sample, minimum=1)
        self.seed = check_count("seed", seed, minimum=0)
        self.column = column
        self.fill: np.ndarray | None = None
        self.missing: np.ndarray | None = None

    def fit(self, dataset: Dataset) -> Self:
        """Learn the fill value of each column from X of ``dataset``, by blocks of rows.

        Raises :class:`EmptyDataset` if there are no rows, and :class:`DatasetError` if X is not
        numbers, or infinite.
        """
        check_dataset(dataset)
        values = Values(dataset, "X", self.column, type(self).__name__)
        if self.indicator:
            _check_table(values.shape)
        total, known = np.zeros(values.shape), np.zeros(values.shape)
        for block in values:
            with np.errstate(over="ignore"):
                total += block.values.sum(axis=0)
            known += block.known.sum(axis=0)
        if self.strategy == "constant":
            fill = np.full(values.shape, self.constant)
        elif self.strategy == "mean":
            fill = total / np.maximum(known, 1)
            if not np.isfinite(fill).all():
                raise too_large(values.part)
        elif self.strategy == "median":
            sample = values.sample(self.sample, self.seed)
            fill = np.nan_to_num(column_quantiles(sample, np.array([0.5]))[0])
        else:
            fill = _most_frequent(values.sample(self.sample, self.seed))
        self.fill, self.missing = fill, known < len(dataset)
        return self

    def transform(self, dataset: Dataset) -> Dataset:
        """Return the dataset whose missing features are filled when they are read.

        X keeps its dtype if that is of floats, and else becomes float32.

        Raises :class:`NotFitted` before :meth:`fit`, :class:`DatasetError` for other columns, and
        :class:`StructureError` if what is stored cannot have been learned.
        """
        check_dataset(dataset)
        self._checked()
        filled = MappedDataset(dataset, copy(self)._map)
        filled.rows(np.arange(min(1, len(filled))), ("X",))  # raises for other columns
        return filled

    def _checked(self) -> tuple[np.ndarray, np.ndarray]:
        if self.fill is None or self.missing is None:
            raise NotFitted(
                "This ImputationTransformer is not fitted yet.", hint="Call fit(train) first."
            )
        if (
            self.fill.dtype.kind != "f"
            or self.missing.dtype != bool
            or self.fill.shape != self.missing.shape
            or not np.isfinite(self.fill).all()
        ):
            raise StructureError(
                f"fill has shape {self.fill.shape} and dtype {self.fill.dtype}, missing "
                f"{self.missing.shape} and {self.missing.dtype}; each column needs a finite float "
                "and a bool.",
                hint="The stored transformer is damaged: publish it again.",
            )
        return self.fill, self.missing

    def _map(self, batch: Batch) -> Batch:
        values = part_of(batch, "X", self.column, type(self).__name__)
        if values is None:
            return batch
        fill, missing = self._checked()
        if values.shape[1:] != fill.shape:
            raise DatasetError(
                f"{type(self).__name__} was fitted to X with rows of shape {fill.shape}; these "
                f"have {values.shape[1:]}.",
                hint="Give the columns of the training data.",
            )
        filled = np.empty(values.shape, float_dtype(values.dtype))
        for rows in row_blocks(values):
            filled[rows] = np.where(np.isnan(values[rows]), fill, values[rows])
        if self.indicator:
            _check_table(fill.shape)
            marks = np.isnan(values[:, missing])
            filled = np.concatenate([filled, marks.astype(filled.dtype)], axis=1)
        return with_part(batch, "X", self.column, filled)


def _most_frequent(sample: np.ndarray) -> np.ndarray:
    """Return the lowest of the most frequent values of each column, 0 without any."""
    columns = sample.reshape(len(sample), prod(sample.shape[1:]))
    found = np.zeros(columns.shape[1])
    for i, column in enumerate(columns.T):
        values, counts = np.unique(column[~np.isnan(column)], return_counts=True)
        if values.size:
            found[i] = values[counts.argmax()]
    return found.reshape(sample.shape[1:])


def _check_table(shape: tuple[int, ...]) -> None:
    if len(shape) != 1:
        raise DatasetError(
            f"Rows of X have shape {shape}; indicators need X of shape (n, features).",
            hint="Leave indicator= out, or flatten X.",
        )
