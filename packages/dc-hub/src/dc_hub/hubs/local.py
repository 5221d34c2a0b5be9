"""Hubs: where models live under names, with revisions and tags.

A local hub is a directory::

    <hub>/<name>/refs/<tag>.json            {"revision": "<64 hex>"}
    <hub>/<name>/revisions/<64 hex>/        a model directory

A revision's name is the digest of its manifest, so the same model has the same revision everywhere.
Hubs are looked up in one order: the ``hub=`` argument, the environment variable
``DEEPCHEM_MODEL_HUB``, a directory in the user's data folder. One that errors is an error.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, runtime_checkable
from urllib.parse import urlsplit
from urllib.request import url2pathname

from dc_hub.errors import (
    AmbiguousRevision,
    FileMissing,
    HubUnavailable,
    ModelNotFound,
    ParamsError,
    RevisionNotFound,
    TagMoved,
)
from dc_hub.files.lease import lease
from dc_hub.files.paths import (
    can_be_segment,
    check_name,
    check_tag,
    is_directory,
    open_directory,
    read_small,
    reading,
)
from dc_hub.files.storage import TEMPORARY, make_directory, write_atomically, writing
from dc_hub.format import strict_json
from dc_hub.hubs.staging import Staging

VARIABLE: Final = "DEEPCHEM_MODEL_HUB"
"""The environment variable that names the hub to use."""

MAIN: Final = "main"
"""The tag that a name without a revision stands for."""

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")
"""A scheme of two or more characters: ``C:/`` is a drive. ``Path`` drops the second slash."""

_DIGEST = re.compile(r"[0-9a-f]{64}")
_PREFIX = re.compile(r"[0-9a-f]{12,63}")


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A stored model: its name (empty outside hubs), its revision and its directory.

    ``revision`` is 64 hex digits, or empty for a directory without a manifest.
    """

    name: str
    revision: str
    path: Path


@runtime_checkable
class Hub(Protocol):
    """Where models live under names. A remote hub resolves to a directory that it has fetched."""

    def names(self) -> list[str]:
        """Return the names of the models, sorted."""

    def tags(self, name: str) -> dict[str, str]:
        """Return the revision that each tag of a model stands for."""

    def revisions(self, name: str) -> list[str]:
        """Return the revisions of a model, sorted."""

    def resolve(self, name: str, revision: str | None = None) -> StoredModel:
        """Return the revision that a digest, a tag (default ``main``) or a prefix stands for."""

    def publish(
        self, name: str, write: Callable[[Staging], None], tags: Sequence[str] = (MAIN,)
    ) -> StoredModel:
        """Store the model directory that ``write`` writes, whole or not at all; move the tags."""


HubLike = Hub | str | os.PathLike[str] | None
"""A hub, the path of one, or None for the default one; see :func:`open_hub`."""


