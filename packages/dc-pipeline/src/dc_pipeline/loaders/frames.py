"""Load data frames of pandas, Polars and Arrow, and Parquet files, which are read as such."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Final

import narwhals as nw

from dc_core import Failure, Featurizer
from dc_core.errors import LoaderError
from dc_pipeline.loaders.block import Block
from dc_pipeline.loaders.sources import Source
from dc_pipeline.loaders.table import TableLoader
from dc_pipeline.loaders.values import Fields

_ROWS: Final = 8192


class DataFrameLoader(TableLoader):
    """Reads a DataFrame of pandas, Polars or Arrow, with a failure report, as files are read.

    The parameters are those of :class:`CSVLoader`, and so are the failures: a column of numbers may
    hold text. For columns of numbers as X there is :meth:`NumpyDataset.from_dataframe`.

    Raises :class:`LoaderError` for anything but a DataFrame, and if it lacks a column or has two of
    that name.
    """

    def __init__(
        self,
        inputs: str = "smiles",
        tasks: str | Sequence[str] = (),
        id: str | None = None,
        weights: str | Sequence[str] | None = None,
        featurizer: Featurizer[Any] | None = None,
        classes: str | Sequence[str] | Mapping[str, Sequence[str]] = (),
    ) -> None:
        super().__init__(inputs, tasks, id, weights, featurizer, classes)

    def _blocks(self, source: Any, start: int) -> Iterator[Block]:
        fields = self._fields()
        frame = _frame(source)
        _check_columns(fields, list(frame.columns), "The DataFrame")
        for first in range(start, len(frame), _ROWS):
            yield _block(fields, frame[first : first + _ROWS], first)


class ParquetLoader(TableLoader):
    """Reads a Parquet file by row groups, of which only the columns that are named.

    It is a path or a URL. The parameters and failures are those of :class:`CSVLoader`; a column of
    numbers may hold text. Reading needs pyarrow: ``pip install "dc-pipeline[parquet]"``.

    Raises :class:`LoaderError` if the file is damaged, or lacks a column or has two of that name.
    """

    requires = ("pyarrow",)

    def __init__(
        self,
        inputs: str = "smiles",
        tasks: str | Sequence[str] = (),
        id: str | None = None,
        weights: str | Sequence[str] | None = None,
        featurizer: Featurizer[Any] | None = None,
        classes: str | Sequence[str] | Mapping[str, Sequence[str]] = (),
    ) -> None:
        super().__init__(inputs, tasks, id, weights, featurizer, classes)

    def _blocks(self, source: Any, start: int) -> Iterator[Block]:
        file = Source(source)
        try:
            import pyarrow as pa
            import pyarrow.parquet as pq
        except ImportError as error:
            raise LoaderError(
                f"{file} is a Parquet file, and pyarrow is not installed.",
                hint='pip install "dc-pipeline[parquet]"',
            ) from error
        fields = self._fields()
        wanted = list(dict.fromkeys([*fields.texts, *fields.numbers]))
        with ExitStack() as stack:
            stream = stack.enter_context(file.open())
            try:
                parquet = stack.enter_context(pq.ParquetFile(stream))
                _check_columns(fields, parquet.schema_arrow.names, str(file))
                first = group = 0
                groups = [
                    parquet.metadata.row_group(i).num_rows for i in range(parquet.num_row_groups)
                ]
                while group < len(groups) and first + groups[group] <= start:
                    first += groups[group]
                    group += 1
                rows = parquet.iter_batches(
                    _ROWS, row_groups=range(group, len(groups)), columns=wanted
                )
                for batch in rows:
                    frame = nw.from_native(pa.Table.from_batches([batch]), eager_only=True)
                    yield _block(fields, frame, first)
                    first += len(frame)
            except (pa.ArrowException, OSError) as error:
                raise LoaderError(
                    f"{file} is a damaged Parquet file: {error}.", hint="Get it again."
                ) from error


def _frame(source: Any) -> Any:
    """Return ``source`` as a DataFrame of narwhals."""
    try:
        frame = nw.from_native(source, pass_through=True)
    except nw.exceptions.DuplicateError as error:
        raise LoaderError(f"The DataFrame has columns of one name: {error}.") from error
    if isinstance(frame, nw.LazyFrame):
        raise LoaderError("The frame is lazy.", hint="Compute it first: frame.collect().")
    if not isinstance(frame, nw.DataFrame):
        raise LoaderError(
            f"A {type(source).__name__} is not a DataFrame of pandas, Polars or Arrow.",
            hint="Files are read by CSVLoader, ParquetLoader and others.",
        )
    return frame


def _check_columns(fields: Fields, names: Sequence[Any], where: str) -> None:
    for name in (*fields.texts, *fields.numbers):
        if name not in names:
            raise LoaderError(
                f"{where} has no column {name!r}.",
                hint=f"It has: {', '.join(map(str, names[:50]))}.",
            )
        if list(names).count(name) > 1:
            raise LoaderError(f"{where} has several columns {name!r}.", hint="Rename one.")


def _block(fields: Fields, frame: Any, first: int) -> Block:
    """Return the rows of ``frame``, the first of which has the number ``first``."""
    columns = {name: _values(frame[name]) for name in (*fields.texts, *fields.numbers)}
    names = list(columns)
    rows: list[Mapping[str, Any] | Failure] = [
        dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)
    ]
    return fields.block(first, rows)


def _values(series: Any) -> list[Any]:
    values: list[Any] = series.to_list()
    if any(type(value).__name__ == "NAType" for value in values):  # pandas.NA
        return [None if type(value).__name__ == "NAType" else value for value in values]
    return values
