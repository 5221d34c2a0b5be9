"""Tables of what a report is about: the model, the data, and the packages."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np

from dc_core import Component, Dataset, Model, Ragged, distributions, plugins
from dc_pipeline.disk import DiskDataset
from dc_pipeline.reporting.tables import Table

_ALWAYS: Final = ("dc-core", "dc-pipeline", "numpy", "rdkit", "scikit-learn", "scipy")
_BATCH: Final = 4096


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


def dataset_digest(dataset: Dataset) -> str:
    """Return the SHA-256 of a dataset's rows, tasks and classes, as hexadecimal digits.

    A :class:`DiskDataset` has its own, its identity, for which its rows are not read.
    """
    if isinstance(dataset, DiskDataset):
        return dataset.identity
    hashes: dict[str, Any] = {}
    for start in range(0, len(dataset), _BATCH):
        rows = np.arange(start, min(start + _BATCH, len(dataset)))
        for name, array in _arrays(dataset.rows(rows)._asdict()):
            found = hashes.setdefault(name, hashlib.sha256())
            found.update(_bytes(array))
    whole = hashlib.sha256(repr((len(dataset), dataset.tasks, dict(dataset.classes))).encode())
    for name in sorted(hashes):
        whole.update(f"{name} {hashes[name].hexdigest()}\n".encode())
    return whole.hexdigest()


def _arrays(columns: Mapping[str, Any]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the arrays of columns by name; one that is ragged is two of them."""
    for name, column in columns.items():
        if isinstance(column, Mapping):
            yield from _arrays({f"{name}.{key}": value for key, value in column.items()})
        elif isinstance(column, Ragged):
            yield f"{name} lengths", column.lengths
            yield f"{name} {column.values.dtype} {column.values.shape[1:]}", column.values
        else:
            yield f"{name} {column.dtype} {column.shape[1:]}", column


def _bytes(array: np.ndarray) -> bytes:
    if array.dtype.kind != "T":
        return np.ascontiguousarray(array).tobytes()
    encoded = [text.encode() for text in array.ravel().tolist()]
    lengths = np.array([len(text) for text in encoded], "<i8")
    return b"".join([lengths.tobytes(), *encoded])


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
