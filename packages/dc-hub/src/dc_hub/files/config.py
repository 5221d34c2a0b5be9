"""The user's configuration: the folder for it, and files of it that others must not touch."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from dc_hub.errors import HubError
from dc_hub.files import system
from dc_hub.files.paths import open_regular, read_all, reading
from dc_hub.files.urls import local_path

VARIABLE: Final = "DEEPCHEM_CONFIG"
"""The environment variable that names the folder."""


def config_folder() -> Path:
    """Return the folder: the one that ``DEEPCHEM_CONFIG`` names, or one in the user's own."""
    named = os.environ.get(VARIABLE)
    if named:
        return local_path(named)
    from platformdirs import user_config_path

    return user_config_path("deepchem", appauthor=False)


def read_unshared(path: Path, limit: int, error: type[HubError]) -> bytes:
    """Return the content of a file that nobody but this user (and root) can write or replace.

    Links to it are followed, since configuration is often linked. Where the system does not say
    who can write, it is read all the same. Raises ``error`` if others can write the file, or the
    folder that contains it or the link to it, :class:`FileMissing`, and :class:`LimitExceeded`.
    """
    with reading(str(path)):
        real = path.resolve()
        folders = {folder: folder.stat() for folder in (real.parent, path.parent)}
    with open_regular(real.parent, real.name, single_link=False) as file:
        found = os.fstat(file.fileno())
        if system.OWNERS and system.others_can_write(found):
            raise _shared(real, error)
        for folder, status in folders.items():
            kept = status.st_mode & stat.S_ISVTX  # files in it can be replaced by their owner alone
            if system.OWNERS and system.others_can_write(status) and not kept:
                raise _shared(folder, error)
        return read_all(file, limit, str(path))


def read_secret(path: Path, limit: int, error: type[HubError]) -> bytes:
    """Return the content of a file that nobody but this user (and root) can read.

    Raises ``error`` if others can, and what :func:`read_unshared` raises.
    """
    with reading(str(path)):
        found = path.stat()
    if system.others_can_read(found):
        raise error(
            f"Others can read {path}.",
            path=str(path),
            hint=f"Make a new key if they may have; otherwise run: chmod 600 {path}",
        )
    return read_unshared(path, limit, error)


def _shared(path: Path, error: type[HubError]) -> HubError:
    return error(
        f"Others can write {path}.",
        path=str(path),
        hint=f"Check what it contains, and run: chmod go-w {path}",
    )
