"""Parse what a user writes to name a model: a name in a hub, or a directory."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dc_hub.errors import UnsafePath
from dc_hub.files.paths import check_name
from dc_hub.files.urls import is_url, local_path

ModelName = str | os.PathLike[str]
"""How a model is named: ``"net"``, ``"lab/net@v2"``, ``"./directory"``, or a ``pathlib.Path``."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A model in a hub, by ``name`` and perhaps ``revision``, or in a ``directory`` of its own."""

    name: str = ""
    revision: str | None = None
    directory: Path | None = None


def parse(where: Any, revision: str | None = None) -> Reference:
    """Return what ``where`` refers to.

    A ``pathlib.Path``, a ``file://`` URL, or a string that starts with ``/``, ``./``, ``../`` or
    ``~`` is a directory. Any other string is a name, ``freesolv-mlp`` or ``lab/freesolv-mlp``, with
    an optional revision after ``@``: a digest, a prefix of one, or a tag.

    Raises :class:`UnsafePath` for a malformed name and for a revision given twice or with a
    directory, and :class:`HubUnavailable` for a URL of another scheme.
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
    name, at, after = where.partition("@")
    if at and (revision is not None or not after):
        raise UnsafePath(
            f"{where!r} does not name exactly one revision.",
            path=where,
            hint="Write 'name@revision', or give revision=..., not both.",
        )
    return Reference(name=check_name(name), revision=after if at else revision)


def _is_path(where: str) -> bool:
    return where in (".", "..") or where.startswith(("/", "./", "../", "~")) or is_url(where)
