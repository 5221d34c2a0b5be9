"""The models that were fetched: one directory for each revision, complete or not there.

    <cache>/models/<64 hex>/        a model directory, as in a local hub
    <cache>/partial/<64 hex>/       one that is being fetched
    <cache>/partial/<64 hex>.lock   who fetches it
    <cache>/used/                   which models are used, and when; see :mod:`dc_hub.files.using`

A revision is named by its digest, so it does not matter which hub it came from. Directories appear
by a rename. Two processes that fetch the same revision write the same verified bytes: the lease
saves work, and nothing depends on it.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from dc_core import sync_directory
from dc_hub.errors import NoRoom
from dc_hub.files.cache import LIMIT, cache_limit
from dc_hub.files.lease import is_held, lease
from dc_hub.files.paths import is_directory, reading
from dc_hub.files.sizes import show_size
from dc_hub.files.storage import (
    FULL,
    find_leftovers,
    last_change,
    make_directory,
    newest_change,
    remove_leftovers,
    removed_if_empty,
    size_of,
    temporary,
    writing,
)
from dc_hub.files.system import patiently
from dc_hub.files.using import (
    MODELS,
    USED,
    Origin,
    abandoned_marks,
    is_used,
    last_used,
    touch,
)
from dc_hub.hubs.contract import is_digest

Fill = Callable[[Path], None]
"""Fetches the files of a revision into a directory."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Cache:
    """A folder of fetched models. It is made when it is needed.

    ``limit`` is how many bytes its models may take; None: what ``DEEPCHEM_CACHE_LIMIT`` says.
    """

    folder: Path
    limit: int | None = None

    def path(self, revision: str) -> Path:
        """Return where the directory of a revision is, once it is complete."""
        return self.folder / MODELS / revision

    def has(self, revision: str) -> bool:
        """Tell whether a revision is complete."""
        return is_directory(self.folder, MODELS, revision)

    def revisions(self) -> list[str]:
        """Return the revisions that are complete, sorted."""
        folder = self.folder / MODELS
        found = folder.iterdir() if folder.is_dir() else ()
        return sorted(path.name for path in found if is_digest(path.name))

    def by_last_use(self) -> list[str]:
        """Return the revisions that are complete, the one that was used longest ago first."""
        times = {
            # One that an earlier version fetched has no note of its use.
            revision: last_used(self.folder, revision) or last_change(self.path(revision), 0.0)
            for revision in self.revisions()
        }
        return sorted(times, key=lambda revision: times[revision])

    def add(self, revision: str, fill: Fill, *, wait: float, origin: Origin | None = None) -> Path:
        """Return the directory of a revision, which ``fill`` fetches unless it is there.

        ``origin`` is noted as where it came from. What was fetched of it before is still in the
        directory that ``fill`` gets. If another process is fetching it, this one waits, for up to
        ``wait`` seconds.

        Raises :class:`LockTimeout`, :class:`ReadOnlyHub`, :class:`NoRoom` or
        :class:`HubUnavailable` if the cache cannot be written, and what ``fill`` raises.
        """
        final = self.path(revision)
        if self.has(revision):
            touch(self.folder, revision)
            return final
        partial = self.folder / "partial" / revision
        with writing(self.folder, undone="What was fetched so far is kept."):
            for directory in (partial.parent, final.parent, self.folder / USED):
                make_directory(directory)
            with (
                lease(partial.with_name(f"{revision}.lock"), wait=wait) as mine,
                mine.renewed(),
            ):
                if not self.has(revision):
                    self._fill(revision, fill, origin)
            touch(self.folder, revision, origin)
        return final

    def _fill(self, revision: str, fill: Fill, origin: Origin | None) -> None:
        partial, final = self.folder / "partial" / revision, self.path(revision)
        make_directory(partial)
        is_directory(self.folder, "partial", revision)  # and no link to one
        try:
            with removed_if_empty(partial):
                fill(partial)
            sync_directory(partial)
            touch(self.folder, revision, origin)  # before it appears, so that nobody removes it
            partial.rename(final)
        except OSError:
            if not self.has(revision):
                raise
            # Another process, which took the lease meanwhile, was faster.
            shutil.rmtree(partial, ignore_errors=True)
        sync_directory(final.parent)

    @contextmanager
    def room(self, revision: str, size: int, keep: Collection[str] = ()) -> Iterator[None]:
        """Make room for the ``size`` bytes of a revision, which the block stores.

        Within the limit, the revisions that were used longest ago are removed, but none that is
        being loaded and none of ``keep``. Raises :class:`NoRoom` if the revision alone exceeds the
        limit, or if the disk gets full; it tells what is needed and what could be removed.
        """
        self._make_room(revision, size, {revision, *keep})
        try:
            yield
        except OSError as error:
            if error.errno not in FULL:
                raise
            needed = size - size_of(self.folder / "partial" / revision)
            raise self._full(revision, needed, error) from error
        self._make_room(revision, size, {revision})

    def evict(self, revision: str) -> bool:
        """Remove a revision that can be fetched again, unless it is used; tell whether it is gone.

        It disappears by one rename. A process that marks it as used before that is noticed, and it
        comes back; one that comes later finds nothing.
        """
        if is_used(self.folder, revision):
            return False
        gone = temporary(self.folder / MODELS)
        try:
            patiently(lambda: self.path(revision).rename(gone))
        except FileNotFoundError:
            return True
        if is_used(self.folder, revision):
            with suppress(OSError):  # it was fetched again meanwhile
                gone.rename(self.path(revision))
                return False
        if not self.has(revision):
            (self.folder / USED / revision).unlink(missing_ok=True)
        shutil.rmtree(gone, ignore_errors=True)
        return True

    def discard(self, revision: str) -> None:
        """Remove a revision, by one rename first, so that it is whole or gone."""
        with writing(self.folder, undone="Nothing was removed."):
            gone = temporary(self.folder / MODELS)
            with suppress(FileNotFoundError):
                self.path(revision).rename(gone)
            shutil.rmtree(gone, ignore_errors=True)

    def gc(self, *, older_than: float = 7 * 86_400.0) -> list[Path]:
        """Remove unfinished downloads, and return the paths removed.

        That is what was not fetched to its end, temporary files of crashed processes, and marks of
        dead ones. Only what has not changed for ``older_than`` seconds is removed, and nothing that
        a process is fetching now.
        """
        return remove_leftovers(self.leftovers(older_than=older_than))

    def leftovers(self, *, older_than: float = 7 * 86_400.0) -> list[Path]:
        """Return the paths that :meth:`gc` would remove."""
        partial = self.folder / "partial"
        now = time.time()
        with reading(str(self.folder)):
            found = [
                path
                for path in (sorted(partial.iterdir()) if partial.is_dir() else ())
                if now - newest_change(path) >= older_than
                and not is_held(partial / f"{path.name.removesuffix('.lock')}.lock")
            ]
            for folder in sorted(self.folder.glob("*")):
                if folder != partial and is_directory(self.folder, folder.name):
                    found += find_leftovers(folder, older_than)
        return found + abandoned_marks(self.folder)

    def _make_room(self, revision: str, size: int, keep: Collection[str]) -> None:
        """Remove revisions, except ``keep``, until one of ``size`` bytes is within the limit."""
        limit = cache_limit() if self.limit is None else self.limit
        if limit is None:
            return
        if size > limit:
            raise NoRoom(
                f"The model has {show_size(size)}, and the cache {self.folder} may hold "
                f"{show_size(limit)}.",
                path=str(self.folder),
                hint=f"Set {LIMIT} to more.",
            )
        sizes = {other: size_of(self.path(other)) for other in self.by_last_use()}
        sizes.pop(revision, None)
        total = size + sum(sizes.values())
        for other in [other for other in sizes if other not in keep]:
            if total <= limit:
                return
            if self.evict(other):
                total -= sizes[other]
                logger.info("removed %s from the cache, to make room", other)
        if total > limit:
            logger.warning(
                "the cache %s exceeds its limit by %s: its models are in use",
                self.folder,
                show_size(total - limit),
            )

    def _full(self, revision: str, needed: int, error: OSError) -> NoRoom:
        free = shutil.disk_usage(self.folder).free
        unused = [r for r in self.revisions() if r != revision and not is_used(self.folder, r)]
        models = sum(size_of(self.path(other)) for other in unused)
        unfinished = size_of(self.folder / "partial") - size_of(self.folder / "partial" / revision)
        return NoRoom(
            f"There is no room in {self.folder}: {error.strerror}. The model needs "
            f"{show_size(max(needed, 0))} more; {show_size(free)} are free.",
            path=str(self.folder),
            hint="What was fetched so far is kept. `dc-hub gc --cache` would free "
            f"{show_size(models)} of {len(unused)} models that can be fetched again, and "
            f"{show_size(unfinished)} of unfinished downloads are there; or set DEEPCHEM_CACHE to "
            "a folder on another disk.",
        )
