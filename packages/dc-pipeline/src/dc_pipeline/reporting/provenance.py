"""Tables of provenance: the model, the data, and the packages."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from dc_core import Component, Dataset, Model, dataset_digest, distributions, plugins
from dc_pipeline.reporting.tables import Table

_ALWAYS: Final = ("dc-core", "dc-pipeline", "numpy", "rdkit", "scikit-learn", "scipy")


def model_table(model: Model) -> Table:
    """Return the model and its parts, with all arguments of their constructors."""
    rows = []
    for path, part in components(model).items():
        given = part.get_parameters()
        if isinstance(options := given.get("options"), Mapping):
            given = {**given, **options}
            del given["options"]
        plain = {name: value for name, value in given.items() if not _has_components(value)}
        text = ", ".join(f"{name}={value!r}" for name, value in plain.items())
        rows.append([path or "model", type(part).__name__, text])
    return Table("Model", ("part", "class", "parameters"), rows)


def data_table(parts: Mapping[str, Dataset]) -> Table:
    """Return the rows, labels and digest of each part; the same data have the same digest."""
    rows = [
        [name, len(part), int(_labels(part)), dataset_digest(part)] for name, part in parts.items()
    ]
    return Table("Data", ("part", "rows", "labels", "SHA-256"), rows)


def package_table(model: Model) -> Table:
    """Return the versions of Python and of the packages that the model's results depend on."""
    versions = {name: distributions.version(name) for name in _ALWAYS}
    for part in components(model).values():
        versions |= distributions.of_class(type(part))
        if part.native is not None:
            backend = plugins.claim(part.native).backend
            versions |= distributions.of_backend(backend.name) | dict(backend.info().versions)
    rows = [["Python", platform.python_version()], *sorted(versions.items())]
    return Table("Packages", ("package", "version"), rows)


def _labels(dataset: Dataset) -> int:
    return int(np.sum((dataset.w > 0) & ~np.isnan(dataset.y)))


def components(model: Model) -> dict[str, Component]:
    """Return the model and its nested components by path, at all depths."""
    found: dict[str, Component] = {"": model}
    pending = [("", model.children())]
    while pending:
        prefix, children = pending.pop(0)
        for path, child in children.items():
            found[f"{prefix}{path}"] = child
            pending.append((f"{prefix}{path}/", child.children()))
    return found


def _has_components(value: Any) -> bool:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return any(map(_has_components, value))
    return isinstance(value, Component)
