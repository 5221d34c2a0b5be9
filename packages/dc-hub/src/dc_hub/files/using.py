"""Which models of a cache are used, and when each was used last.

    <cache>/models/<64 hex>/        a model
    <cache>/used/<64 hex>           where it came from; was changed when it was used last
    <cache>/used/<64 hex>.<id>      one for each process that is loading the model, with its owner

A process that dies leaves its mark behind: one whose owner is a dead process of this machine, or
that is older than any load, does not count. A cache that cannot be written is used without marks:
then whoever removes models from it does not see who reads them, and a reader gets a typed error.
"""

from __future__ import annotations

import logging
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dc_hub.errors import FileMissing, HubError
from dc_hub.files.lease import LONGEST, MAX_BYTES, owner, owner_is_dead
from dc_hub.files.paths import check_any_name, open_regular, read_small
from dc_hub.files.storage import last_change, write_atomically
from dc_hub.files.system import create_file, patiently

MODELS: Final = "models"
USED: Final = "used"

GRACE: Final = 5.0
"""Seconds after its last use in which a model is not removed: between being found and opened."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a model was fetched from: the URL of the hub, without secrets, and its name there."""

    hub: str
    name: str


def touch(cache: Path, revision: str, origin: Origin | None = None) -> None:
    """Note that a model of ``cache`` is used now, and that it came from ``origin``."""
    file = cache / USED / revision
    try:
        if origin is not None:
            write_atomically(file, f"{origin.hub}\n{origin.name}\n".encode())
        else:
            try:
                os.utime(file)
            except FileNotFoundError:
                file.touch()
    except OSError as error:
        logger.debug("the use of %s is not noted: %s", revision, error)


def origin_of(cache: Path, revision: str) -> Origin | None:
    """Return where a model of ``cache`` was fetched from; None if that is not known."""
    try:
        hub, name = read_small(cache / USED, revision, MAX_BYTES).decode().splitlines()
        return Origin(hub, check_any_name(name)) if hub.isprintable() else None
    except (HubError, ValueError) as error:
        logger.debug("the origin of %s is not known: %s", revision, error)
        return None


def last_used(cache: Path, revision: str) -> float:
    """Return when a model was used last, by the clock of its file system; 0 if it is not known."""
    return last_change(cache / USED / revision, 0.0)


@contextmanager
def in_use(directory: Path) -> Iterator[None]:
    """Mark the model in ``directory`` as one that is being loaded, if it is in a cache."""
    folder = directory.parent.parent / USED
    if directory.parent.name != MODELS or not folder.is_dir():
        yield
        return
    mark = folder / f"{directory.name}.{uuid.uuid4().hex}"
    try:
        descriptor = create_file(folder, mark.name)
        try:
            os.write(descriptor, owner().encode())
        finally:
            os.close(descriptor)
    except OSError as error:
        logger.debug("the use of %s is not marked: %s", directory, error)
    try:
        yield
    finally:
        with suppress(OSError):
            patiently(lambda: mark.unlink(missing_ok=True))


def is_used(cache: Path, revision: str) -> bool:
    """Tell whether a model of ``cache`` is being loaded, or was just found to be loaded."""
    return _is_recent(cache, revision) or any(
        not is_abandoned(mark) for mark in (cache / USED).glob(f"{revision}.*")
    )


def is_abandoned(mark: Path) -> bool:
    """Tell whether a mark is of a process that is dead, or too old to be believed."""
    if time.time() - last_change(mark, 0.0) > LONGEST:
        return True
    try:
        with open_regular(mark.parent, mark.name, single_link=False) as file:
            text = file.read(MAX_BYTES).decode(errors="replace")
    except FileMissing:
        return True
    except HubError as error:
        logger.debug("the mark %s is not read: %s", mark, error)
        return False
    return owner_is_dead(text)


def abandoned_marks(cache: Path) -> list[Path]:
    """Return the marks that processes left that are dead, and notes of models that are gone.

    The note of a model comes before the model.
    """

    def is_left(name: str) -> bool:
        if "." in name:
            return is_abandoned(cache / USED / name)
        return not (_is_recent(cache, name) or (cache / MODELS / name).exists())

    found = sorted(path for path in (cache / USED).glob("*") if path.name[0] != ".")
    return [path for path in found if is_left(path.name)]


def _is_recent(cache: Path, revision: str) -> bool:
    """Tell whether the last use of a model was so recent that it may be about to be loaded."""
    return abs(time.time() - last_used(cache, revision)) < GRACE