class LocalHub:
    """A hub in a directory of this machine, or of a file system that it mounts.

    Making the object touches nothing; the directory is made by the first :meth:`publish`.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).expanduser().absolute()

    def __repr__(self) -> str:
        return f"LocalHub({str(self.path)!r})"

    def names(self) -> list[str]:
        """Return the names of the models, sorted.

        Raises :class:`HubUnavailable` where there is no hub.
        """
        self._check_there()
        firsts = list(filter(can_be_segment, _directories(self.path)))
        seconds = [
            f"{first}/{second}"
            for first in firsts
            for second in filter(can_be_segment, _directories(self.path / first))
        ]
        return sorted(name for name in firsts + seconds if self._has(name))

    def tags(self, name: str) -> dict[str, str]:
        """Return the revision that each tag of a model stands for, sorted by tag.

        Raises :class:`ModelNotFound`.
        """
        refs = self._home(name) / "refs"
        with reading(str(refs)):
            there = is_directory(refs.parent, "refs")
            found = sorted(entry.name for entry in os.scandir(refs)) if there else []
        names = [f.removesuffix(".json") for f in found if f.endswith(".json") and f[0] != "."]
        read = {tag: self._tag(refs, tag) for tag in names}
        return {tag: revision for tag, revision in read.items() if revision is not None}

    def revisions(self, name: str) -> list[str]:
        """Return the digests of a model's revisions, sorted. Raises :class:`ModelNotFound`."""
        found = _directories(self._home(name) / "revisions")
        return [directory for directory in found if _DIGEST.fullmatch(directory)]

    def resolve(self, name: str, revision: str | None = None) -> StoredModel:
        """Return the revision that ``revision`` stands for.

        It is, in this order, a full digest, a tag (default ``main``), or the beginning of a digest:
        at least 12 digits that no other revision begins with.

        Raises :class:`ModelNotFound`, :class:`RevisionNotFound`, :class:`AmbiguousRevision`,
        :class:`HubUnavailable` or :class:`UnsafePath`.
        """
        home = self._home(name)
        wanted = MAIN if revision is None else revision
        digest = wanted if _DIGEST.fullmatch(wanted) else self._digest(name, home, wanted)
        path = home / "revisions" / digest
        if not is_directory(home, "revisions", digest):
            raise self._no_revision(name, wanted)
        return StoredModel(name, digest, path)

    def publish(
        self, name: str, write: Callable[[Staging], None], tags: Sequence[str] = (MAIN,)
    ) -> StoredModel:
        """Store the model directory that ``write`` writes, whole or not at all, then move the tags.

        Equal contents are one revision, and publishing them again changes nothing. A crash at any
        instant leaves the old state or the new one, and at most a temporary directory that a later
        call removes.

        Raises :class:`TagMoved` where another publisher moved one of the tags meanwhile (the
        revision is stored then), :class:`ReadOnlyHub`, :class:`HubUnavailable`,
        :class:`LockTimeout` or :class:`UnsafePath`.
        """
        home = self.path / check_name(name)
        tags = (tags,) if isinstance(tags, str) else tags
        refs = home / "refs"
        there = is_directory(self.path, *name.split("/"), "refs")
        before = {check_tag(tag): self._tag(refs, tag) if there else None for tag in tags}
        with writing(self.path):
            make_directory(home / "revisions")
            make_directory(refs)
            self.gc(name)
            with Staging(home / "revisions") as staging:
                write(staging)
                revision = staging.seal()
                path = staging.move_to(home / "revisions" / revision)
        for tag in tags:
            self.move_tag(name, tag, revision, expected=before[tag])
        return StoredModel(name, revision, path)

    def move_tag(
        self, name: str, tag: str, revision: str, *, expected: str | None, wait: float = 15.0
    ) -> None:
        """Let ``tag`` stand for ``revision``, if it stands for ``expected`` (None: nothing) now.

        Raises :class:`TagMoved` where it stands for another one, :class:`RevisionNotFound` where
        there is no such revision, and :class:`LockTimeout` after ``wait`` seconds.
        """
        refs = self._home(name) / "refs"
        self.resolve(name, revision)
        check_tag(tag)
        file = refs / f"{tag}.json"
        with writing(self.path):
            make_directory(refs)
            while True:
                with lease(refs / ".lock", wait=wait) as mine:
                    now = self._tag(refs, tag)
                    if now == revision:
                        return
                    if now != expected:
                        raise TagMoved(
                            f"The tag {tag!r} of {name!r} was moved to {now} meanwhile.",
                            path=str(file),
                            hint=f"The revision {revision} is stored. To let the tag stand for it: "
                            f"hub.move_tag({name!r}, {tag!r}, {revision!r}, expected={now!r}).",
                        )
                    if mine.held():
                        write_atomically(file, strict_json.dumps({"revision": revision}))
                        return

    def gc(self, name: str, *, older_than: float = 86_400.0) -> list[Path]:
        """Remove what crashed publishers left of ``name`` so many seconds ago, and return it.

        What somebody else left, and this user may not remove, stays.
        """
        home = self._home(name)
        now = time.time()
        removed = []
        for folder in ("revisions", "refs"):
            for path in (home / folder).glob(".*") if is_directory(home, folder) else ():
                leftover = path.name.startswith((TEMPORARY, ".lock."))
                if leftover and now - _changed(path, now) >= older_than:
                    if path.is_dir() and not path.is_symlink():
                        shutil.rmtree(path, ignore_errors=True)
                    else:
                        with suppress(OSError):
                            path.unlink()
                    if not os.path.lexists(path):
                        removed.append(path)
        return removed

    def _digest(self, name: str, home: Path, wanted: str) -> str:
        """Return the digest that a tag or a prefix stands for."""
        if not _PREFIX.fullmatch(wanted):
            tagged = self._tag(home / "refs", wanted)
            if tagged is None:
                raise self._no_revision(name, wanted)
            return tagged
        found = [digest for digest in self.revisions(name) if digest.startswith(wanted)]
        if len(found) > 1:
            raise AmbiguousRevision(
                f"{len(found)} revisions of {name!r} begin with {wanted!r}.",
                path=name,
                hint="Give more digits: " + ", ".join(digest[:20] for digest in found[:4]) + ".",
            )
        if not found:
            raise self._no_revision(name, wanted)
        return found[0]

    def _tag(self, refs: Path, tag: str) -> str | None:
        """Return the revision that a tag stands for, None where there is no such tag."""
        file = refs / f"{check_tag(tag)}.json"
        try:
            with open_directory(refs.parent, refs.name) as folder:
                data = read_small(folder, file.name, 4096)
        except FileMissing:
            return None
        content: Any = strict_json.loads(data, what=str(file))
        revision = content.get("revision") if isinstance(content, dict) else None
        if not isinstance(revision, str) or not _DIGEST.fullmatch(revision) or len(content) != 1:
            raise ParamsError(
                f"The tag {tag!r} does not hold a revision.",
                path=str(file),
                hint="Remove that file, and publish with that tag again.",
            )
        return revision

    def _home(self, name: str) -> Path:
        home = self.path / check_name(name)
        if not self._has(name):
            self._check_there()
            raise ModelNotFound(
                f"There is no model {name!r} in {self.path}.",
                path=str(home),
                hint="`dc-hub ls` lists what is there; hub= or DEEPCHEM_MODEL_HUB names another.",
            )
        return home

    def _has(self, name: str) -> bool:
        return is_directory(self.path, *name.split("/"), "revisions")

    def _check_there(self) -> None:
        if not is_directory(self.path):
            raise HubUnavailable(
                f"There is no hub at {self.path}.",
                path=str(self.path),
                hint="Publish a model to make one, or name another by hub= or DEEPCHEM_MODEL_HUB.",
            )

    def _no_revision(self, name: str, wanted: str) -> RevisionNotFound:
        tags = ", ".join(self.tags(name)) or "none"
        return RevisionNotFound(
            f"The model {name!r} in {self.path} has no revision {wanted!r}.",
            path=name,
            hint=f"Its tags are: {tags}. A digest needs at least 12 digits.",
        )


