"""Load SMILES files: on each line a SMILES, white space and a name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dc_core import Featurizer
from dc_core.errors import LoaderError
from dc_pipeline.loaders.block import Block
from dc_pipeline.loaders.sources import Source
from dc_pipeline.loaders.table import TableLoader
from dc_pipeline.loaders.text_file import read_lines


class SMILESLoader(TableLoader):
    """Reads a SMILES file (``.smi``): on each line a SMILES, white space, and the molecule's name.

    X is the SMILES, or with a ``featurizer`` its features. The ids are the names; a molecule
    without one is named by its SMILES. ``header`` says that the first line names the columns. A
    row fails (status ``parse``) if its SMILES has more than 131 072 characters. Blank lines do not
    count.

    Raises :class:`LoaderError` if the file is empty.
    """

    def __init__(
        self,
        featurizer: Featurizer[Any] | None = None,
        header: bool = False,
        encoding: str = "utf-8-sig",
    ) -> None:
        super().__init__("smiles", id="name", featurizer=featurizer)
        self.header = header
        self.encoding = encoding

    def _blocks(self, source: Any, start: int) -> Iterator[Block]:
        file = Source(source)
        fields = self._fields()
        first = 0
        header = self.header
        for lines in read_lines(file, self.encoding):
            parts = [line.text.split(maxsplit=1) for line in (lines[1:] if header else lines)]
            header = False
            yield fields.block(first, [{"smiles": p[0], "name": p[-1]} for p in parts])
            first += len(parts)
        if first == 0 and (header or not self.header):
            raise LoaderError(f"{file} is empty.", hint="Each line has a SMILES and a name.")
