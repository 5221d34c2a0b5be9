"""Say in typed errors that the disk refuses to be written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from dc_pipeline.errors import DiskDatasetError


@contextmanager
def writing(
    path: str | os.PathLike[str], hint: str = "Free space, and call again."
) -> Iterator[None]:
    """Raise :class:`DiskDatasetError`, which names ``path``, for an ``OSError``."""
    try:
        yield
    except OSError as error:
        raise DiskDatasetError(
            f"{os.fspath(path)} cannot be written: {error}.", hint=hint
        ) from error