def open_hub(hub: HubLike = None) -> Hub:
    """Return the hub to use: ``hub`` itself, the one at a path, or the default one.

    The default is the directory that ``DEEPCHEM_MODEL_HUB`` names, or else ``deepchem/hub`` in the
    user's data folder. A ``file://`` URL is the path of a directory on this machine. Raises
    :class:`HubUnavailable` for a URL of another scheme.
    """
    if isinstance(hub, str | os.PathLike):
        return LocalHub(_local_path(os.fspath(hub)))
    if hub is not None:
        return hub
    named = os.environ.get(VARIABLE)
    if named:
        return LocalHub(_local_path(named))
    from platformdirs import user_data_path

    return LocalHub(user_data_path("deepchem", appauthor=False) / "hub")


def _local_path(text: str) -> str:
    """Return the directory that a path or a ``file://`` URL names."""
    found = _URL.match(text)
    if found is None:
        return text
    url = urlsplit(text)
    if url.scheme == "file" and url.netloc in ("", "localhost"):
        return url2pathname(url.path)
    raise HubUnavailable(
        f"Hubs are not served by {found[1]}: ({text!r}).",
        path=text,
        hint="Give the path of a directory, or its file:// URL.",
    )


def _changed(path: Path, default: float) -> float:
    """Return when ``path`` was last changed; ``default`` where somebody has just removed it."""
    try:
        return path.lstat().st_mtime
    except FileNotFoundError:
        return default


def _directories(path: Path) -> list[str]:
    """Return the names of the directories in ``path`` (links left out), sorted; [] without it."""
    if not is_directory(path):
        return []
    with reading(str(path)), os.scandir(path) as entries:
        found = [e.name for e in entries if e.is_dir(follow_symlinks=False) and e.name[0] != "."]
    return sorted(found)
