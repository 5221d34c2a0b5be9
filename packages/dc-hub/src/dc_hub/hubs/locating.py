"""Which hub a model is in: the one that its address names, or the one that the caller gives."""

from __future__ import annotations

from dc_hub.errors import ParamsError, UnsafePath
from dc_hub.files.urls import without_secrets
from dc_hub.hubs.contract import Hub, HubLike
from dc_hub.hubs.opening import open_hub
from dc_hub.hubs.reference import ModelName, Reference, parse
from dc_hub.hubs.several import answering


def hub_of(reference: Reference, hub: HubLike) -> Hub:
    """Return the hub of a model: that of its address, else ``hub``; see :func:`open_hub`.

    Of several hubs in order it is the one that answers for the name. Raises :class:`ParamsError` if
    both are given.
    """
    return answering(_opened(reference, hub), reference.name, reference.revision)


def in_hub(name: ModelName, hub: HubLike, revision: str | None = None) -> tuple[Reference, Hub]:
    """Return the reference in ``name``, and the hub of the model.

    Raises :class:`UnsafePath` for a directory, and the errors of :func:`parse` and :func:`hub_of`.
    """
    reference = _parse(name, revision)
    return reference, hub_of(reference, hub)


def whole_model(name: ModelName, hub: HubLike) -> tuple[str, Hub]:
    """Return the name of a model, and the hub that it is in or is to be published to.

    Raises :class:`UnsafePath` if ``name`` names one revision of it, and what :func:`in_hub` raises.
    """
    reference = _parse(name)
    if reference.revision is not None:
        raise UnsafePath(
            f"{name!r} names one revision, where the whole model is meant.",
            path=str(name),
            hint=f"Give {reference.model!r} alone.",
        )
    return reference.name, _opened(reference, hub)


def _parse(name: ModelName, revision: str | None = None) -> Reference:
    reference = parse(name, revision)
    if reference.directory is not None:
        raise UnsafePath(
            f"{reference.directory} is a directory; tags and revisions belong to models in a hub.",
            path=str(reference.directory),
            hint="Give the name of a model; `dc-hub ls` lists them.",
        )
    return reference


def _opened(reference: Reference, hub: HubLike) -> Hub:
    """Return the hub, or several in order, that a model is looked up in."""
    if reference.hub is None:
        return open_hub(hub)
    if hub is not None:
        shown = without_secrets(reference.model)
        raise ParamsError(
            f"{shown!r} names its hub already, and hub= names one too.",
            path="hub",
            hint=f"Leave hub= out, or give the name {reference.name!r} alone.",
        )
    return open_hub(reference.hub)


def place(name: ModelName, hub: HubLike = None) -> str:
    """Return where the model ``name`` is, which trust policies refer to: a path or a URL."""
    reference = parse(name)
    if reference.directory is not None:
        return str(reference.directory.absolute())
    return hub_of(reference, hub).place(reference.name)
