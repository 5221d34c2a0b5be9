"""The models of a hub with a summary of each: the source of listings and searches.

Directories are the truth. What was read of a local hub is remembered in the user's own cache
folder, one line a model, with marks of its two directories and of the files of its tags, some of
which change whenever a tag is moved or a revision comes or goes: device, inode, and the times of
the last change. A model whose marks are the same is not read again; neither is a revision that was
read before, since revisions never change. What was changed a moment ago is not marked, because a
second change in the same tick of the clock would not show. Writers know nothing of all this:
publishing takes the same time in a large hub as in a small one.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import logging
import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TextIO

from dc_core import explained
from dc_hub.errors import (
    FileMissing,
    HubError,
    LimitExceeded,
    ModelNotFound,
    ParamsError,
    ReadOnlyHub,
    RevisionNotFound,
    UnsafePath,
)
from dc_hub.files.cache import cache_folder
from dc_hub.files.storage import temporary, write_atomically, writing
from dc_hub.files.system import create_file, is_private
from dc_hub.hubs.contract import Hub, HubLike
from dc_hub.hubs.index import (
    FILE,
    Indexed,
    Listed,
    WritesIndex,
    index_bytes,
    shown_revision,
)
from dc_hub.hubs.local import LocalHub
from dc_hub.hubs.opening import open_hub
from dc_hub.hubs.several import HubsInOrder
from dc_hub.hubs.summaries import summarize

_HEAD: Final = ["# dc-catalogue", "1", "", ""]
_INCOMPLETE: Final = "incomplete"
"""In the place of the marks of a model, not all of which could be read."""

_SETTLED_NS: Final = 2_000_000_000
_LINE: Final = 1 << 24

logger = logging.getLogger(__name__)


def catalogue(hub: Hub) -> Iterator[tuple[str, Listed]]:
    """Yield the models of ``hub`` by name, sorted, with a summary of each.

    Of a hub that has an index, it is what the index says. Raises :class:`HubUnavailable` if there
    is no hub, or no index where one is needed.
    """
    if isinstance(hub, HubsInOrder):
        yield from _merged(map(catalogue, hub.hubs))
    elif isinstance(hub, LocalHub):
        yield from _local(hub)
    elif isinstance(hub, Indexed):
        yield from sorted(hub.index().items())
    else:
        yield from looked_up(hub, {})


def listing(hub: Hub) -> Iterator[tuple[str, Listed]]:
    """Yield the models of ``hub`` by name, sorted, with their tags and revisions as they are now.

    Raises what :func:`catalogue` raises.
    """
    if isinstance(hub, HubsInOrder):
        yield from _merged(map(listing, hub.hubs))
    elif isinstance(hub, LocalHub):
        yield from _local(hub, facts=False)
    elif isinstance(hub, Indexed):
        yield from sorted(hub.listed().items())
    else:
        for name in hub.names():
            with suppress(ModelNotFound):  # it was removed meanwhile
                tags, revisions, _ = _held(hub, name)
                yield name, Listed(tags, revisions)


@explained
def write_index(hub: HubLike = None) -> str:
    """Write ``index.json`` into a hub, for readers on the web, and return where it is.

    ``hub`` is a directory, or a hub that can be written to, such as one in a bucket. Revisions that
    its index describes already are not read again.

    Raises :class:`HubUnavailable` if there is no hub, and :class:`ReadOnlyHub`.
    """
    where = open_hub(hub)
    if isinstance(where, LocalHub):
        data = index_bytes(_local(where))
        with writing(where.path):
            write_atomically(where.path / FILE, data)
        return str(where.path / FILE)
    if not isinstance(where, WritesIndex):
        raise ReadOnlyHub(
            f"The index of {where!r} cannot be written.",
            path=repr(where),
            hint="Run dc-hub index where the hub is.",
        )
    known: Mapping[str, Listed] = {}
    if isinstance(where, Indexed):
        with suppress(HubError):  # there is none yet, or it is damaged
            known = where.index()
    return where.write_index(index_bytes(looked_up(where, known)))


def _merged(
    catalogues: Iterable[Iterator[tuple[str, Listed]]],
) -> Iterator[tuple[str, Listed]]:
    """Yield the models of several hubs in order: of a name, that of the first hub."""
    merged = heapq.merge(*catalogues, key=itemgetter(0))  # equal names in the order of the hubs
    for _, found in groupby(merged, key=itemgetter(0)):
        yield next(found)


def looked_up(hub: Hub, known: Mapping[str, Listed]) -> Iterator[tuple[str, Listed]]:
    """Yield the models of any hub; ``known`` are their entries in an older catalogue."""
    for name in hub.names():
        with suppress(ModelNotFound):  # it was removed meanwhile
            yield name, _read(hub, name, known.get(name))[0]


def _read(hub: Hub, name: str, known: Listed | None) -> tuple[Listed, bool]:
    """Return the entry of one model of ``hub``, and whether all of it could be read."""
    tags, revisions, complete = _held(hub, name)
    shown = shown_revision(tags, revisions)
    facts: Mapping[str, Any] = {}
    origins: dict[str, tuple[str, ...]] = {}
    for revision in revisions:
        # Without facts it is a list of revisions alone, such as an index of version 1.0 has.
        if known is not None and known.facts and revision in known.revisions:
            origins[revision] = known.derived_from.get(revision, ())
            if revision != shown:
                continue
            if known.shown == shown:
                facts = known.facts
                continue
        try:
            found = summarize(hub, hub.resolve(name, revision))
        except (FileMissing, RevisionNotFound) as error:  # perhaps it was removed meanwhile
            logger.debug("%s@%s is not summarized: %s", name, revision, error)
            complete = False
        except HubError as error:
            logger.warning("%s@%s cannot be summarized: %s", name, revision[:12], error)
            complete = False
        else:
            origins[revision] = found.derived_from
            if revision == shown:
                facts = found.to_json()
    derived = {revision: of for revision, of in origins.items() if of}
    return Listed(tags, revisions, shown, facts, derived), complete


def _local(hub: LocalHub, *, facts: bool = True) -> Iterator[tuple[str, Listed]]:
    """Yield the models of a local hub, reading those that changed since they were remembered.

    Without ``facts`` only tags and revisions are read.
    """
    names = hub.names()
    started = time.time_ns()
    with _Remembered(hub) as remembered:
        for name in names:
            marks, changed = _marks(hub, name)
            line, known = remembered.find(name)
            if known is not None and (line[1] == _INCOMPLETE or (facts and not known.facts)):
                known = None
            if known is not None and line[1] == marks:
                remembered.write(line)
                yield name, known
                continue
            try:
                found, complete = _read(hub, name, known) if facts else _glanced(hub, name, known)
            except ModelNotFound:  # it was removed meanwhile
                continue
            if not complete:
                marks = _INCOMPLETE
            elif changed + _SETTLED_NS >= started:
                marks = ""
            remembered.add(name, marks, found)
            yield name, found


def _glanced(hub: LocalHub, name: str, known: Listed | None) -> tuple[Listed, bool]:
    """Return the tags and revisions of a model, with the facts that are ``known`` of them."""
    tags, revisions, complete = _held(hub, name)
    shown = shown_revision(tags, revisions)
    if known is None or known.shown != shown or not {*revisions} <= {*known.revisions}:
        return Listed(tags, revisions, shown), complete
    derived = {key: of for key, of in known.derived_from.items() if key in revisions}
    return Listed(tags, revisions, shown, known.facts, derived), complete


def _held(hub: Hub, name: str) -> tuple[dict[str, str], tuple[str, ...], bool]:
    """Return the tags and the revisions of a model, and whether both could be read.

    Of a model with a damaged tag no tags are returned, and nothing of one that is behind a link.
    """
    tags: dict[str, str] = {}
    revisions: tuple[str, ...] = ()
    failed: tuple[str, HubError] | None = None
    try:
        tags = hub.tags(name)
    except (LimitExceeded, ParamsError, UnsafePath) as error:
        failed = "tags", error
    try:
        revisions = tuple(hub.revisions(name))
    except UnsafePath as error:
        failed = "revisions", error
    if failed is not None:
        logger.warning("the %s of %s cannot be read: %s", failed[0], name, failed[1])
    return tags, revisions, failed is None


def _marks(hub: LocalHub, name: str) -> tuple[str, int]:
    """Return a mark of a model's tags and revisions, and the time of their last change."""
    home = f"{hub.path}/{name}"
    found: list[os.stat_result] = []
    for folder in ("revisions", "refs"):
        with suppress(OSError):
            found.append(os.stat(f"{home}/{folder}", follow_symlinks=False))  # noqa: PTH116
    if found and stat.S_ISDIR(found[-1].st_mode):  # and not a link to elsewhere
        with suppress(OSError), os.scandir(f"{home}/refs") as tags:
            # Copying over the file of a tag does not change its directory.
            found += [tag.stat(follow_symlinks=False) for tag in tags if tag.name[0] != "."]
    changed = max((max(one.st_mtime_ns, one.st_ctime_ns) for one in found), default=0)
    marks = [f"{one.st_dev} {one.st_ino} {one.st_mtime_ns} {one.st_ctime_ns}" for one in found]
    return ", ".join(marks) or "none", changed


