"""Verify many models: those of a hub, or those in the cache; tell of each whether it is intact."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final

from dc_core import explained
from dc_hub.errors import (
    FileMissing,
    HashMismatch,
    HubError,
    LockTimeout,
    ManifestError,
    ModelNotFound,
    ModelRemoved,
    RevisionNotFound,
    SignatureError,
    SizeMismatch,
    UnsafePath,
)
from dc_hub.files.cache import cache_folder
from dc_hub.files.using import Origin, origin_of
from dc_hub.hubs.contract import Hub, HubLike, StoredModel
from dc_hub.hubs.fetching import fetch
from dc_hub.hubs.local import LocalHub
from dc_hub.hubs.locating import in_hub
from dc_hub.hubs.opening import open_hub
from dc_hub.hubs.reference import ModelName, parse
from dc_hub.inspecting.signatures import check_directory
from dc_hub.loading.opening import locate, open_model
from dc_hub.remote.cache import Cache

Counted = Callable[[int, int], None]
"""Is told how many models are verified, and how many there are."""

_GONE: Final = (ModelNotFound, ModelRemoved, RevisionNotFound)
_SENT_WRONG: Final = (HashMismatch, ManifestError, SignatureError, SizeMismatch)


@dataclass(frozen=True, slots=True)
class Verified:
    """A model whose files were hashed: the damage, if any, and whether it was repaired.

    ``error`` is empty if it is intact. ``name`` is empty if it is not known.
    """

    name: str
    revision: str
    path: str
    error: str = ""
    repaired: bool = False

    @property
    def intact(self) -> bool:
        """Whether every file agrees with the manifest now."""
        return not self.error


@explained
def verify_models(
    names: Iterable[ModelName] = (),
    *,
    hub: HubLike = None,
    everything: bool = False,
    repair: bool = False,
    report: Counted | None = None,
) -> list[Verified]:
    """Hash every file of each of ``names``, read every header, and tell which models are intact.

    With ``everything`` these are all revisions of all models of the hub. With ``repair``, what is
    damaged in the cache is fetched again from its hub. A damaged model raises nothing, nor does one
    without the signatures that the trust policy requires, or one whose revisions are behind a link;
    one that does not exist does, and so does a hub that cannot be reached.
    """
    chosen = [names] if isinstance(names, str) else list(names)
    found = []
    if everything:
        where = open_hub(hub)
        for there in where.names():
            try:
                chosen += [f"{there}@{digest}" for digest in where.revisions(there)]
            except ModelNotFound:  # it was removed meanwhile
                pass
            except UnsafePath as error:
                found.append(Verified(there, "", error.path, _said(error)))
    for i, name in enumerate(chosen):
        try:
            found.append(_verified(name, hub, repair))
        except _GONE:
            if not everything:  # otherwise it was removed meanwhile
                raise
        if report is not None:
            report(i + 1, len(chosen))
    return found


@explained
def verify_cache(
    *, hub: HubLike = None, repair: bool = False, report: Counted | None = None
) -> list[Verified]:
    """Hash every file of each model in the cache, and tell which models are intact.

    With ``repair``, the damaged ones are fetched again: from ``hub`` if it is given, or from where
    they came. One that cannot be fetched stays as it is, and its ``error`` says why.
    """
    models = Cache(cache_folder())
    revisions = models.revisions()
    found = []
    for i, revision in enumerate(revisions):
        origin = origin_of(models.folder, revision) or Origin("", "")
        model = StoredModel(origin.name, revision, models.path(revision))
        try:
            again = partial(_fetch_again, model, origin, hub)
            found.append(_checked(model, again if repair else None))
        except ModelRemoved:  # to make room, meanwhile
            pass
        if report is not None:
            report(i + 1, len(revisions))
    return found


def _verified(name: ModelName, hub: HubLike, repair: bool) -> Verified:
    directory = parse(name).directory
    if directory is not None:
        try:
            return _checked(locate(name), None)
        except SignatureError as error:
            return Verified("", "", str(directory), _said(error))
    reference, where = in_hub(name, hub)
    model = where.resolve(reference.name, reference.revision)
    try:
        model = fetch(where, model)
    except _SENT_WRONG as error:
        return Verified(model.name, model.revision, str(model.path), _said(error))
    can_repair = repair and not isinstance(where, LocalHub)
    return _checked(model, partial(_fetch_from, where, model) if can_repair else None)


def _checked(model: StoredModel, again: Callable[[], object] | None) -> Verified:
    """Verify a model; if it is damaged and ``again`` can fetch it again, do that."""
    revision, error = _damage(model)
    if not error or again is None:
        return Verified(model.name, revision, str(model.path), error)
    try:
        again()
    except HubError as failed:
        error = f"{error} It was not repaired: {_said(failed)}"
        return Verified(model.name, revision, str(model.path), error)
    revision, left = _damage(model)
    return Verified(model.name, revision, str(model.path), left, repaired=not left)


def _damage(model: StoredModel) -> tuple[str, str]:
    """Return the revision of a model, and its damage; an empty text if there is none.

    Raises :class:`ModelRemoved` and :class:`LockTimeout`.
    """
    try:
        with open_model(model, "full", versioned=True) as opened:
            check_directory(opened.source)
            return opened.source.revision, ""
    except (ModelRemoved, LockTimeout):
        raise
    except HubError as error:
        return model.revision, _said(error)


def _fetch_from(where: Hub, model: StoredModel) -> StoredModel:
    return fetch(where, where.resolve(model.name, model.revision), verify=True)


def _fetch_again(model: StoredModel, origin: Origin, hub: HubLike) -> StoredModel:
    if not origin.name:
        raise FileMissing(
            f"It is not known where {model.revision} came from; pull it by its name.",
            path=str(model.path),
        )
    return _fetch_from(open_hub(origin.hub if hub is None else hub), model)


def _said(error: HubError) -> str:
    return f"{type(error).__name__}: {error.args[0]}"
