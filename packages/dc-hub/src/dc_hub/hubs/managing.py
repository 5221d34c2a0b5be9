"""List the models of a hub; remove and move models and tags."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dc_core import explained
from dc_hub.errors import DefaultTag
from dc_hub.hubs.catalogue import listing
from dc_hub.hubs.contract import MAIN, HubLike, Report, StoredModel
from dc_hub.hubs.fetching import fetch
from dc_hub.hubs.locating import in_hub, whole_model
from dc_hub.hubs.opening import open_hub
from dc_hub.hubs.reference import ModelName


@dataclass(frozen=True, slots=True)
class Listing:
    """A model in a hub: its name, the revision that each tag points at, and all revisions."""

    name: str
    tags: Mapping[str, str]
    revisions: tuple[str, ...]


@explained
def ls(*, hub: HubLike = None) -> list[Listing]:
    """Return the models of a hub, sorted by name.

    Raises :class:`HubUnavailable` if there is no hub.
    """
    found = listing(open_hub(hub))
    return [Listing(name, model.tags, model.revisions) for name, model in found]


@explained
def pull(
    name: ModelName,
    *,
    hub: HubLike = None,
    revision: str | None = None,
    report: Report | None = None,
) -> StoredModel:
    """Fetch a model of a remote hub into the cache, so that it loads without the network.

    What is in the cache already is hashed, and fetched again if it is damaged. ``report`` is told
    the bytes that are there and those of all files, from any thread. Raises
    :class:`SignatureError` if the trust policy requires signatures that the model does not have,
    and the errors of :meth:`Hub.resolve` and :meth:`Hub.fetch`.
    """
    model, where = in_hub(name, hub, revision)
    found = where.resolve(model.name, model.revision)
    return fetch(where, found, report=report, verify=True)


@explained
def rm(
    name: ModelName,
    *,
    hub: HubLike = None,
    revision: str | None = None,
    remove_tags: bool = False,
) -> list[str]:
    """Remove a model from a hub, or one revision of it, and return the revisions removed.

    ``name`` alone removes every revision and every tag of the model. ``"name@revision"`` (or
    ``revision=``, a digest, a tag, or a prefix of a digest) removes that revision; tags that point
    at it are deleted with ``remove_tags``, and otherwise raise :class:`RevisionTagged`. Removing
    the only revision of a model removes the model.

    A crash at any instant leaves a whole model or none. Raises :class:`ModelNotFound`,
    :class:`RevisionNotFound`, :class:`ReadOnlyHub` and the other errors of
    :meth:`LocalHub.remove`.
    """
    model, where = in_hub(name, hub, revision)
    return where.remove(model.name, model.revision, remove_tags=remove_tags)


@explained
def list_tags(name: ModelName, *, hub: HubLike = None) -> dict[str, str]:
    """Return the revision that each tag of the model ``name`` points at, sorted by tag."""
    model, where = whole_model(name, hub)
    return where.tags(model)


@explained
def set_tag(
    name: ModelName, tag: str, *, hub: HubLike = None, revision: str | None = None
) -> StoredModel:
    """Point the new tag ``tag`` at a revision of ``name`` (default ``main``), and return that.

    Raises :class:`TagMoved` if the tag points at another revision already: see :func:`move_tag`.
    """
    model, where = in_hub(name, hub, revision)
    target = where.resolve(model.name, model.revision)
    where.move_tag(model.name, tag, target.revision, expected=None)
    return target


@explained
def move_tag(
    name: ModelName,
    tag: str,
    *,
    hub: HubLike = None,
    revision: str | None = None,
    expected: str | None = None,
) -> StoredModel:
    """Move the tag ``tag`` to a revision of ``name`` (default ``main``), and return that.

    The tag moves only if it points at ``expected`` (a digest, a tag, or a prefix of a digest) at
    that instant; by default, at what it pointed at when this function was called.

    Raises :class:`TagMoved` if it points elsewhere, and :class:`RevisionNotFound` if there is no
    such tag: see :func:`set_tag`.
    """
    model, where = in_hub(name, hub, revision)
    target = where.resolve(model.name, model.revision)
    before = where.resolve(model.name, tag).revision
    if expected is not None:
        before = where.resolve(model.name, expected).revision
    where.move_tag(model.name, tag, target.revision, expected=before)
    return target


@explained
def delete_tag(
    name: ModelName,
    tag: str,
    *,
    hub: HubLike = None,
    expected: str | None = None,
    force: bool = False,
) -> None:
    """Delete the tag ``tag`` of the model ``name``; the revision is kept.

    With ``expected`` (a digest, a tag, or a prefix of a digest) the tag is deleted only if it
    points at that revision. ``force`` allows deleting ``main``: without it, the model's name alone
    refers to nothing.

    Raises :class:`TagMoved` if it points elsewhere, :class:`RevisionNotFound` if there is no such
    tag, and :class:`DefaultTag` for ``main``.
    """
    model, where = whole_model(name, hub)
    if tag == MAIN and not force:
        raise DefaultTag(
            f"Without the tag {MAIN!r}, {model!r} alone names no revision.",
            path=model,
            hint=f"Point it at another revision: `dc-hub tag move {model}@<revision> {MAIN}`; or "
            "delete it with force=True (dc-hub tag delete --yes).",
        )
    if expected is not None:
        expected = where.resolve(model, expected).revision
    where.delete_tag(model, tag, expected=expected)
