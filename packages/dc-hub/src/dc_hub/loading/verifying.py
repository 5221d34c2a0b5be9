"""What this user has hashed before, so that unchanged files are hashed once and not at every load.

A stamp records, for one model directory, its revision and for each file what a change would show
in: device, inode, size, and the times of the last change of content and of status. Stamps lie in
the user's own cache folder and never in the hub, which must not vote on its own trust; one that
others could have written is not believed. A file is stamped only if it was last changed clearly
before it was hashed: in the same tick of the clock a second change would not show.

Small files are hashed at every load; that costs less than believing a stamp.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import stat
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from dc_hub.errors import (
    FileMissing,
    HashMismatch,
    ParamsError,
    SizeMismatch,
    UnexpectedFile,
    UnsafePath,
)
from dc_hub.files.paths import list_names, open_directory, open_regular, read_small, reading
from dc_hub.files.storage import temporary
from dc_hub.format.filenames import MANIFEST, SIGNATURES
from dc_hub.format.manifest import MAX_BYTES, Manifest, verify_file

Verify = Literal["changed", "full"]
"""``changed``: hash what was not hashed since it last changed; ``full``: hash everything."""

CACHE_VARIABLE: Final = "DEEPCHEM_CACHE"
"""The environment variable that names the folder for this user's caches."""

SMALL: Final = 1 << 16
"""Files of at most so many bytes are hashed at every load."""

_SETTLED_NS: Final = 2_000_000_000

Mark = tuple[int, int, int, int, int]
Marks = Mapping[str, Mark]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Verified:
    """A model directory whose every file was found to be what its manifest says."""

    directory: Path
    manifest: Manifest
    marks: Marks

    def check_unchanged(self) -> None:
        """Raise :class:`HashMismatch` where a file was changed or replaced since.

        Call it when the files are open: then those are the ones that were verified.
        """
        with reading(str(self.directory)), open_directory(self.directory) as folder:
            marks = _marks(self.directory, folder, self.manifest)
        for path, mark in marks.items():
            if mark != self.marks[path]:
                raise HashMismatch(
                    f"{self.directory / path} was changed while it was being loaded.",
                    path=str(self.directory / path),
                    hint="Load it again once nothing writes to it.",
                )


def verify_model(directory: Path, revision: str, mode: Verify = "changed") -> Verified:
    """Return the model in ``directory`` once every file is what its manifest says.

    ``revision`` is the digest that the manifest must have; empty, any manifest will do. Raises
    :class:`HashMismatch`, :class:`SizeMismatch`, :class:`FileMissing`, :class:`UnexpectedFile` or
    :class:`UnsafePath`, naming the file.
    """
    if mode not in ("changed", "full"):
        raise ParamsError(f"verify={mode!r} is unknown.", hint="Use 'changed' or 'full'.")
    with reading(str(directory)), open_directory(directory) as folder:
        data = read_small(folder, MANIFEST, MAX_BYTES)
        digest = hashlib.sha256(data).hexdigest()
        if revision and digest != revision:
            raise HashMismatch(
                f"{directory / MANIFEST} is not the manifest of revision {revision}.",
                path=str(directory / MANIFEST),
                hint="It was changed after publishing: get or publish the model again.",
            )
        manifest = Manifest.from_bytes(data, what=str(directory / MANIFEST))
        marks = _marks(directory, folder, manifest)
        large = any(entry.size > SMALL for entry in manifest.entries)
        believed: Marks = {}
        if large and mode == "changed":
            believed = _read_stamp(directory, digest)
        started = time.time_ns()
        for entry in manifest.entries:
            if entry.size <= SMALL or believed.get(entry.path) != marks[entry.path]:
                with open_regular(folder, entry.path) as file:
                    verify_file(file, entry, what=f"{directory}/{entry.path}")
        if large and believed != marks:
            same = _marks(directory, folder, manifest)
            settled = {
                path: mark
                for path, mark in marks.items()
                if mark == same[path] and max(mark[3:]) + _SETTLED_NS < started
            }
            if settled:
                _write_stamp(directory, digest, settled)
    return Verified(directory, manifest, marks)


def _marks(directory: Path, folder: int, manifest: Manifest) -> Marks:
    """Return the mark of every file; raise where they are not those of the manifest."""
    listed = {entry.path for entry in manifest.entries}
    there = set(list_names(folder))
    surplus = sorted(there - listed - {MANIFEST, *SIGNATURES})
    if surplus:
        raise UnexpectedFile(
            f"{directory} holds {surplus[0]!r}, which its manifest does not name.",
            path=str(directory / surplus[0]),
            hint="Move it elsewhere: a model directory holds the model's files alone.",
        )
    marks = {}
    for entry in manifest.entries:
        path = f"{directory}/{entry.path}"
        if entry.path not in there:
            raise FileMissing(
                f"{path} is missing; the manifest names it.",
                path=path,
                hint="Get or publish the model again.",
            )
        found = os.stat(entry.path, dir_fd=folder, follow_symlinks=False)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            raise UnsafePath(
                f"{path} is a link or no regular file.",
                path=path,
                hint="A model is made of plain files: copy it, following links, and try again.",
            )
        if found.st_size != entry.size:
            raise SizeMismatch(
                f"{path} has {found.st_size} bytes; its manifest says {entry.size}.",
                path=path,
                hint="It was changed or cut short: get or publish the model again.",
            )
        marks[entry.path] = (
            found.st_dev,
            found.st_ino,
            found.st_size,
            found.st_mtime_ns,
            found.st_ctime_ns,
        )
    return marks


def _stamp(directory: Path) -> Path:
    """Return where the stamp of a directory is kept."""
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        cache = Path(named).expanduser().absolute()
    else:
        from platformdirs import user_cache_path

        cache = user_cache_path("deepchem", appauthor=False)
    key = hashlib.sha256(os.fsencode(directory.resolve())).hexdigest()
    return cache / "verified" / f"{key[:32]}.json"


def _read_stamp(directory: Path, revision: str) -> Marks:
    """Return the marks under which this user found the files whole; none where that is doubtful."""
    file = _stamp(directory)
    try:
        if not (_own(file.parent.lstat()) and _own(file.lstat())):
            return {}
        content = json.loads(file.read_bytes())
        if content["revision"] != revision:
            return {}
        return {path: tuple(mark) for path, mark in content["files"].items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        logger.debug("the stamp %s is not used: %s", file, error)
        return {}


def _write_stamp(directory: Path, revision: str, marks: Marks) -> None:
    """Remember the marks. A cache that cannot be written costs time at the next load, no more."""
    file = _stamp(directory)
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        unfinished = temporary(file.parent)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with os.fdopen(os.open(unfinished, flags, 0o600), "w") as stream:
            json.dump({"revision": revision, "files": marks}, stream)
        unfinished.replace(file)
    except OSError as error:
        logger.debug("the stamp %s is not written: %s", file, error)


def _own(found: os.stat_result) -> bool:
    """Tell whether nobody but this user (and root) can have written a file or directory."""
    return (
        found.st_uid == os.geteuid()
        and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        and not stat.S_ISLNK(found.st_mode)
    )
