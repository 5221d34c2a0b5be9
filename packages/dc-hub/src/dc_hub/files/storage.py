"""What a hub asks of the disk: durable directories and files, and errors that say what to do."""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from dc_hub.errors import HubUnavailable, ReadOnlyHub
from dc_hub.files.system import patiently, sync_directory

TEMPORARY: Final = ".tmp-"
"""How the names of files and directories begin that are not finished."""

_READ_ONLY: Final = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def temporary(directory: Path) -> Path:
    """Return a new temporary path in ``directory``."""
    return directory / f"{TEMPORARY}{uuid.uuid4().hex}"


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals into :class:`ReadOnlyHub` or :class:`HubUnavailable`."""
    try:
        yield
    except OSError as error:
        if error.errno in _READ_ONLY:
            raise ReadOnlyHub(
                f"{path} cannot be written: {error.strerror}.",
                path=str(path),
                hint="Use a hub of your own (hub= or DEEPCHEM_MODEL_HUB), or ask for permission.",
            ) from error
        if error.errno in _FULL:
            raise HubUnavailable(
                f"There is no room for the model in {path}: {error.strerror}.",
                path=str(path),
                hint="Nothing was published. Make room or use another hub, and publish again.",
            ) from error
        raise HubUnavailable(
            f"{path} cannot be written: {error}.", path=str(path), hint="Nothing was published."
        ) from error


def make_directory(path: Path) -> None:
    """Make a directory and its parents, durably; nothing happens where it exists."""
    if path.is_dir():
        return
    make_directory(path.parent)
    with suppress(FileExistsError):
        path.mkdir()
    sync_directory(path.parent)


def write_atomically(path: Path, data: bytes) -> None:
    """Replace the file ``path`` by ``data``: at any instant it holds the old bytes or the new."""
    unfinished = temporary(path.parent)
    try:
        with unfinished.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        patiently(lambda: unfinished.replace(path))
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)
