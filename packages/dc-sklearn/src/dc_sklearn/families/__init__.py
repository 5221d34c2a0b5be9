"""Schemas of the fitted state, one module per family of estimators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from dc_sklearn.families import (
    boosting,
    columns,
    composition,
    decomposition,
    forest,
    gaussian_process,
    linear,
    neighbors,
    preprocessing,
    probabilistic,
    smooth,
    svm,
    tree,
)
from dc_sklearn.schema import Schema

FAMILIES: Final[Sequence[Mapping[str, Schema]]] = (
    boosting.SCHEMAS,
    columns.SCHEMAS,
    composition.SCHEMAS,
    decomposition.SCHEMAS,
    forest.SCHEMAS,
    gaussian_process.SCHEMAS,
    linear.SCHEMAS,
    neighbors.SCHEMAS,
    preprocessing.SCHEMAS,
    probabilistic.SCHEMAS,
    smooth.SCHEMAS,
    svm.SCHEMAS,
    tree.SCHEMAS,
)
"""The schemas by the class's public path below ``sklearn``: ``linear_model.Ridge``."""
