"""Load FASTA files: sequences of proteins or nucleic acids."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from dc_core import Failure, Featurizer, check_count
from dc_core.errors import LoaderError
from dc_pipeline.loaders.block import Block
from dc_pipeline.loaders.sources import Source
from dc_pipeline.loaders.table import TableLoader
from dc_pipeline.loaders.text_file import read_lines

_OTHER: Final = re.compile(r"[^A-Z\-]")


class FASTALoader(TableLoader):
    """Reads a FASTA file: ``>`` and a name, and the sequence on the following lines.

    X is the sequences in upper case, without line breaks, white space and the ``*`` at their end;
    or with a ``featurizer`` their features. The ids are the first words of the names. A sequence
    may have letters and ``-`` for gaps; one with anything else, or none at all, fails (status
    ``parse``). One of more than ``max_length`` letters fails with the status ``size``, and is not
    held in memory. Lines that begin with ``;`` are comments.

    Raises :class:`LoaderError` if the file is empty or does not begin with ``>``, and
    :class:`ParameterError` unless ``max_length`` is from 1 to 131 072.
    """

    def __init__(
        self,
        featurizer: Featurizer[Any] | None = None,
        max_length: int = 100_000,
        encoding: str = "utf-8-sig",
    ) -> None:
        super().__init__("sequence", id="id", featurizer=featurizer)
        self.max_length = check_count("max_length", max_length, minimum=1, maximum=131_072)
        self.encoding = encoding

    def _blocks(self, source: Any, start: int) -> Iterator[Block]:
        fields = self._fields()
        first = 0
        records: list[dict[str, Any] | Failure] = []
        for row, (line, name, sequence, length) in enumerate(self._sequences(Source(source))):
            records.append(self._record(row, line, name, sequence, length))
            if len(records) == 1024:
                yield fields.block(first, records)
                first, records = row + 1, []
        yield fields.block(first, records)

    def _sequences(self, file: Source) -> Iterator[tuple[int, str, str, int]]:
        """Yield the line, the name, the sequence and its length of every record.

        The sequence is incomplete if it is longer than the limit.
        """
        name: str | None = None
        begin = length = 0
        parts: list[str] = []
        for lines in read_lines(file, self.encoding):
            for number, text in lines:
                if text.startswith(">"):
                    if name is not None:
                        yield begin, name, "".join(parts), length
                    begin, name, parts, length = number, text[1:].strip(), [], 0
                elif name is None and not text.startswith(";"):
                    raise LoaderError(
                        f"{file}, line {number} does not begin with '>'.",
                        hint="A FASTA file has '>' and a name before each sequence.",
                    )
                elif not text.startswith(";"):
                    part = "".join(text.split())
                    if length <= self.max_length:
                        parts.append(part)
                    length += len(part)
        if name is None:
            raise LoaderError(f"{file} is empty.", hint="It has no sequence.")
        yield begin, name, "".join(parts), length

    def _record(
        self, row: int, line: int, name: str, sequence: str, length: int
    ) -> dict[str, Any] | Failure:
        given = sequence[:1000]
        letters = sequence.upper().removesuffix("*")
        if length - sequence.endswith("*") > self.max_length:
            return Failure(
                row,
                given,
                "size",
                f"line {line}: the sequence of {name!r} has {length} letters; the limit is "
                f"max_length={self.max_length}",
            )
        if not letters:
            return Failure(row, name, "parse", f"line {line}: {name!r} has no sequence")
        other = _OTHER.search(letters)
        if other:
            fault = f"line {line}: the sequence of {name!r} has {other[0]!r} at {other.start() + 1}"
            return Failure(row, given, "parse", fault)
        return {"sequence": letters, "id": name.split(maxsplit=1)[0] if name else f"sequence{row}"}