class Facts(Mapping[str, Any]):
    """The facts of a remembered summary, parsed when they are first needed."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._parsed: dict[str, Any] | None = None

    def _facts(self) -> dict[str, Any]:
        if self._parsed is None:
            self._parsed = {}
            with suppress(ValueError, RecursionError):  # the cache is damaged
                found = json.loads(self.text)
                self._parsed = found if isinstance(found, dict) else {}
        return self._parsed

    def __getitem__(self, key: str) -> Any:
        return self._facts()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._facts())

    def __len__(self) -> int:
        return len(self._facts())

    def __bool__(self) -> bool:
        return len(self.text) > len("{}")


_Line = list[str]
"""A name, its marks, its tags and revisions, and its facts."""


class _Remembered:
    """The catalogue of a hub in the user's cache: read in order, and written anew if it changed.

    A cache that cannot be read or written, or that others could have written, only costs time.
    """

    def __init__(self, hub: LocalHub) -> None:
        key = hashlib.sha256(os.fsencode(hub.path.resolve())).hexdigest()
        self._file: Path = cache_folder() / "catalogues" / f"{key[:32]}.tsv"
        self._stack = ExitStack()
        self._old: TextIO | None = None
        self._new: TextIO | None = None
        self._unfinished = temporary(self._file.parent)
        self._next: _Line = []
        self._changed = False

    def __enter__(self) -> Self:
        """Open the old catalogue and begin a new one."""
        with suppress(OSError):
            if is_private(self._file.parent.lstat()) and is_private(self._file.lstat()):
                self._old = self._stack.enter_context(self._file.open(encoding="utf-8"))
        try:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = create_file(self._file.parent, self._unfinished.name, 0o600)
            self._new = self._stack.enter_context(os.fdopen(descriptor, "w", encoding="utf-8"))
        except OSError as error:
            logger.debug("the catalogue %s is not written: %s", self._file, error)
        self._advance()
        if self._next != _HEAD:
            self._old = None
        self.write(_HEAD)
        self._advance()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Put the new catalogue in the place of the old one, if it is complete and different."""
        self._changed = self._changed or bool(self._next)
        finished = self._new is not None and error is None
        try:
            self._stack.close()
            if finished and self._changed:
                self._unfinished.replace(self._file)
        except OSError as failed:
            logger.debug("the catalogue %s is not written: %s", self._file, failed)
        finally:
            with suppress(OSError):
                self._unfinished.unlink(missing_ok=True)

    def find(self, name: str) -> tuple[_Line, Listed | None]:
        """Return the old line of the model ``name`` and its entry, or None.

        Names are asked for in ascending order.
        """
        while self._next and self._next[0] < name:
            self._changed = True  # a model is no longer there
            self._advance()
        if not self._next or self._next[0] != name:
            return [], None
        line = self._next
        self._advance()
        try:
            tags, revisions, shown, derived = json.loads(line[2])
            derived_from = {revision: tuple(of) for revision, of in derived.items()}
            return line, Listed(dict(tags), tuple(revisions), shown, Facts(line[3]), derived_from)
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            logger.debug("the catalogue %s is damaged: %s", self._file, error)
            return [], None

    def add(self, name: str, marks: str, model: Listed) -> None:
        """Write a new line; it counts as long as the marks are the same."""
        self._changed = True
        known = [model.tags, model.revisions, model.shown, model.derived_from]
        self.write([name, marks, _compact(known), _compact(dict(model.facts))])

    def write(self, line: _Line) -> None:
        """Write a line."""
        if self._new is None:
            return
        try:
            self._new.write("\t".join(line) + "\n")
        except OSError as error:
            logger.debug("the catalogue %s is not written: %s", self._file, error)
            self._new = None

    def _advance(self) -> None:
        """Read the next line of the old catalogue."""
        self._next = []
        try:
            line = self._old.readline(_LINE) if self._old is not None else ""
        except (OSError, ValueError) as error:
            logger.debug("the catalogue %s is damaged: %s", self._file, error)
            return
        columns = line.rstrip("\n").split("\t") if line.endswith("\n") else []
        if len(columns) == len(_HEAD):
            self._next = columns


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
