"""Hubs in directories of this machine.

<hub>/<name>/refs/<tag>.json            {"revision": "<64 hex>"}
<hub>/<name>/revisions/<64 hex>/        a model directory
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from dc_core import sync_directory
from dc_hub.errors import (
    FileMissing,
    HubError,
    HubUnavailable,
    ModelNotFound,
    ModelRemoved,
    RevisionNotFound,
    RevisionTagged,
    UnsafePath,
)
from dc_hub.files.lease import lease
from dc_hub.files.paths import (
    can_be_segment,
    check_name,
    check_tag,
    is_directory,
    open_directory,
    open_regular,
    read_small,
    reading,
)
from dc_hub.files.storage import (
    find_leftovers,
    last_change,
    make_directory,
    remove_leftovers,
    temporary,
    write_atomically,
    writing,
)
from dc_hub.files.system import Where, is_link, join, patiently
from dc_hub.files.urls import local_path
from dc_hub.format import strict_json
from dc_hub.format.filenames import MANIFEST
from dc_hub.format.manifest import (
    Entry,
    Manifest,
    read_chunk,
    read_manifest,
    verify_directory,
)
from dc_hub.format.signatures import read_signature_files
from dc_hub.hubs.contract import (
    MAIN,
    Report,
    StoredModel,
    find_digest,
    is_digest,
    moved_tag,
    read_tag,
)
from dc_hub.hubs.staging import Staging, add_signatures


class LocalHub:
    """A hub in a directory of this machine, or of a file system that it mounts.

    Creating the object does not touch the disk; the first :meth:`publish` makes the directory.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = local_path(path)

    def __repr__(self) -> str:
        return f"LocalHub({str(self.path)!r})"

    def names(self) -> list[str]:
        """Return the names of the models, sorted.

        That is also of a model whose directory of revisions is a link: it is not followed, and
        whatever asks for the model gets :class:`UnsafePath`. Raises :class:`HubUnavailable` if
        there is no hub.
        """
        self._check_there()
        found = []
        for first in filter(can_be_segment, _directories(self.path)):
            home = f"{self.path}/{first}"
            within = _subdirectories(home, link="revisions")
            if "revisions" in within:
                found.append(first)
            found += [
                f"{first}/{second}"
                for second in filter(can_be_segment, within)
                if _claims_revisions(f"{home}/{second}")
            ]
        return sorted(found)

    def tags(self, name: str) -> dict[str, str]:
        """Return the revision that each tag of a model points at, sorted by tag.

        Raises :class:`ModelNotFound`.
        """
        home = self._home(name)
        found = {}
        with suppress(FileMissing), open_directory(home, "refs") as refs:
            for tag in _tag_names(refs):
                with suppress(FileMissing):  # it was deleted meanwhile
                    found[tag] = _read_tag(refs, tag, home)
        return found

    def revisions(self, name: str) -> list[str]:
        """Return the digests of a model's revisions, sorted. Raises :class:`ModelNotFound`."""
        found = _directories(self._home(name) / "revisions")
        return [directory for directory in found if is_digest(directory)]

    def resolve(self, name: str, revision: str | None = None) -> StoredModel:
        """Return the revision that ``revision`` names.

        It is, in this order, a full digest, a tag (default ``main``), or a prefix of a digest with
        at least 12 digits, which must be unique.

        Raises :class:`ModelNotFound`, :class:`RevisionNotFound`, :class:`AmbiguousRevision`,
        :class:`HubUnavailable` or :class:`UnsafePath`.
        """
        home = self._home(name)
        wanted = MAIN if revision is None else revision
        digest = find_digest(
            name,
            wanted,
            partial(self._tag, home),
            partial(self.revisions, name),
            partial(self._no_revision, name, wanted),
        )
        if not is_directory(home, "revisions", digest):
            raise self._no_revision(name, wanted)
        return StoredModel(name, digest, home.joinpath("revisions", digest))

    def manifest(self, model: StoredModel) -> Manifest:
        """Return the manifest of a model that was resolved, which has its digest."""
        with open_directory(model.path) as folder:
            return read_manifest(folder, model.revision, f"{model.path}/{MANIFEST}")

    def read_chunk(self, model: StoredModel, entry: Entry, index: int) -> bytes:
        """Return one chunk of a file of a model that was resolved; it has its digest."""
        with open_directory(model.path) as folder, open_regular(folder, entry.path) as file:
            return read_chunk(file, entry, index, what=f"{model.path}/{entry.path}")

    def fetch(
        self, model: StoredModel, *, report: Report | None = None, verify: bool = False
    ) -> StoredModel:
        """Return ``model``: its files are on this machine. With ``verify`` they are hashed."""
        if verify:
            verify_directory(model.path, self.manifest(model))
        return model

    def place(self, name: str) -> str:
        """Return the path of the folder of the model ``name``."""
        return str(self.path / name)

    def signatures(self, model: StoredModel) -> dict[str, bytes]:
        """Return the signature files of a model that was resolved, by name."""
        return read_signature_files(model.path)

    def add_signatures(
        self, model: StoredModel, files: Mapping[str, bytes], *, wait: float = 15.0
    ) -> None:
        """Join signature files to those of a model that was resolved; none there is lost.

        Raises :class:`ReadOnlyHub`, :class:`HubUnavailable`, :class:`LockTimeout` after ``wait``
        seconds, and :class:`SignatureError` if a file that is there is malformed.
        """
        with writing(model.path, undone="No signature was added."):
            add_signatures(model.path, files, wait=wait)

    def publish(
        self, name: str, write: Callable[[Staging], None], tags: Sequence[str] = (MAIN,)
    ) -> StoredModel:
        """Store the model directory that ``write`` writes, atomically; then move the tags.

        Equal contents are one revision, and publishing them again changes nothing. A crash at any
        instant leaves the old state or the new one, and at most a temporary directory that a later
        call removes.

        Raises :class:`TagMoved` if another process moved one of the tags meanwhile (the revision is
        stored all the same), :class:`ModelRemoved` if one removed the model meanwhile,
        :class:`ReadOnlyHub`, :class:`HubUnavailable`, :class:`LockTimeout` or :class:`UnsafePath`.
        """
        home = self.path / check_name(name)
        refs = home / "refs"
        there = is_directory(self.path, *name.split("/"), "refs")
        before = {check_tag(tag): self._tag(home, tag) if there else None for tag in tags}
        with writing(self.path), _while_it_stays(name, home):
            make_directory(home / "revisions")
            make_directory(refs)
            self.gc(name)
            with Staging(home / "revisions") as staging:
                write(staging)
                revision = staging.seal()
                path = staging.move_to(home / "revisions" / revision)
        with _while_it_stays(name, home):
            for tag in tags:
                self.move_tag(name, tag, revision, expected=before[tag])
        return StoredModel(name, revision, path)

    def move_tag(
        self, name: str, tag: str, revision: str, *, expected: str | None, wait: float = 15.0
    ) -> None:
        """Point ``tag`` at ``revision`` if it points at ``expected`` (None: does not exist).

        Both are digests. Raises :class:`TagMoved` if it points elsewhere,
        :class:`RevisionNotFound` if there is no such revision, and :class:`LockTimeout` after
        ``wait`` seconds.
        """
        home = self._home(name)
        file = home.joinpath("refs", f"{check_tag(tag)}.json")

        def plan() -> Callable[[], None]:
            # The lease is held: no other process can remove the revision before the tag moves.
            self.resolve(name, revision)
            now = self._tag(home, tag)
            if now == revision:
                return _do_nothing
            if now != expected:
                raise moved_tag(name, tag, now, expected, revision)
            return partial(_write_tag, file, revision)

        self._change_refs(home, plan, wait)

    def delete_tag(
        self, name: str, tag: str, *, expected: str | None = None, wait: float = 15.0
    ) -> None:
        """Delete ``tag``; the revision that it points at is kept.

        With ``expected``, a digest, only a tag that points at it is deleted. Raises
        :class:`RevisionNotFound` if there is no such tag, :class:`TagMoved` if it points elsewhere,
        and :class:`LockTimeout` after ``wait`` seconds.
        """
        home = self._home(name)
        file = home.joinpath("refs", f"{check_tag(tag)}.json")

        def plan() -> Callable[[], None]:
            if not os.path.lexists(file):
                raise self._no_revision(name, tag)
            if expected is not None and (now := self._tag(home, tag)) != expected:
                raise moved_tag(name, tag, now, expected)
            return partial(_delete, [file])

        self._change_refs(home, plan, wait)

    def remove(
        self,
        name: str,
        revision: str | None = None,
        *,
        remove_tags: bool = False,
        wait: float = 15.0,
    ) -> list[str]:
        """Remove one revision of a model, or the whole model, and return the revisions removed.

        ``revision`` is a digest, a tag, or a prefix of a digest; None removes every revision and
        every tag. Tags that point at the revision are deleted with ``remove_tags``; otherwise they
        raise :class:`RevisionTagged`. Removing the only revision removes the model.

        Tags go first, then the revision disappears by one rename, so that a crash at any instant
        leaves a whole model or none, and at most a temporary directory that :meth:`gc` removes. If
        the system refuses the rename, the tags are put back.

        Raises :class:`ModelNotFound`, :class:`RevisionNotFound`, :class:`ReadOnlyHub`,
        :class:`HubUnavailable`, or :class:`LockTimeout` after ``wait`` seconds.
        """
        home = self._home(name)
        digest = None if revision is None else self.resolve(name, revision).revision
        removed: list[str] = []
        aside = temporary(home)

        def plan() -> Callable[[], None]:
            there = self.revisions(name)
            if digest is None:
                removed[:] = there
                tags = _tag_names(home / "refs")
            elif digest not in there:
                raise self._no_revision(name, digest)
            else:
                removed[:] = [digest]
                tags = [tag for tag, target in self.tags(name).items() if target == digest]
                if tags and not remove_tags:
                    raise RevisionTagged(
                        f"The revision {digest} of {name!r} is tagged: {', '.join(tags)}.",
                        path=name,
                        hint="Move or delete the tags first, or pass remove_tags=True "
                        "(dc-hub rm --remove-tags).",
                    )
            everything = removed == there
            if everything:
                tags = _tag_names(home / "refs")
            source = home / "revisions" if everything else home / "revisions" / removed[0]
            return partial(self._take_away, home, tags, source, aside)

        self._change_refs(home, plan, wait)
        shutil.rmtree(aside, ignore_errors=True)
        if not self._has(name):
            empty = [home / "refs", home, home.parent] if "/" in name else [home / "refs", home]
            with suppress(OSError):
                for directory in empty:
                    directory.rmdir()
        return removed

    def gc(self, name: str | None = None, *, older_than: float = 86_400.0) -> list[Path]:
        """Remove the leftovers of crashed processes, and return the paths removed.

        Without ``name`` that is in the whole hub, in places where a model was too. Only what has
        not changed for ``older_than`` seconds is removed; what belongs to another user may have to
        stay. Raises :class:`ModelNotFound` if there is no directory for ``name``.
        """
        return remove_leftovers(self.leftovers(name, older_than=older_than))

    def leftovers(self, name: str | None = None, *, older_than: float = 86_400.0) -> list[Path]:
        """Return the paths that :meth:`gc` would remove."""
        if name is None:
            self._check_there()
            firsts = [
                self.path / first for first in filter(can_be_segment, _directories(self.path))
            ]
            seconds = [
                home / second
                for home in firsts
                for second in filter(can_be_segment, _directories(home))
            ]
            homes = [self.path, *firsts, *seconds]
        elif is_directory(self.path, *check_name(name).split("/")):
            homes = [self.path / name]
        else:
            homes = [self._home(name)]
        found = []
        for home in homes:
            for folder in ("", "revisions", "refs"):
                try:
                    there = not folder or is_directory(home, folder)
                except UnsafePath:  # a link, which must not keep the rest of the hub as it is
                    if name is not None:
                        raise
                    there = False
                if there:
                    with reading(str(home / folder)):
                        found += find_leftovers(home / folder, older_than)
        return found

    def _take_away(self, home: Path, tags: Iterable[str], source: Path, aside: Path) -> None:
        """Delete ``tags`` and rename ``source``; if that is refused, put the tags back."""
        targets: dict[Path, str | None] = {}
        for tag in tags:
            target = None
            with suppress(HubError):  # a damaged tag is deleted all the same
                target = self._tag(home, tag)
            targets[home.joinpath("refs", f"{tag}.json")] = target
        try:
            _delete(targets)
            patiently(lambda: source.rename(aside))
        except OSError:
            for file, target in targets.items():
                if target is not None:
                    _write_tag(file, target)
            raise
        sync_directory(source.parent)

    def _change_refs(self, home: Path, plan: Callable[[], Callable[[], None]], wait: float) -> None:
        """Hold the lease of the tags in ``home``, let ``plan`` check, and make the change."""
        refs = home / "refs"
        with writing(self.path, undone="No tag was changed."):
            make_directory(refs)
            while True:
                with lease(refs / ".lock", wait=wait) as mine:
                    change = plan()
                    if mine.held():
                        return change()

    def _tag(self, home: Path, tag: str) -> str | None:
        """Return the revision that a tag of the model in ``home`` points at, or None."""
        check_tag(tag)
        try:
            with open_directory(home, "refs") as refs:
                return _read_tag(refs, tag, home)
        except FileMissing:
            return None

    def _home(self, name: str) -> Path:
        home = self.path / check_name(name)
        if not self._has(name):
            self._check_there()
            raise ModelNotFound(
                f"There is no model {name!r} in {self.path}.",
                path=str(home),
                hint="`dc-hub ls` lists its models; hub= or DEEPCHEM_MODEL_HUB selects another.",
            )
        return home

    def _has(self, name: str) -> bool:
        return is_directory(self.path, *name.split("/"), "revisions")

    def _check_there(self) -> None:
        if not is_directory(self.path):
            raise HubUnavailable(
                f"There is no hub at {self.path}.",
                path=str(self.path),
                hint="Publish a model to create it, or select another: hub= or DEEPCHEM_MODEL_HUB.",
            )

    def _no_revision(self, name: str, wanted: str) -> RevisionNotFound:
        tags = ", ".join(self.tags(name)) or "none"
        hint = f"Its tags are: {tags}. A digest needs at least 12 digits."
        newest = self._newest(name) if wanted == MAIN else None
        if newest is not None:
            hint = (
                f"Its newest revision is {newest}; its tags are: {tags}. Load "
                f"'{name}@{newest[:12]}', or run: dc-hub tag set {name}@{newest[:12]} {MAIN}"
            )
        return RevisionNotFound(
            f"The model {name!r} in {self.path} has no revision {wanted!r}.", path=name, hint=hint
        )

    def _newest(self, name: str) -> str | None:
        """Return the revision whose directory was changed last, None if there is none."""
        revisions = self._home(name) / "revisions"
        return max(
            self.revisions(name),
            key=lambda digest: last_change(revisions / digest, 0.0),
            default=None,
        )


