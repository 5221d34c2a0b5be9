"""Predict for a file or dataset of any size on an engine, into one table."""

from __future__ import annotations

import logging
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from dc_core import (
    Dataset,
    Estimator,
    Failure,
    FailureReport,
    Loader,
    engines,
    sync_directory,
    sync_file,
)
from dc_core.errors import EmptyDataset, ParameterError
from dc_pipeline.disk import DiskDataset
from dc_pipeline.disk.failures import append_failures, failures_file
from dc_pipeline.disk.writing import writing
from dc_pipeline.logs import unlogged
from dc_pipeline.scale.featurizing import run_failures
from dc_pipeline.scale.sources import SourceNumbers, check_source, rows_of
from dc_pipeline.scale.working import clear

logger = logging.getLogger(__name__)

_PIECE: Final = 1024
"""Rows that are predicted at a time, between two signs of life."""

_PREDICTION: Final = "prediction.npy"


class Predictions(NamedTuple):
    """Where the table of predictions is, how many rows it has, and the failures among them."""

    path: Path
    rows: int
    failures: FailureReport


@dataclass(frozen=True)
class PredictRows(engines.Task):
    """Predicts rows of ``source`` with a stored model; a shard's result is an array."""

    source: DiskDataset
    model: Path
    model_class: type[Estimator]
    revision: str

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.source)

    @property
    def key(self) -> str:
        """The identity of the rows and the model, wherever they are."""
        return engines.digest([self.source.identity, self.revision])

    def run(self, start: int, stop: int, directory: Path) -> None:
        """Predict the rows and write the predictions, and the report on those that failed."""
        model = _loaded(self.model_class, self.model)
        parts: list[np.ndarray] = []
        failures: list[Failure] = []
        for first in range(start, stop, _PIECE):
            with unlogged():  # the rows would be numbered within this piece
                parts.append(model.predict(self.source[first : min(first + _PIECE, stop)]))
            report = getattr(model, "failures", ())
            failures += [replace(failure, row=failure.row + first) for failure in report]
            engines.alive()
        np.save(directory / _PREDICTION, np.concatenate(parts), allow_pickle=False)
        with failures_file(directory) as file:
            append_failures(file, failures)


@lru_cache(maxsize=1)
def _loaded(model_class: type[Estimator], directory: Path) -> Estimator:
    """Load the model once per worker; its weights are mapped, so that workers share them."""
    return model_class.from_pretrained(directory)


def predict_to(
    model: Estimator,
    source: Dataset | str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    loader: Loader | None = None,
    engine: Any = "serial",
    shard_rows: int = 4096,
    retries: int = 1,
    timeout: float | None = None,
    progress: Any = None,
) -> Predictions:
    """Predict for all rows of ``source`` with ``model``, and write the table ``out``.

    ``source`` is a dataset, or a file that ``loader`` reads. ``out`` ends in ``.parquet`` or
    ``.csv``. The table has one row per row of the source, in order: ``row``, ``id``, ``input`` if
    inputs are text, the predictions (``predicted_<task>``, or ``p_<task>_<class>`` for
    probabilities), ``status`` and ``message``. Rows that failed have no prediction and the reason.

    What is finished is kept in ``<out>.work``, where the same call goes on after an interruption,
    on any ``engine``; ``out`` itself appears when it is complete. ``engine``, ``retries``,
    ``timeout`` and ``progress`` are as in :func:`dc_core.engines.run`.

    Memory does not grow with the number of rows: a worker holds the features of 1 024 rows and the
    predictions of a shard, and this process the table of one shard. The report does, by about 400
    bytes for each failure.

    The model is stored for the workers, so it needs dc-hub. Writing needs pyarrow:
    ``pip install "dc-pipeline[parquet]"``.

    Raises, before anything is computed, :class:`ParameterError` if ``out`` cannot be written or is
    another kind of file, or if the model is no estimator, and :class:`EmptyDataset` if there are no
    rows; and what the loader and the model raise.
    """
    target = Path(out)
    _check_target(target)
    if not isinstance(model, Estimator):
        raise ParameterError(f"{model!r} is not an estimator.")
    check_source(source, loader)
    work = target.with_name(f"{target.name}.work")
    with writing(work):
        work.mkdir(exist_ok=True)
    directory, revision = _stored(model, work)
    rows, unread = rows_of(source, loader, work)
    numbers = SourceNumbers([failure for failure in unread if not failure.task])
    task = PredictRows(rows, directory, type(model), revision)
    shards = engines.run(
        task,
        work / "run",
        engine=engine,
        shard_rows=shard_rows,
        retries=retries,
        timeout=timeout,
        progress=progress,
    )
    failures = [*run_failures(shards, rows)]
    report = numbers.report(failures)
    _write(_tables(shards, rows, numbers, failures, model.classes), target)
    clear(work)
    done = Predictions(target, len(rows) + len(numbers.lost), report)
    level = logging.WARNING if report.failures else logging.INFO
    logger.log(level, "%s: %d rows, %s", target, done.rows, done.failures)
    return done


