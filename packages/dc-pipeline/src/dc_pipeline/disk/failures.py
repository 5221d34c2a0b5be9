"""The report beside a dataset on disk: one failure on each line."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Final

from dc_core import Failure
from dc_pipeline.disk.writing import writing
from dc_pipeline.errors import DiskDatasetError

FAILURES: Final = "failures.jsonl"
"""The name of the report in the dataset's directory."""


@contextmanager
def failures_file(directory: Path, size: int = 0) -> Iterator[IO[bytes]]:
    """Open the report in ``directory`` for appending after its first ``size`` bytes.

    Raises :class:`DiskDatasetError` if it cannot be opened.
    """
    path = directory / FAILURES
    with ExitStack() as resources:
        with writing(path):
            file = resources.enter_context(path.open("ab"))
            file.truncate(size)
            file.seek(0, os.SEEK_END)
        yield file


def append_failures(file: IO[bytes], failures: Iterable[Failure]) -> None:
    """Write ``failures`` to ``file``, one on each line.

    Raises :class:`DiskDatasetError` if they cannot be written.
    """
    with writing(file.name):
        file.writelines(json.dumps(asdict(failure)).encode() + b"\n" for failure in failures)
        file.flush()


def stored_failures(directory: str | os.PathLike[str]) -> Iterator[Failure]:
    """Yield the failures of the rows and labels that are missing in the dataset in ``directory``.

    Raises :class:`DiskDatasetError` if they cannot be read.
    """
    path = Path(directory) / FAILURES
    try:
        with path.open("rb") as file:
            for line in file:
                yield _checked(Failure(**json.loads(line)))
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise DiskDatasetError(f"{path} cannot be read: {error}.") from error


def _checked(failure: Failure) -> Failure:
    """Return the ``failure``, whose other fields become text.

    Raises :class:`TypeError` if its row is no number of a row.
    """
    if type(failure.row) is not int or failure.row < 0:
        raise TypeError(f"{failure.row!r} is not the number of a row")
    texts = (failure.input, failure.status, failure.message, failure.task)
    return Failure(failure.row, *map(str, texts))
