"""Normalisation: columns shifted to mean 0 and scaled to standard deviation 1."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np

from dc_core import Dataset, NumpyDataset, Transformer
from dc_core.errors import DatasetError, EmptyDataset, NotFitted, ParameterError


class NormalizationTransformer(Transformer):
    """Gives each column of a dataset's ``part`` (``"y"`` or ``"X"``) mean 0 and deviation 1.

    ``mean`` and ``scale`` are float64 arrays of the shape of one row: ``(tasks,)`` for y. Those of
    y are weighted with w; missing values (NaN) are left out and stay missing. A column of one
    value only, or of none, keeps the scale 1. For y, predictions are mapped back.

    Raises :class:`ParameterError` for any other part.
    """

    fitted = ("mean", "scale")

    def __init__(self, part: Literal["X", "y"] = "y") -> None:
        if part not in ("X", "y"):
            raise ParameterError(f"A dataset has no part {part!r} to normalise.", hint="X or y?")
        self.part = part
        self.mean: np.ndarray | None = None
        self.scale: np.ndarray | None = None

    def fit(self, dataset: Dataset) -> Self:
        """Learn mean and scale from ``dataset`` and return itself.

        Raises :class:`EmptyDataset` without a row or a task, and :class:`DatasetError` for values
        that are infinite or no numbers.
        """
        values = dataset.y if self.part == "y" else _numbers(dataset.X)
        if values.size == 0:
            raise EmptyDataset(f"{self.part} has shape {values.shape}: there is nothing to learn.")
        weights = dataset.w if self.part == "y" else np.ones_like(values)
        self.mean, self.scale = mean_and_scale(values, weights)
        return self

    def transform(self, dataset: Dataset) -> Dataset:
        """Return the normalised dataset; one without labels keeps its (empty) y.

        Raises :class:`NotFitted` before :meth:`fit`, and :class:`DatasetError` for other columns
        than those of the training data.
        """
        mean, scale = self._statistics()
        X, y = dataset.X, dataset.y
        if self.part == "X":
            X = self._normalized(_numbers(X), mean, scale)
        elif dataset.tasks:
            y = self._normalized(y, mean, scale)
        return NumpyDataset(X, y, dataset.w, dataset.ids, dataset.tasks)

    def untransform(self, prediction: np.ndarray) -> np.ndarray:
        """Map predictions ``(n, tasks)`` back to the labels' own units.

        Raises :class:`NotFitted`, and :class:`DatasetError` for another number of tasks or for
        probabilities ``(n, tasks, classes)``, which have no units.
        """
        if self.part == "X":
            return prediction
        mean, scale = self._statistics()
        self._check(prediction, mean)
        return np.asarray(prediction * scale + mean)

    def _statistics(self) -> tuple[np.ndarray, np.ndarray]:
        if self.mean is None or self.scale is None:
            raise NotFitted(
                "This NormalizationTransformer has not seen data yet.",
                hint="Call fit(train) first.",
            )
        return self.mean, self.scale

    def _normalized(self, values: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
        self._check(values, mean)
        normalized: np.ndarray = (values - mean) / scale
        return normalized.astype(values.dtype, copy=False)

    def _check(self, values: np.ndarray, mean: np.ndarray) -> None:
        if values.shape[1:] != mean.shape:
            raise DatasetError(
                f"{self.part} was normalised with rows of shape {mean.shape}; "
                f"these have {values.shape[1:]}.",
                hint="Give the columns of the training data; classification needs no normalised y.",
            )


def mean_and_scale(values: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the weighted mean and standard deviation of each column, float64.

    ``values`` and ``weights`` are ``(n, ...)``; NaN is left out. The deviation is the population's,
    and 1 where it would be 0 (a column of a single value) or there is no value.

    Raises :class:`DatasetError` where they are not finite.
    """
    known = ~np.isnan(values) & (weights > 0)
    with np.errstate(over="ignore", invalid="ignore"):
        w = np.where(known, weights, 0.0).astype(np.float64, copy=False)
        v = np.where(known, values, 0.0).astype(np.float64, copy=False)
        total = np.maximum(w.sum(axis=0), np.finfo(float).tiny)
        mean = (w * v).sum(axis=0) / total
        scale = np.sqrt((w * (v - mean) ** 2).sum(axis=0) / total)
    if not (np.isfinite(mean).all() and np.isfinite(scale).all()):
        raise DatasetError("Values are infinite or too large to normalise.", hint="Leave them out.")
    # Rounding can give a constant column a tiny deviation that would blow noise up to order 1.
    lowest = np.where(known, values, np.inf).min(axis=0)
    constant = lowest >= np.where(known, values, -np.inf).max(axis=0)
    mean = np.where(constant & known.any(axis=0), lowest, mean)
    return mean, np.where(constant | (scale == 0), 1.0, scale)


def _numbers(X: np.ndarray) -> np.ndarray:
    if X.dtype.kind not in "biuf":
        raise DatasetError(f"X has dtype {X.dtype}; it needs numbers.", hint="Featurize it first.")
    return X if X.dtype.kind == "f" else X.astype(np.float64)
