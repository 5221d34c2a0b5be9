"""Schemas of the fitted state, one module per family of estimators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from dc_sklearn.families import (
    boosting,
    calibration,
    clustering,
    columns,
    composition,
    covariance,
    decomposition,
    forest,
    gaussian_process,
    imputation,
    linear,
    manifold,
    neighbors,
    parameters,
    preprocessing,
    probabilistic,
    search,
    selection,
    semi_supervised,
    smooth,
    svm,
    text,
    tree,
)
from dc_sklearn.schema import Schema

FAMILIES: Final[Sequence[Mapping[str, Schema]]] = (
    boosting.SCHEMAS,
    calibration.SCHEMAS,
    clustering.SCHEMAS,
    columns.SCHEMAS,
    composition.SCHEMAS,
    covariance.SCHEMAS,
    decomposition.SCHEMAS,
    forest.SCHEMAS,
    gaussian_process.SCHEMAS,
    imputation.SCHEMAS,
    linear.SCHEMAS,
    manifold.SCHEMAS,
    neighbors.SCHEMAS,
    parameters.SCHEMAS,
    preprocessing.SCHEMAS,
    probabilistic.SCHEMAS,
    search.SCHEMAS,
    selection.SCHEMAS,
    semi_supervised.SCHEMAS,
    smooth.SCHEMAS,
    svm.SCHEMAS,
    text.SCHEMAS,
    tree.SCHEMAS,
)
"""The schemas by the class's public path below ``sklearn``: ``linear_model.Ridge``."""
