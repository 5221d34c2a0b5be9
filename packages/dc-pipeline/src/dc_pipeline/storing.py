"""Stream the batches of a loader to a dataset on disk."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections import Counter
from collections.abc import Collection, Mapping
from importlib import metadata
from pathlib import Path
from typing import IO, Any, Final

import numpy as np

from dc_core import Component, Loader, sync_directory
from dc_core.errors import EmptyDataset, LoaderError
from dc_pipeline.disk import DatasetWriter, DiskDataset
from dc_pipeline.disk.failures import FAILURES, append_failures, failures_file
from dc_pipeline.disk.header import FILENAME, read_header
from dc_pipeline.disk.writing import writing
from dc_pipeline.errors import DiskDatasetError
from dc_pipeline.loaders.sources import Source

logger = logging.getLogger(__name__)

_GROWTH: Final = 0.01
"""Commits are at least this part of the time so far apart, so that their number stays small."""


def store(
    loader: Loader,
    source: Any,
    directory: str | os.PathLike[str],
    *,
    size: int | None = None,
    pack: Collection[str] | bool = (),
    strict: bool = False,
    interval: float = 10.0,
) -> DiskDataset:
    """Write all usable rows that ``loader`` reads from ``source`` to ``directory``.

    Memory does not grow with the source: one batch of ``size`` rows is held at a time (default: the
    loader's). ``pack`` is as in :class:`DatasetWriter`. The failures are written beside the rows,
    for :func:`dc_pipeline.stored_failures`, and counted in the log and in the dataset's
    :attr:`~DiskDataset.provenance`. That also names the source, its size and SHA-256, the loader
    with its parameters, and the versions of what the rows depend on.

    The rows are collected in ``<directory>.partial``, which becomes ``directory`` when all are
    there, so that half a dataset is never taken for a whole one. If the process is killed or the
    source cannot be read to its end, the same call goes on after the last commit. There is one
    every ``interval`` seconds, or 1 % of the time so far if that is longer. If the whole dataset is
    there already, it is returned.

    Raises :class:`FeaturizationError` at the first batch in which anything failed if ``strict``,
    :class:`EmptyDataset` if no row can be used, :class:`DiskDatasetError` if ``directory`` or the
    partial one has something else, and :class:`LoaderError` as the loader does.
    """
    final = Path(directory)
    partial = final.with_name(f"{final.name}.partial")
    origin = _origin(loader, source)
    if final.exists():
        done = DiskDataset(final)
        _check_origin(final, done.provenance, origin)
        return done
    progress = _progress(partial, origin)
    options: dict[str, Any] = {} if size is None else {"size": size}
    counts = Counter(progress["failures"])
    row = progress["source_rows"]
    started = committed = time.monotonic()
    with DatasetWriter(partial, pack=pack, provenance=origin) as writer:
        with failures_file(partial, progress["failure_bytes"]) as failures:
            for dataset, report in loader.batches(source, start=row, **options):
                if strict:
                    report.raise_if_any()
                writer.append(dataset)
                row += len(dataset) + sum(1 for failure in report if not failure.task)
                counts.update(failure.status for failure in report)
                append_failures(failures, report)
                now = time.monotonic()
                if now - committed >= max(interval, _GROWTH * (now - started)):
                    _commit(writer, failures, row, counts)
                    committed = now
            if writer.rows == 0:
                raise EmptyDataset(
                    f"None of the {row} rows of {_name(source)} can be used: {_shown(counts)}.",
                    hint=f"The reasons are in {partial / FAILURES}.",
                )
            _commit(writer, failures, row, counts)
        rows = writer.rows
    with writing(final):
        partial.rename(final)
        sync_directory(final.parent)
    level = logging.WARNING if counts else logging.INFO
    logger.log(level, "%s: %d rows stored, %s", _name(source), rows, _shown(counts))
    return DiskDataset(final)


def _commit(
    writer: DatasetWriter, failures: IO[bytes], row: int, counts: Mapping[str, int]
) -> None:
    """Commit the rows and failures so far, which are about the first ``row`` rows of the source."""
    with writing(failures.name):
        os.fsync(failures.fileno())
    writer.commit({"source_rows": row, "failure_bytes": failures.tell(), "failures": dict(counts)})


def _progress(partial: Path, origin: Mapping[str, Any]) -> dict[str, Any]:
    """Return the rows that an earlier call committed to ``partial``."""
    if not (partial / FILENAME).exists():
        with writing(partial / FAILURES):
            (partial / FAILURES).unlink(missing_ok=True)  # it was written before the first commit
        return {"source_rows": 0, "failure_bytes": 0, "failures": {}}
    found = read_header(partial).provenance
    _check_origin(partial, found, origin)
    try:
        return {
            "source_rows": int(found["source_rows"]),
            "failure_bytes": int(found["failure_bytes"]),
            "failures": {str(k): int(v) for k, v in found["failures"].items()},
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DiskDatasetError(
            f"{partial} is damaged: {type(error).__name__}: {error}.", hint="Delete it."
        ) from error


def _check_origin(directory: Path, found: Mapping[str, Any], origin: Mapping[str, Any]) -> None:
    for name, value in origin.items():
        if found.get(name) != value:
            raise DiskDatasetError(
                f"{directory} has a dataset with another {name}: {found.get(name)!r}, not "
                f"{value!r}.",
                hint="Choose another directory, or delete this one.",
            )


def _origin(loader: Loader, source: Any) -> dict[str, Any]:
    """Return where the rows come from, as JSON."""
    parts = [loader, *loader.children().values()]
    required = {name for part in parts for name in part.requires}
    return {
        "source": _described(source),
        "loader": _plain(loader),
        "versions": {
            name: metadata.version(name)
            for name in sorted({"dc-core", "dc-pipeline", "numpy"} | required)
        },
    }


def _described(source: Any) -> Any:
    """Return the name, size and SHA-256 of a file, or of all files of a list or a directory."""
    if isinstance(source, str | os.PathLike):
        file = Source(source)
        if file.path is None or not file.path.is_dir():
            return file.describe()
        source = sorted(path for path in file.path.iterdir() if path.is_file())
    if isinstance(source, list | tuple):
        digest = hashlib.sha256()
        size = 0
        for one in source:
            try:
                described = Source(one).describe()
            except LoaderError as error:  # it is a row that fails
                described = {"name": str(one), "size": 0, "error": str(error)}
            size += described["size"]
            digest.update(json.dumps(described).encode())
        return {"files": len(source), "size": size, "sha256": digest.hexdigest()}
    return {"type": f"{type(source).__module__}.{type(source).__qualname__}"}


def _plain(value: Any) -> Any:
    """Return a constructor's argument as JSON; a component is its class and its arguments."""
    if isinstance(value, Component):
        cls = type(value)
        name = f"{cls.__module__}.{cls.__qualname__}"
        return {"class": name, **_plain(value.get_parameters())}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    return value if value is None or isinstance(value, bool | int | float | str) else repr(value)


def _name(source: Any) -> str:
    is_path = isinstance(source, str | os.PathLike)
    return Source(source).name if is_path else type(source).__name__


def _shown(counts: Mapping[str, int]) -> str:
    steps = ", ".join(f"{n} × {status}" for status, n in counts.items())
    return f"{sum(counts.values())} failed ({steps})" if steps else "no failures"