def _check_target(target: Path) -> None:
    """Raise :class:`ParameterError` if the table cannot be written."""
    if target.suffix not in (".parquet", ".csv"):
        raise ParameterError(
            f"{target.name} is neither a .parquet nor a .csv file.",
            hint='Use out="scores.parquet".',
        )
    if target.is_dir():
        raise ParameterError(f"{target} is a directory.", hint="Choose the name of a file.")
    if not target.parent.is_dir():
        raise ParameterError(
            f"There is no directory {target.parent} to write {target.name} to.",
            hint="Make it, or choose another.",
        )
    if not os.access(target.parent, os.W_OK):
        raise ParameterError(
            f"{target.parent} cannot be written.", hint="Choose another directory."
        )
    _arrow()


def _stored(model: Estimator, work: Path) -> tuple[Path, str]:
    """Store ``model`` for the workers; return where, and its revision."""
    temporary = work / f"model-{uuid.uuid4().hex}"
    revision = str(model.to_pretrained(temporary).revision)
    final = work / f"model-{revision[:32]}"
    if final.exists():
        shutil.rmtree(temporary)
    else:
        temporary.rename(final)
    return final, revision


def _tables(
    shards: engines.Shards,
    rows: DiskDataset,
    numbers: SourceNumbers,
    failures: Sequence[Failure],
    classes: Mapping[str, Sequence[str]],
) -> Iterator[dict[str, Any]]:
    """Yield the columns of the table, shard by shard."""
    failed = {failure.row: failure for failure in failures}
    form = _form(shards)
    for shard in shards:
        n = len(shard)
        if shard.status == "ok":
            prediction = np.load(shard.path / _PREDICTION, allow_pickle=False)
        else:
            prediction = np.full((n, *form), np.nan)
        batch = rows.rows(np.arange(shard.start, shard.stop), ("X", "ids"))
        lost = numbers.between(shard.start, shard.stop, last=shard.stop == len(rows))
        found = [failed.get(row) for row in range(shard.start, shard.stop)]
        columns: dict[str, list[Any]] = {
            "row": [*numbers.of(np.arange(shard.start, shard.stop)).tolist()],
            "id": batch.ids.tolist(),
        }
        text = isinstance(batch.X, np.ndarray) and batch.X.dtype.kind == "T"
        if text:
            columns["input"] = np.asarray(batch.X).tolist()
        for name, values in _named(prediction, rows.tasks, classes):
            columns[name] = [None if np.isnan(value) else value for value in values.tolist()]
        columns["status"] = ["ok" if failure is None else failure.status for failure in found]
        columns["message"] = ["" if failure is None else failure.message for failure in found]
        for failure in lost:
            given = {"row": failure.row, "id": "", "input": failure.input}
            given |= {"status": failure.status, "message": failure.message}
            for name, column in columns.items():
                column.append(given.get(name))
        order = np.argsort(columns["row"], kind="stable").tolist()
        yield {name: [column[i] for i in order] for name, column in columns.items()}


def _form(shards: engines.Shards) -> tuple[int, ...]:
    """Return the shape of one row's prediction."""
    for shard in shards:
        if shard.status == "ok":
            stored = np.load(shard.path / _PREDICTION, mmap_mode="r", allow_pickle=False)
            return tuple(stored.shape[1:])
    raise EmptyDataset("No row could be predicted: every one of them ended its worker.")


def _named(
    prediction: np.ndarray, tasks: Sequence[str], classes: Mapping[str, Sequence[str]]
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the columns of a prediction with the names that ``to_dataframe`` gives them."""
    width = prediction.shape[1]
    known = [*classes] if len(classes) == width else []
    names = tasks if len(tasks) == width else known or [str(task) for task in range(width)]
    for t, task in enumerate(names):
        if prediction.ndim == 2:
            yield f"predicted_{task}", prediction[:, t]
            continue
        labels = dict(enumerate(classes.get(task, ())))
        for c in range(prediction.shape[2]):
            yield f"p_{task}_{labels.get(c, c)}", prediction[:, t, c]


def _arrow() -> Any:
    """Return the module ``pyarrow``, with its readers and writers."""
    try:
        import pyarrow.csv
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise ParameterError(
            "Writing tables needs pyarrow.", hint='Run: pip install "dc-pipeline[parquet]"'
        ) from error
    return pyarrow


def _write(tables: Iterator[dict[str, Any]], target: Path) -> None:
    """Write the tables one after another; ``target`` appears when all are written."""
    pa = _arrow()
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    writer: Any = None
    with writing(target, "What is predicted is kept; free space, and call again."):
        try:
            for columns in tables:
                if writer is None:
                    schema = pa.schema([(name, _type_of(name)) for name in columns])
                    parquet = target.suffix == ".parquet"
                    kind = pa.parquet.ParquetWriter if parquet else pa.csv.CSVWriter
                    writer = kind(temporary, schema)
                writer.write_table(pa.table(columns, schema=schema))
            writer.close()
            sync_file(temporary)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
        sync_directory(target.parent)


def _type_of(name: str) -> Any:
    pa = _arrow()
    if name == "row":
        return pa.int64()
    return pa.string() if name in ("id", "input", "status", "message") else pa.float64()
