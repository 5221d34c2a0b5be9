"""Load a CSV file: every row is in the dataset or in the failure report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dc_core import Featurizer
from dc_core.errors import LoaderError, ParameterError
from dc_pipeline.loaders.block import Block
from dc_pipeline.loaders.delimited import Fault, Layout, Unread, read_blocks, read_header
from dc_pipeline.loaders.sources import Source
from dc_pipeline.loaders.table import TableLoader
from dc_pipeline.loaders.text_file import read_text


class CSVLoader(TableLoader):
    """Reads a CSV file with a header.

    It is a path or a URL that fsspec opens, plain, gzipped or compressed by zstd.

    ``inputs`` names the column of the raw inputs, such as SMILES; ``tasks`` those of the labels;
    ``id`` that of the rows' names (default: the inputs); ``weights`` one for all tasks, or one for
    each task. X is the inputs, or with a ``featurizer`` its features.

    ``classes`` names the tasks whose labels are text, such as ``active``: they are numbered in
    sorted order, and the dataset's :attr:`~dc_core.Dataset.classes` holds their names. A mapping
    sets the names and their order: ``classes={"activity": ["inactive", "active"]}``; another label
    then fails (status ``label``).

    A label that is missing (empty, ``NA``, ``NaN`` …) is NaN with weight 0. So is one that is not a
    finite number (status ``label``) or only a bound, such as ``>5`` (status ``censored``): the
    report names its task, and the row is kept. A row fails (status ``parse``) if its input is
    missing or contains a line break, a weight is not a number of at least 0, a quote is not closed
    in its line, it has another number of fields than the header, or a field has more than 131 072
    characters.

    Raises :class:`ParameterError` for a wrong number of weights, a delimiter that is not a single
    character, names that are not text or occur twice, and classes of other tasks.
    """

    def __init__(
        self,
        inputs: str = "smiles",
        tasks: str | Sequence[str] = (),
        id: str | None = None,
        weights: str | Sequence[str] | None = None,
        featurizer: Featurizer[Any] | None = None,
        delimiter: str = ",",
        encoding: str = "utf-8-sig",
        classes: str | Sequence[str] | Mapping[str, Sequence[str]] = (),
    ) -> None:
        super().__init__(inputs, tasks, id, weights, featurizer, classes)
        self.delimiter = delimiter
        self.encoding = encoding
        separator: Any = delimiter
        if not isinstance(separator, str) or len(separator) != 1 or separator in '"\r\n':
            raise ParameterError(
                f"The delimiter is {delimiter!r}.", hint="Give one character, such as ',' or ';'."
            )

    def _expected(self, source: Any) -> int:
        return Source(source).size()

    def _blocks(self, source: Any, start: int) -> Iterator[Block]:
        file = Source(source)
        unread = Unread(read_text(file, self.encoding), file)
        header = read_header(unread, self.delimiter)
        if isinstance(header, Fault):
            raise LoaderError(
                f"{file}, the first line: {header.reason}.",
                hint="The first line names the columns.",
            )
        if not "".join(header).strip():
            raise LoaderError(f"{file} is empty.", hint="The first line names the columns.")
        places = self._places(header, file)
        layout = Layout(
            self.delimiter,
            len(header),
            self.inputs,
            texts={name: places[name] for name in self._texts()},
            numbers=[places[name] for name in self._numbers()],
        )
        yield from read_blocks(unread, layout)

    def _places(self, header: list[str], file: Source) -> dict[str, int]:
        """Return the position in a record of each column that is needed."""
        columns = [name.strip() for name in header]
        wanted = [self.inputs, *self.tasks, *self.weights, *([self.id] if self.id else [])]
        for name in wanted:
            if name not in columns:
                raise LoaderError(
                    f"{file} has no column {name!r}.", hint=_hint(name, columns, self.delimiter)
                )
            if columns.count(name) > 1:
                raise LoaderError(f"{file} has several columns {name!r}.", hint="Rename one.")
        return {name: columns.index(name) for name in wanted}


def _hint(name: str, columns: list[str], delimiter: str) -> str:
    """Return the hint for a missing column ``name`` among ``columns``."""
    separators = [mark for mark in ";\t|," if mark != delimiter and mark in columns[0]]
    if len(columns) == 1 and separators:
        return f"Its columns seem to be separated otherwise: give delimiter={separators[0]!r}."
    meant = [column for column in columns if column.lower() == name.lower()]
    return f"It has: {', '.join(columns)}." + (f" Is it {meant[0]!r}?" if meant else "")
