"""Load JSON lines: one object on each line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dc_core import Failure, Featurizer
from dc_core.errors import LoaderError
from dc_pipeline.loaders.block import Block
from dc_pipeline.loaders.sources import Source
from dc_pipeline.loaders.table import TableLoader
from dc_pipeline.loaders.text_file import Line, read_lines


class JSONLinesLoader(TableLoader):
    """Reads a file with one JSON object on each line.

    The parameters name fields of the objects and are those of :class:`CSVLoader`, and so are the
    failures. A field that an object lacks is missing, like null. Numbers may be given as text. A
    line that is not an object fails (status ``parse``).

    Raises :class:`LoaderError` if the file is empty, and at its end if a field is in no object.
    """

    def __init__(
        self,
        inputs: str = "smiles",
        tasks: str | Sequence[str] = (),
        id: str | None = None,
        weights: str | Sequence[str] | None = None,
        featurizer: Featurizer[Any] | None = None,
        encoding: str = "utf-8-sig",
        classes: str | Sequence[str] | Mapping[str, Sequence[str]] = (),
    ) -> None:
        super().__init__(inputs, tasks, id, weights, featurizer, classes)
        self.encoding = encoding

    def _blocks(self, source: Any, start: int) -> Iterator[Block]:
        file = Source(source)
        fields = self._fields()
        first = 0
        found: set[str] = set()
        for lines in read_lines(file, self.encoding):
            records = [_record(row, line) for row, line in enumerate(lines, first)]
            for record in records:
                if not isinstance(record, Failure):
                    found |= record.keys()
            yield fields.block(first, records)
            first += len(records)
        if first == 0:
            raise LoaderError(f"{file} is empty.", hint="Each line is a JSON object.")
        if found:
            fields.check(file, found)


def _record(row: int, line: Line) -> Mapping[str, Any] | Failure:
    try:
        value = json.loads(line.text)
    except (ValueError, RecursionError) as error:
        return Failure(row, line.text[:1000], "parse", f"line {line.number} is not JSON: {error}")
    if not isinstance(value, dict):
        return Failure(row, line.text[:1000], "parse", f"line {line.number} is not a JSON object")
    return value
