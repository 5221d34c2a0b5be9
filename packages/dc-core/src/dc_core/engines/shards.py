"""The results of a run, in the order of the rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dc_core.engines import directory as layout
from dc_core.errors import RunMismatch


@dataclass(frozen=True, slots=True)
class Shard:
    """The results of the rows from ``start`` up to ``stop``: the files in ``path``.

    ``status`` is ``ok``, or ``crash`` or ``timeout`` of a single row, which then has no files, and
    ``message`` says more.
    """

    start: int
    stop: int
    path: Path
    status: str = "ok"
    message: str = ""

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.stop - self.start


class Shards:
    """The finished shards of the run in ``directory``: a view of its names when it was made.

    Iterating yields a :class:`Shard` for each part in the order of the rows. Raises
    :class:`RunMismatch` if the directory is not that of a run.
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        header = layout.read_header(self.directory)
        if header is None:
            raise RunMismatch(
                f"{self.directory} contains no run.", hint="Give the directory of a run."
            )
        self._header = header
        self._finished = layout.committed(self.directory)

    @property
    def rows(self) -> int:
        """The number of rows of the task."""
        return self._header.rows

    @property
    def done(self) -> int:
        """How many rows are finished, failed ones included."""
        return sum(stop - start for start, stop in self._finished)

    @property
    def complete(self) -> bool:
        """Whether every row is finished, failed ones included."""
        return self.done == self.rows

    @property
    def failures(self) -> list[Shard]:
        """The rows that crashed or timed out."""
        return [shard for shard in self if shard.status != "ok"]

    def __len__(self) -> int:
        """Return the number of finished parts."""
        return len(self._finished)

    def __iter__(self) -> Iterator[Shard]:
        """Yield the finished parts in the order of their rows."""
        for rows in self._finished:
            yield self._shard(rows)

    def __getitem__(self, index: int) -> Shard:
        """Return one of the finished parts."""
        return self._shard(self._finished[index])

    def __repr__(self) -> str:
        """Show the directory and how much is finished."""
        return f"Shards({str(self.directory)!r}: {self.done} of {self.rows} rows)"

    def _shard(self, rows: layout.Rows) -> Shard:
        record: dict[str, Any] = {}
        # Only a single row can have failed: the records of the others need not be read.
        if rows[1] - rows[0] == 1:
            record = layout.read_record(self.directory, rows)
        path = self.directory / layout.name_of(rows)
        return Shard(*rows, path, record.get("status", "ok"), record.get("message", ""))
