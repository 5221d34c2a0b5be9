"""Records as a loader reads them, by column, for all formats of tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from dc_core import Column, Failure, take_rows


@dataclass(frozen=True, slots=True)
class Block:
    """Some consecutive records of a source, ``first`` to ``stop - 1``, counted from 0.

    ``records`` are the numbers of the usable ones, ``(n,)``, and ``failures`` are about the others.
    ``texts`` holds each column of text, ``(n,)``, stripped. ``numbers`` holds the columns of
    numbers, ``(n, columns)`` of float64. It is NaN where a value is missing and where the text is
    not a number; ``unread`` holds that text by row and column, in the order of both. ``columns``
    are further columns of X by name. ``progress`` is the part of the source that the records are,
    in its own unit: characters, bytes, records.
    """

    first: int
    records: np.ndarray
    texts: Mapping[str, np.ndarray]
    numbers: np.ndarray
    unread: Mapping[tuple[int, int], str]
    failures: list[Failure]
    columns: Mapping[str, Column] = field(default_factory=dict)
    progress: int = 0

    @property
    def stop(self) -> int:
        """The number of the record after the last."""
        return self.first + len(self.records) + len(self.failures)

    def cut(self, number: int) -> tuple[Block, Block]:
        """Return the records before ``number``, and those from it on."""
        row = int(np.searchsorted(self.records, number))
        return (
            self._part(self.first, slice(None, row), [f for f in self.failures if f.row < number]),
            self._part(number, slice(row, None), [f for f in self.failures if f.row >= number]),
        )

    def _part(self, first: int, rows: slice, failures: list[Failure]) -> Block:
        start, stop, _ = rows.indices(len(self.records))
        return Block(
            first,
            self.records[rows],
            {name: column[rows] for name, column in self.texts.items()},
            self.numbers[rows],
            {(r - start, c): text for (r, c), text in self.unread.items() if start <= r < stop},
            failures,
            {name: take_rows(column, rows) for name, column in self.columns.items()},
            self.progress * (stop - start) // max(1, len(self.records)),
        )


def in_batches(blocks: Iterable[Block], size: int, start: int) -> Iterator[list[Block]]:
    """Yield the records from ``start`` on, as lists of blocks of ``size`` records together.

    The last list has the rest; if there are no records at all it is empty.
    """
    stop = start + size
    batch: list[Block] = []
    given = False
    for block in blocks:
        rest = block.cut(start)[1] if block.first < start else block
        while rest.stop >= stop:
            head, rest = rest.cut(stop)
            yield [*batch, head]
            given = True
            batch = []
            stop += size
        if rest.stop > rest.first:
            batch.append(rest)
    if batch or not given:
        yield batch
