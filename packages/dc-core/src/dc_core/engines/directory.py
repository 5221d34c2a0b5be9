"""The directory of a run, whose file names are the only record of finished rows.

A worker writes into ``tmp-…`` and then renames it to ``<start>-<stop>``. A rename is atomic, so
that a directory of such a name is complete: the names are the journal of the run. The ranges form
a tree: the grid of ``run.json``, and below each of its cells the halves into which it was divided
when a worker died.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from dc_core.errors import RunMismatch
from dc_core.files import sync_directory, sync_file

Rows = tuple[int, int]
"""The first row of a range, and the one after its last."""

RUN: Final = "run.json"
SHARD: Final = "shard.json"
TEMPORARY: Final = "tmp-"
DEFAULT_ROWS: Final = 2048

_COMMITTED: Final = re.compile(r"(\d{12,})-(\d{12,})")
_FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Header:
    """The content of ``run.json``: the identity of the run in the directory."""

    task: str
    key: str
    rows: int
    shard_rows: int
    format: int = _FORMAT

    def cells(self) -> Iterator[Rows]:
        """Yield the ranges of the grid in the order of their rows."""
        for start in range(0, self.rows, self.shard_rows):
            yield start, min(start + self.shard_rows, self.rows)


def name_of(rows: Rows) -> str:
    """Return the name of the directory in which the results of ``rows`` are."""
    return f"{rows[0]:012}-{rows[1]:012}"


def committed(directory: Path) -> list[Rows]:
    """Return the finished ranges in order; of nested ones only the outermost."""
    with os.scandir(directory) as entries:
        matches = filter(None, (_COMMITTED.fullmatch(entry.name) for entry in entries))
        found = sorted(((int(m[1]), int(m[2])) for m in matches), key=lambda r: (r[0], -r[1]))
    outermost: list[Rows] = []
    for rows in found:
        if not outermost or rows[0] >= outermost[-1][1]:
            outermost.append(rows)
    return outermost


def is_finished(directory: Path, rows: Rows) -> bool:
    """Tell whether a range, or one around it, is finished."""
    return (directory / name_of(rows)).is_dir() or any(
        start <= rows[0] and rows[1] <= stop for start, stop in committed(directory)
    )


def halves(rows: Rows) -> tuple[Rows, Rows]:
    """Divide a range of at least two rows."""
    middle = (rows[0] + rows[1]) // 2
    return (rows[0], middle), (middle, rows[1])


def missing(header: Header, finished: Iterable[Rows]) -> Iterator[Rows]:
    """Yield the ranges of the tree that are not finished, the largest that there are, in order.

    ``finished`` is in order, as :func:`committed` returns it.
    """
    remaining = iter(finished)
    current = next(remaining, None)
    for cell in header.cells():
        inside = []
        while current is not None and current[0] < cell[1]:
            inside.append(current)
            current = next(remaining, None)
        yield from _missing(cell, inside)


def _missing(rows: Rows, inside: list[Rows]) -> Iterator[Rows]:
    if not inside:
        yield rows
    elif inside[0] != rows and rows[1] - rows[0] > 1:
        for half in halves(rows):
            yield from _missing(half, [r for r in inside if half[0] <= r[0] < half[1]])


def read_header(directory: Path) -> Header | None:
    """Return the identity of the run in the directory, None if it is empty or does not exist.

    Raises :class:`RunMismatch` if it contains something else.
    """
    path = directory / RUN
    try:
        fields = json.loads(path.read_bytes())
        if fields.get("format") != _FORMAT:
            raise RunMismatch(
                f"{path} has format {fields.get('format')!r}; this dc-core reads {_FORMAT}.",
                hint="Run: pip install --upgrade dc-core",
            )
        return Header(**fields)
    except NotADirectoryError:
        raise RunMismatch(f"{directory} is a file.", hint="Choose another name.") from None
    except FileNotFoundError:
        names = [path.name for path in directory.iterdir()] if directory.exists() else []
        foreign = [name for name in names if not name.startswith(TEMPORARY)]
        if foreign:
            raise RunMismatch(
                f"{directory} contains other files ({min(foreign)}) and no {RUN}.",
                hint="Choose a new or an empty directory.",
            ) from None
        return None
    except (ValueError, TypeError, AttributeError) as error:
        raise RunMismatch(
            f"{path} cannot be read: {error}.", hint="Choose another directory."
        ) from error


def prepare(directory: Path, wanted: Header) -> Header:
    """Make the directory of a run, or check that it is a run of the same task; return its header.

    A directory that is there already keeps its grid. Raises :class:`RunMismatch`.
    """
    found = read_header(directory)
    if found is None:
        directory.mkdir(parents=True, exist_ok=True)
        unfinished = directory / f"{TEMPORARY}{uuid.uuid4().hex}"
        unfinished.write_text(json.dumps(asdict(wanted), indent=1), encoding="utf-8")
        sync_file(unfinished)
        unfinished.replace(directory / RUN)
        sync_directory(directory)
        found = read_header(directory) or wanted
    for what, old, new in (
        ("task", found.task, wanted.task),
        ("number of rows", found.rows, wanted.rows),
        ("key", found.key, wanted.key),
    ):
        if old != new:
            raise RunMismatch(
                f"{directory} contains the run of another task: its {what} is {old!r}, "
                f"not {new!r}.",
                hint="Choose another directory, or delete this one to start afresh.",
            )
    return found


def commit(directory: Path, unfinished: Path, rows: Rows, record: Mapping[str, Any]) -> None:
    """Write the record of a range, put everything on the disk, and rename it to its final name.

    If the range is there already, because another run was faster, that one is kept.
    """
    text = json.dumps({"rows": rows[1] - rows[0], **record}, indent=1)
    (unfinished / SHARD).write_text(text, encoding="utf-8")
    for parent, _, files in os.walk(unfinished):
        for file in files:
            sync_file(Path(parent, file))
        sync_directory(Path(parent))
    final = directory / name_of(rows)
    try:
        unfinished.rename(final)
    except OSError:
        if not final.is_dir():
            raise
        shutil.rmtree(unfinished, ignore_errors=True)
    sync_directory(directory)


def commit_failure(directory: Path, row: int, status: str, message: str) -> None:
    """Commit a row that has no result, unless another run has done so, and tidied up since."""
    unfinished = directory / f"{TEMPORARY}{uuid.uuid4().hex}"
    rows = (row, row + 1)
    unfinished.mkdir()
    try:
        commit(directory, unfinished, rows, {"status": status, "message": message})
    except FileNotFoundError:
        if not is_finished(directory, rows):
            raise


def read_record(directory: Path, rows: Rows) -> dict[str, Any]:
    """Return the record of a finished range."""
    path = directory / name_of(rows) / SHARD
    try:
        record: dict[str, Any] = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise RunMismatch(
            f"{path} cannot be read: {error}.",
            hint=f"Delete {path.parent} and run the task again: only its rows are done anew.",
        ) from error
    return record


def remove_temporary(directory: Path) -> None:
    """Remove the leftovers of dead workers from the directory of a complete run."""
    for path in directory.glob(f"{TEMPORARY}*"):
        if path.is_dir():
            discard(path)
        else:
            path.unlink(missing_ok=True)


def discard(unfinished: Path) -> None:
    """Remove an unfinished directory, in which a worker may still be writing, if it is there."""
    # Renamed first, because half of its files must never be committed.
    gone = unfinished.with_name(f"{TEMPORARY}{uuid.uuid4().hex}")
    with suppress(FileNotFoundError):
        unfinished.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)
