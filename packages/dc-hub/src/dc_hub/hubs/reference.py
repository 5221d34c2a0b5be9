"""Parse a user's reference to a model: a name in a hub, a full address, or a directory."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dc_hub.errors import UnsafePath
from dc_hub.files.paths import check_any_name
from dc_hub.files.urls import is_url, local_path, scheme_of, without_secrets

ModelName = str | os.PathLike[str]
"""How a model is named: ``"net"``, ``"lab/net@v2"``, ``"hf://org/net@v2"``, ``"./directory"``, or a
``pathlib.Path``."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A model in a hub, by ``name`` and perhaps ``revision``, or in a ``directory`` of its own.

    ``hub`` is the URL of the hub, if what was parsed is a full address.
    """

    name: str = ""
    revision: str | None = None
    directory: Path | None = None
    hub: str | None = None

    @property
    def model(self) -> str:
        """The name or address of the model, without a revision."""
        if self.hub is None:
            return self.name
        return f"{self.hub}{'' if self.hub.endswith('/') else '/'}{self.name}"


def parse(where: Any, revision: str | None = None) -> Reference:
    """Return the parsed reference ``where``.

    A ``pathlib.Path``, a ``file://`` URL, or a string that starts with ``/``, ``./``, ``../`` or
    ``~`` is a directory. Any other URL is the address of a model: that of its hub, and after the
    last slash the model's name, ``hf://org/net``, ``s3://bucket/hub/net``. Any other string is a
    name, ``freesolv-mlp`` or ``lab/freesolv-mlp``. Names and addresses may be followed by ``@`` and
    a revision: a digest, a prefix of one, or a tag.

    Hubs keep the model ``lab/net`` in the folder ``net`` of the folder ``lab``, so
    ``https://host/hub/lab/net`` is found as ``net`` in the hub ``https://host/hub/lab``.

    Raises :class:`UnsafePath` for a malformed name and for a revision given twice or with a
    directory, and :class:`HubUnavailable` for a malformed URL.
    """
    if isinstance(where, os.PathLike) or (isinstance(where, str) and _is_path(where)):
        if revision is not None:
            raise UnsafePath(
                f"A directory contains one model and has no revision {revision!r}.",
                path=os.fspath(where),
                hint="Leave the revision out, or give the name of a model in a hub.",
            )
        return Reference(directory=local_path(where))
    if not isinstance(where, str):
        raise UnsafePath(
            f"A model is named by a str or a path, not by {type(where).__name__}.",
            path=repr(where),
            hint="Give 'name', 'name@revision', or the pathlib.Path of a directory.",
        )
    hub, slash, name = where.rpartition("/") if is_url(where) else ("", "", where)
    name, at, after = name.partition("@")
    if at and (revision is not None or not after):
        raise UnsafePath(
            f"{_shown(where)!r} does not name exactly one revision.",
            path=_shown(where),
            hint="Write 'name@revision', or give revision=..., not both.",
        )
    revision = after if at else revision
    if not slash:
        return Reference(name=check_any_name(name), revision=revision)
    hub = f"{hub}/" if hub.endswith(":/") else hub
    return Reference(name=_name_in_address(name, where), revision=revision, hub=hub)


def _name_in_address(name: str, address: str) -> str:
    try:
        return check_any_name(name)
    except UnsafePath as error:
        shown = _shown(address)
        raise UnsafePath(
            f"{shown!r} is not the address of a model.",
            path=shown,
            hint="Write the URL of the hub, a slash and the model's name: 'https://host/hub/net', "
            "'hf://org/net@v2'.",
        ) from error


def _shown(where: str) -> str:
    """Return a name or an address as messages may show it; ``@`` may be in its last part."""
    hub, slash, last = where.rpartition("/")
    return without_secrets(hub + slash) + without_secrets(last)


def _is_path(where: str) -> bool:
    if where in (".", "..") or where.startswith(("/", "./", "../", "~")):
        return True
    return is_url(where) and (scheme_of(where) == "file" or "://" not in where)
