"""Normalization: columns shifted to mean 0 and scaled to standard deviation 1."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, Self

import numpy as np

from dc_core import Dataset, NumpyDataset, Transformer, check_dataset, dense_array
from dc_core.errors import DatasetError, EmptyDataset, NotFitted, ParameterError, StructureError

_BLOCK: Final = 1 << 18
"""Values that are computed at a time, so that no copy of all of them is made."""


class NormalizationTransformer(Transformer):
    """Gives each column of a dataset's ``part`` (``"y"`` or ``"X"``) mean 0 and deviation 1.

    ``mean`` and ``scale`` are float64 arrays of the shape of one row: ``(tasks,)`` for y. Those of
    y are weighted with w; missing values (NaN) are left out and stay missing. A column with a
    single value, or with none, keeps the scale 1. For y, predictions are mapped back.

    All is computed in float64, by blocks of rows, so that the extra memory beside the result does
    not grow with the number of rows. The result keeps the dtype of floating-point values; integers
    and bools become float32.

    Raises :class:`ParameterError` for any other part.
    """

    fitted = ("mean", "scale")

    def __init__(self, part: Literal["X", "y"] = "y") -> None:
        if part not in ("X", "y"):
            raise ParameterError(
                f"part={part!r} cannot be normalized.", hint="Give part='X' or part='y'."
            )
        self.part = part
        self.mean: np.ndarray | None = None
        self.scale: np.ndarray | None = None

    def fit(self, dataset: Dataset) -> Self:
        """Learn mean and scale from ``dataset`` and return itself.

        Raises :class:`EmptyDataset` if there are no rows or no tasks, and :class:`DatasetError` if
        values are infinite or not numbers, and if the labels are classes.
        """
        check_dataset(dataset)
        if self.part == "y" and dataset.classes:
            raise DatasetError(
                f"The labels of {next(iter(dataset.classes))!r} are classes.",
                hint="Leave NormalizationTransformer('y') out: classes are not normalized.",
            )
        values = dataset.y if self.part == "y" else _numbers(dataset)
        if values.size == 0:
            raise EmptyDataset(f"{self.part} has shape {values.shape}: there is nothing to learn.")
        self.mean, self.scale = mean_and_scale(values, dataset.w if self.part == "y" else None)
        return self

    def transform(self, dataset: Dataset) -> Dataset:
        """Return the normalized dataset; one without labels keeps its empty y.

        Raises :class:`NotFitted` before :meth:`fit`, :class:`DatasetError` if the columns are not
        those of the training data, and :class:`StructureError` if stored statistics do not fit
        each other.
        """
        check_dataset(dataset)
        mean, scale = self._statistics()
        X, y = dataset.X, dataset.y
        if self.part == "X":
            X = self._normalized(_numbers(dataset), mean, scale)
        elif dataset.tasks:
            y = self._normalized(y, mean, scale)
        return NumpyDataset(X, y, dataset.w, dataset.ids, dataset.tasks, dataset.classes)

    def untransform(self, prediction: np.ndarray) -> np.ndarray:
        """Map predictions ``(n, tasks)`` back to the labels' own units.

        Raises :class:`NotFitted`, :class:`DatasetError` for another number of tasks or for
        probabilities ``(n, tasks, classes)``, which have no units, and :class:`StructureError`.
        """
        if self.part == "X":
            return prediction
        mean, scale = self._statistics()
        self._check(prediction, mean)
        return np.asarray(prediction * scale + mean)

    def untransform_deviation(self, prediction: np.ndarray, deviation: np.ndarray) -> np.ndarray:
        """Map standard deviations ``(n, tasks)`` back to the labels' own units."""
        if self.part == "X":
            return deviation
        mean, scale = self._statistics()
        self._check(deviation, mean)
        return np.asarray(deviation * scale)

    def _statistics(self) -> tuple[np.ndarray, np.ndarray]:
        if self.mean is None or self.scale is None:
            raise NotFitted(
                "This NormalizationTransformer is not fitted yet.", hint="Call fit(train) first."
            )
        floats = self.mean.dtype.kind == self.scale.dtype.kind == "f"
        if self.mean.shape != self.scale.shape or not floats:
            raise StructureError(
                f"The mean has shape {self.mean.shape} and dtype {self.mean.dtype}, the scale "
                f"{self.scale.shape} and {self.scale.dtype}; both need one float per column.",
                hint="The stored transformer is damaged: publish it again.",
            )
        return self.mean, self.scale

    def _normalized(self, values: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
        self._check(values, mean)
        normalized = np.empty(values.shape, _float_dtype(values.dtype))
        for rows in _blocks(values):
            normalized[rows] = (values[rows] - mean) / scale
        return normalized

    def _check(self, values: np.ndarray, mean: np.ndarray) -> None:
        if values.shape[1:] != mean.shape:
            raise DatasetError(
                f"{self.part} was normalized with rows of shape {mean.shape}; "
                f"these have {values.shape[1:]}.",
                hint="Give the columns of the training data; classification needs no normalized y.",
            )


def mean_and_scale(
    values: np.ndarray, weights: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the weighted mean and standard deviation of each column, float64.

    ``values`` is ``(n, ...)``, and so are the ``weights``, which default to 1; NaN is left out. The
    deviation is the population's, and 1 where it would be 0 (a column of a single value) or where
    there is no value.

    These are two passes by blocks of rows, the second over the differences from the first one's
    mean; the sum of the differences corrects its rounding (Chan, Golub and LeVeque 1983,
    doi:10.1080/00031305.1983.10483115).

    Raises :class:`DatasetError` if they are not finite.
    """
    shape = values.shape[1:]
    total, mean, shift, squares = (np.zeros(shape) for _ in range(4))
    lowest, highest = np.full(shape, np.inf), np.full(shape, -np.inf)
    with np.errstate(over="ignore", invalid="ignore"):
        for v, w, known in _known_blocks(values, weights):
            total += w.sum(axis=0)
            mean += (w * v).sum(axis=0)
            np.minimum(lowest, v.min(axis=0, where=known, initial=np.inf), out=lowest)
            np.maximum(highest, v.max(axis=0, where=known, initial=-np.inf), out=highest)
        total = np.maximum(total, np.finfo(float).tiny)
        mean /= total
        for v, w, _ in _known_blocks(values, weights):
            v -= mean
            w *= v
            shift += w.sum(axis=0)
            w *= v
            squares += w.sum(axis=0)
        shift /= total
        mean += shift
        scale = np.sqrt(np.maximum(squares / total - shift**2, 0.0))
    if not (np.isfinite(mean).all() and np.isfinite(scale).all()):
        raise DatasetError("Values are infinite or too large to normalize.", hint="Leave them out.")
    # Rounding can give a constant column a tiny deviation that would blow noise up to order 1.
    constant = lowest >= highest
    mean = np.where(constant & np.isfinite(lowest), lowest, mean)
    return mean, np.where(constant | (scale == 0), 1.0, scale)


def _known_blocks(
    values: np.ndarray, weights: np.ndarray | None
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield values and weights in float64, both 0 where a value is not known, and where it is."""
    for rows in _blocks(values):
        block = values[rows]
        known = np.ones(block.shape, bool) if block.dtype.kind in "biu" else ~np.isnan(block)
        w = known.astype(np.float64)
        if weights is not None:
            known &= weights[rows] > 0
            w = np.where(known, weights[rows], 0.0)
        yield np.where(known, block, 0).astype(np.float64), w, known


def _blocks(values: np.ndarray) -> Iterator[slice]:
    """Yield slices of rows that together are all of them."""
    size = max(1, _BLOCK * len(values) // max(1, values.size))
    return (slice(start, start + size) for start in range(0, len(values), size))


def _numbers(dataset: Dataset) -> np.ndarray:
    X = dense_array(dataset.X, "NormalizationTransformer")
    if X.dtype.kind not in "biuf":
        raise DatasetError(f"X has dtype {X.dtype}; it needs numbers.", hint="Featurize it first.")
    return X


def _float_dtype(dtype: np.dtype) -> np.dtype:
    return dtype if dtype.kind == "f" else np.dtype(np.float32)
