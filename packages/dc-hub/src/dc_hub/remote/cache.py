"""The models that were fetched: one directory for each revision, complete or not there.

    <cache>/models/<64 hex>/        a model directory, as in a local hub
    <cache>/partial/<64 hex>/       one that is being fetched
    <cache>/partial/<64 hex>.lock   who fetches it

A revision is named by its digest, so it does not matter which hub it came from. Directories appear
by a rename. Two processes that fetch the same revision write the same verified bytes: the lease
saves work, and nothing depends on it.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dc_core import sync_directory
from dc_hub.files.lease import lease
from dc_hub.files.paths import is_directory
from dc_hub.files.storage import make_directory, temporary, writing

Fill = Callable[[Path], None]
"""Fetches the files of a revision into a directory."""


@dataclass(frozen=True, slots=True)
class Cache:
    """A folder of fetched models. It is made when it is needed."""

    folder: Path

    def path(self, revision: str) -> Path:
        """Return where the directory of a revision is, once it is complete."""
        return self.folder / "models" / revision

    def has(self, revision: str) -> bool:
        """Tell whether a revision is complete."""
        return is_directory(self.folder, "models", revision)

    def revisions(self) -> list[str]:
        """Return the revisions that are complete, sorted."""
        folder = self.folder / "models"
        found = folder.iterdir() if folder.is_dir() else ()
        return sorted(path.name for path in found if path.name[0] != ".")

    def add(self, revision: str, fill: Fill, *, wait: float) -> Path:
        """Return the directory of a revision, which ``fill`` fetches unless it is there.

        What was fetched of it before is still in the directory that ``fill`` gets. If another
        process is fetching it, this one waits, for up to ``wait`` seconds.

        Raises :class:`LockTimeout`, :class:`ReadOnlyHub` or :class:`HubUnavailable` if the cache
        cannot be written, and what ``fill`` raises.
        """
        final = self.path(revision)
        if self.has(revision):
            return final
        partial = self.folder / "partial" / revision
        with writing(self.folder, undone="What was fetched so far is kept."):
            make_directory(partial)
            make_directory(final.parent)
            with (
                lease(partial.with_name(f"{revision}.lock"), wait=wait) as mine,
                mine.renewed(),
            ):
                if not self.has(revision):
                    self._fill(revision, fill)
        return final

    def _fill(self, revision: str, fill: Fill) -> None:
        partial, final = self.folder / "partial" / revision, self.path(revision)
        make_directory(partial)
        is_directory(self.folder, "partial", revision)  # and no link to one
        try:
            fill(partial)
            sync_directory(partial)
            partial.rename(final)
        except OSError:
            if not self.has(revision):
                raise
            # Another process, which took the lease meanwhile, was faster.
            shutil.rmtree(partial, ignore_errors=True)
        sync_directory(final.parent)

    def discard(self, revision: str) -> None:
        """Remove a revision, by one rename first, so that it is whole or gone."""
        with writing(self.folder, undone="Nothing was removed."):
            gone = temporary(self.folder / "models")
            with suppress(FileNotFoundError):
                self.path(revision).rename(gone)
            shutil.rmtree(gone, ignore_errors=True)

    def gc(self, *, older_than: float = 7 * 86_400.0) -> list[Path]:
        """Remove what was not fetched to its end and has not changed for ``older_than`` seconds."""
        removed = []
        for path in sorted((self.folder / "partial").glob("*")):
            newest = 0.0
            with suppress(FileNotFoundError):
                newest = max(p.stat().st_mtime for p in [path, *path.glob("*")])
            if time.time() - newest < older_than:
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
            removed.append(path)
        return removed