@contextmanager
def _while_it_stays(name: str, home: Path) -> Iterator[None]:
    """Convert the errors of a model that is published and removed at once to ModelRemoved."""
    try:
        yield
    except (FileNotFoundError, FileMissing, ModelNotFound, RevisionNotFound) as error:
        missing = error.filename if isinstance(error, FileNotFoundError) else error.path
        # Not what `write` reads elsewhere.
        if missing != name and not Path(str(missing)).is_relative_to(home):
            raise
        raise ModelRemoved(
            f"Another process removed {name!r} while it was being published.",
            path=str(home),
            hint="Publish it again, if it is still wanted.",
        ) from error


def _tag_names(refs: Where) -> list[str]:
    """Return the names of the tags in the directory ``refs``, sorted."""
    with reading(join(refs, ".")), os.scandir(refs) as entries:
        found = sorted(entry.name for entry in entries)
    return [
        name.removesuffix(".json") for name in found if name.endswith(".json") and name[0] != "."
    ]


def _read_tag(refs: Where, tag: str, home: Path) -> str:
    """Return the revision that a tag in the directory ``refs`` of the model in ``home`` names."""
    name = f"{check_tag(tag)}.json"
    return read_tag(read_small(refs, name, 4096), tag, f"{home}/refs/{name}")


def _delete(files: Iterable[Path]) -> None:
    """Delete tag files, durably."""
    for file in files:
        patiently(file.unlink)
        sync_directory(file.parent)


def _write_tag(file: Path, revision: str) -> None:
    write_atomically(file, strict_json.dumps({"revision": revision}))


def _do_nothing() -> None:
    pass


def _directories(path: Path) -> list[str]:
    """Return the sorted names of the directories in ``path``, no links; [] without ``path``."""
    return _subdirectories(str(path)) if is_directory(path) else []


def _claims_revisions(home: str) -> bool:
    """Tell whether the directory ``home`` has a directory of revisions, or a link in its place."""
    path = f"{home}/revisions"
    with reading(path):
        try:
            found = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return False
    return stat.S_ISDIR(found.st_mode) or is_link(found)


def _subdirectories(path: str, *, link: str = "") -> list[str]:
    """Return the sorted names of the directories in ``path``: no links, but the one ``link``."""
    with reading(path), os.scandir(path) as entries:
        return sorted(
            e.name
            for e in entries
            if (e.is_dir(follow_symlinks=False) and e.name[0] != ".")
            or (e.name == link and e.is_symlink())
        )
