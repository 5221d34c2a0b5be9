"""Schemas of the fitted state, one module per family of estimators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from dc_sklearn.families import ensemble, linear, tree
from dc_sklearn.schema import Schema

FAMILIES: Final[Mapping[str, Mapping[str, Schema]]] = {
    "sklearn.ensemble": ensemble.SCHEMAS,
    "sklearn.linear_model": linear.SCHEMAS,
    "sklearn.tree": tree.SCHEMAS,
}
"""The schemas by class name, by the public module that has the classes."""
