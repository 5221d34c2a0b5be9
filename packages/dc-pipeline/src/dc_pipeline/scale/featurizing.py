"""Featurize a dataset on an engine, into a dataset on disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from dc_core import (
    Dataset,
    Failure,
    FailureReport,
    Featurizer,
    Loaded,
    Loader,
    NumpyDataset,
    distributions,
    engines,
    take_rows,
)
from dc_core.errors import EmptyDataset, ParameterError
from dc_pipeline.disk import DatasetWriter, DiskDataset
from dc_pipeline.disk.failures import (
    FAILURES,
    append_failures,
    failures_file,
    stored_failures,
)
from dc_pipeline.disk.header import FILENAME
from dc_pipeline.disk.writer import check_directory
from dc_pipeline.disk.writing import writing
from dc_pipeline.errors import DiskDatasetError
from dc_pipeline.inputs import as_sequence
from dc_pipeline.scale.sources import SourceNumbers, check_source, rows_of
from dc_pipeline.scale.working import clear, identity, on_disk

_PIECE: Final = 64
"""Inputs between two signs of life, which a timeout waits for."""


@dataclass(frozen=True)
class FeaturizeRows(engines.Task):
    """Featurizes the rows of ``source``; a shard's result is a dataset on disk and its failures.

    ``rows`` is the :func:`identity` of the dataset that was given, of which ``source`` may be a
    copy.
    """

    source: DiskDataset
    featurizer: Featurizer[Any]
    rows: str

    @property
    def key(self) -> str:
        """The identity of the rows and the featurizer, wherever the rows are."""
        return _key(self.rows, self.featurizer)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.source)

    def run(self, start: int, stop: int, directory: Path) -> None:
        """Featurize the rows and write those that could be, and the report on the others."""
        failures: list[Failure] = []
        form: Any = {"pack": self.featurizer.bits, "code": self.featurizer.codes}
        with DatasetWriter(directory / "rows", **form) as writer:
            for first in range(start, stop, _PIECE):
                rows = self.source[first : min(first + _PIECE, stop)]
                features = self.featurizer.featurize(as_sequence(rows))
                failures += [replace(f, row=f.row + first) for f in features.failures]
                ok = features.ok
                if ok.any():
                    kept = rows if ok.all() else rows.select(ok)
                    X = features.values if ok.all() else take_rows(features.values, ok)
                    writer.append(
                        NumpyDataset(X, kept.y, kept.w, kept.ids, kept.tasks, kept.classes)
                    )
                engines.alive()
        with failures_file(directory) as file:
            append_failures(file, failures)


def featurize(
    dataset: Dataset | str | os.PathLike[str],
    featurizer: Featurizer[Any],
    directory: str | Path,
    *,
    loader: Loader | None = None,
    engine: Any = "serial",
    shard_rows: int = 2048,
    retries: int = 1,
    timeout: float | None = None,
    progress: Any = None,
    strict: bool = False,
) -> Loaded:
    """Featurize the X of ``dataset`` into a :class:`DiskDataset` in ``directory``.

    ``dataset`` may also be a file that ``loader`` reads. The dataset returned has the rows that
    could be featurized, in order, with their labels, weights and ids; the report has the others,
    numbered as in ``dataset`` or the file, among them those whose worker crashed or took longer
    than ``timeout`` seconds.

    Memory does not grow with the number of rows: a worker holds the features of 64 inputs, and this
    process those of one shard of ``shard_rows``. The report does, by about 400 bytes for each
    failure. A dataset that is not on disk is copied there first, 65 536 rows at a time.

    A featurization that was interrupted, or whose machine failed, continues where it was, on any
    ``engine``, if it is called again with the same arguments; one that is complete is opened.
    ``engine``, ``retries``, ``timeout`` and ``progress`` are as in :func:`dc_core.engines.run`.

    Raises :class:`EmptyDataset` if no row could be featurized, :class:`DiskDatasetError` if
    ``directory`` has another dataset or something else, :class:`FeaturizationError` if anything
    failed and ``strict`` is set (no dataset is written then; one that is there is kept), and what
    the loader raises.
    """
    if not isinstance(featurizer, Featurizer):
        raise ParameterError(f"{featurizer!r} is not a featurizer.")
    check_source(dataset, loader)
    place = Path(directory)
    check_directory(place)
    work = place / ".work"
    unread: list[Failure] = []
    if not isinstance(dataset, Dataset):
        dataset, unread = rows_of(dataset, loader, work, strict=strict)
    rows = identity(dataset)
    if not (place / FILENAME).exists():
        task = FeaturizeRows(on_disk(dataset, rows, work), featurizer, rows)
        shards = engines.run(
            task,
            work / "run",
            engine=engine,
            shard_rows=shard_rows,
            retries=retries,
            timeout=timeout,
            progress=progress,
        )
        labels = [failure for failure in unread if failure.task]
        numbers = SourceNumbers([failure for failure in unread if not failure.task])
        report = numbers.report([*run_failures(shards, task.source)], labels)
        if strict:
            report.raise_if_any()
        with failures_file(place) as file:
            append_failures(file, report)
            with writing(place / FAILURES):
                os.fsync(file.fileno())  # before the dataset that it belongs to
        _gather(shards, place, task)
    found = DiskDataset(place)
    clear(work)
    if found.provenance.get("task") != _key(rows, featurizer):
        raise DiskDatasetError(
            f"{place} has a dataset of other rows or another featurizer: "
            f"{found.provenance.get('featurizer', 'unknown')}.",
            hint="Choose another directory.",
        )
    failed = FailureReport(tuple(stored_failures(place)))
    if strict:
        failed.raise_if_any()
    return Loaded(found, failed)


def _key(rows: str, featurizer: Featurizer[Any]) -> str:
    return engines.digest([rows, featurizer])


def _gather(shards: engines.Shards, place: Path, task: FeaturizeRows) -> None:
    """Append the rows of all shards to the dataset in ``place``, which exists from then on."""
    provenance = {
        "featurizer": repr(task.featurizer),
        "task": task.key,
        "source": dict(task.source.provenance),
        "packages": distributions.of_class(type(task.featurizer)),
    }
    form: Any = {"pack": task.featurizer.bits, "code": task.featurizer.codes}
    with DatasetWriter(place, **form, provenance=provenance) as writer:
        for shard in shards:
            if (shard.path / "rows" / FILENAME).exists():
                writer.append(DiskDataset(shard.path / "rows"))
        if writer.rows == 0:
            raise EmptyDataset("No row could be featurized.", hint=f"See {place / FAILURES}.")


def run_failures(shards: engines.Shards, source: DiskDataset) -> Iterator[Failure]:
    """Yield the failures of all shards, in order; a crashed row is one."""
    for shard in shards:
        if shard.status == "ok":
            yield from stored_failures(shard.path)
        else:
            (given,) = as_sequence(source[shard.start : shard.stop])
            yield Failure(shard.start, str(given), shard.status, shard.message)
