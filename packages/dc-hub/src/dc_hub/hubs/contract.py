"""The contract of a hub: a store of models by name, with revisions and tags.

A revision is named by the digest of its manifest, so equal models have equal revisions everywhere.
What a hub holds is known without fetching files: names, tags, revisions and manifests are small.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Final, Protocol, runtime_checkable

from dc_hub.errors import AmbiguousRevision, FileMissing, ParamsError, RevisionNotFound, TagMoved
from dc_hub.format import strict_json
from dc_hub.format.manifest import Entry, Manifest
from dc_hub.hubs.staging import Staging

MAIN: Final = "main"
"""The tag used for a name without a revision."""

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_PREFIX: Final = re.compile(r"[0-9a-f]{12,63}")


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A stored model: its name (empty outside hubs), its revision and its directory.

    ``revision`` is 64 hex digits, or empty for a directory without a manifest, and for what a hub
    holds without one: weights that only :func:`dc_hub.load_weights` reads. The files of a model
    in a remote hub are in ``path`` once :meth:`Hub.fetch` has fetched them.
    """

    name: str
    revision: str
    path: Path

    def _repr_html_(self) -> str:
        """Show where the model is, in notebooks."""
        cells = "".join(
            f"<tr><th>{escape(name)}</th><td>{escape(str(value) or 'none')}</td></tr>"
            for name, value in (
                ("name", self.name),
                ("revision", self.revision),
                ("path", self.path),
            )
        )
        return f"<table><caption>StoredModel</caption>{cells}</table>"


Report = Callable[[int, int], None]
"""Is told how many bytes are there, and how many there will be."""


@runtime_checkable
class Hub(Protocol):
    """A store of models by name."""

    def names(self) -> list[str]:
        """Return the names of the models, sorted."""

    def tags(self, name: str) -> dict[str, str]:
        """Return the revision that each tag of a model points at."""

    def revisions(self, name: str) -> list[str]:
        """Return the revisions of a model, sorted."""

    def resolve(self, name: str, revision: str | None = None) -> StoredModel:
        """Find a revision by its digest, a tag (default ``main``), or a prefix of its digest."""

    def manifest(self, model: StoredModel) -> Manifest:
        """Return the manifest of a model that was resolved."""

    def read_chunk(self, model: StoredModel, entry: Entry, index: int) -> bytes:
        """Return the chunk ``index`` of the file ``entry`` of a model that was resolved.

        It has its digest in the manifest, or :class:`HashMismatch` is raised. Nothing else is
        fetched.
        """

    def fetch(
        self, model: StoredModel, *, report: Report | None = None, verify: bool = False
    ) -> StoredModel:
        """Return a model that was resolved, with its files in its directory.

        With ``verify``, files that are there already are hashed.

        ``report`` is told the bytes that are there and those of all files, from any thread.
        """

    def place(self, name: str) -> str:
        """Return where the model ``name`` is: a path or a URL, which trust policies refer to."""

    def signatures(self, model: StoredModel) -> Mapping[str, bytes]:
        """Return the signature files of a model that was resolved, as the hub has them now."""

    def add_signatures(self, model: StoredModel, files: Mapping[str, bytes]) -> None:
        """Join signature files to those of a model that was resolved; none there is lost."""

    def publish(
        self, name: str, write: Callable[[Staging], None], tags: Sequence[str] = (MAIN,)
    ) -> StoredModel:
        """Store the model directory that ``write`` writes, atomically; then move the tags."""

    def move_tag(self, name: str, tag: str, revision: str, *, expected: str | None) -> None:
        """Point ``tag`` at ``revision`` if it points at ``expected`` (None: does not exist)."""

    def delete_tag(self, name: str, tag: str, *, expected: str | None = None) -> None:
        """Delete ``tag``; with ``expected``, only if it points at that revision."""

    def remove(
        self, name: str, revision: str | None = None, *, remove_tags: bool = False
    ) -> list[str]:
        """Remove one revision of a model, or the whole model; return the revisions removed."""


OneHub = Hub | str | os.PathLike[str]
"""A hub, or the path or URL of one."""

HubLike = OneHub | Sequence[OneHub] | None
"""A hub, several in order, or None for the default; see :func:`open_hub`."""


def weights_alone(model: StoredModel) -> FileMissing:
    """Return the error for a model in a hub that is weights alone, where more was asked for."""
    return FileMissing(
        f"{model.name} is weights alone: nothing in the hub says what model they belong to.",
        path=model.name,
        hint="Load them into a model of your own: dc_hub.load_weights(name, into=model).",
    )


def is_digest(text: str) -> bool:
    """Tell whether ``text`` is the full digest of a revision."""
    return _DIGEST.fullmatch(text) is not None


def is_tag(revision: str) -> bool:
    """Tell whether a revision is named by a tag, and not by its digest or the beginning of it."""
    return not (is_digest(revision) or _PREFIX.fullmatch(revision))


def find_digest(
    name: str,
    wanted: str,
    tagged: Callable[[str], str | None],
    revisions: Callable[[], Sequence[str]],
    missing: Callable[[], RevisionNotFound],
) -> str:
    """Return the digest that ``wanted`` names: itself, a tag, or a prefix that is unique.

    ``tagged`` returns the digest that a tag points at, ``revisions`` all digests of the model
    ``name``; each is called only if it is needed, and ``missing`` to make the error. Raises
    :class:`AmbiguousRevision` too.
    """
    if is_digest(wanted):
        return wanted
    if is_tag(wanted):
        digest = tagged(wanted)
        if digest is None:
            raise missing()
        return digest
    found = [digest for digest in revisions() if digest.startswith(wanted)]
    if len(found) > 1:
        raise AmbiguousRevision(
            f"{len(found)} revisions of {name!r} start with {wanted!r}.",
            path=name,
            hint="Give more digits: " + ", ".join(digest[:20] for digest in found[:4]) + ".",
        )
    if not found:
        raise missing()
    return found[0]


def read_tag(data: bytes, tag: str, shown: str) -> str:
    """Return the digest in the file of a tag; raise :class:`ParamsError` if there is none."""
    content: Any = strict_json.loads(data, what=shown)
    revision = content.get("revision") if isinstance(content, dict) else None
    if not isinstance(revision, str) or not is_digest(revision) or len(content) != 1:
        raise ParamsError(
            f"The file of the tag {tag!r} does not contain a revision.",
            path=shown,
            hint="Remove that file and set the tag again.",
        )
    return revision


def tags_to_move(tag: str | Iterable[str], move_main: bool) -> tuple[str, ...]:
    """Return the tags that publishing moves: those given and, unless told otherwise, ``main``."""
    given = (tag,) if isinstance(tag, str) else tuple(tag)
    return tuple(dict.fromkeys((*given, MAIN) if move_main else given))


def moved_tag(
    name: str, tag: str, now: str | None, expected: str | None, revision: str = ""
) -> TagMoved:
    """Return the error for a tag that does not point where the caller expected."""
    then = "it should not exist" if expected is None else f"{expected} was expected"
    return TagMoved(
        f"The tag {tag!r} of {name!r} points at {now or 'nothing'}; {then}.",
        path=name,
        hint=f"To move it all the same: dc_hub.move_tag('{name}@{revision}', {tag!r}, "
        f"expected={now!r})."
        if revision and now
        else "Look at its tags again: dc-hub tag list.",
    )
