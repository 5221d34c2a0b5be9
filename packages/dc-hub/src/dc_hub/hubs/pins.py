"""``dchub.lock``: the revisions that a project was built with, by the models' names.

    {"models": {"lab/freesolv-mlp": "<64 hex>"}}

A tag may move; a pin does not. Keep the file in the project's version control.
"""

from __future__ import annotations

import os
import re
from typing import Any, Final

from dc_core import explained
from dc_hub.errors import FileMissing, ParamsError, RevisionNotFound
from dc_hub.files.paths import check_name, read_small
from dc_hub.files.storage import write_atomically, writing
from dc_hub.files.urls import local_path
from dc_hub.format import strict_json
from dc_hub.hubs.contract import HubLike
from dc_hub.hubs.opening import open_hub
from dc_hub.hubs.reference import parse

FILE: Final = "dchub.lock"

_LIMIT: Final = 1 << 20
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


@explained
def read_pins(lock: str | os.PathLike[str] = FILE) -> dict[str, str]:
    """Return the pinned revision of each name in the file ``lock``.

    Raises :class:`FileMissing` if there is no such file, and :class:`ParamsError` if it is
    malformed.
    """
    path = local_path(lock)
    content: Any = strict_json.loads(read_small(path.parent, path.name, _LIMIT), what=str(path))
    models = content.get("models") if isinstance(content, dict) else None
    if not isinstance(models, dict) or not all(
        isinstance(revision, str) and _DIGEST.fullmatch(revision) for revision in models.values()
    ):
        raise ParamsError(
            f"{path} is not a file of pins.", path=str(path), hint="Write it with dc_hub.pin(name)."
        )
    return {check_name(name): revision for name, revision in models.items()}


@explained
def pin(
    name: str,
    *,
    hub: HubLike = None,
    lock: str | os.PathLike[str] = FILE,
) -> str:
    """Pin ``name`` (or ``name@tag``) to its present revision, and return the digest."""
    reference = parse(name)
    revision = open_hub(hub).resolve(reference.name, reference.revision).revision
    path = local_path(lock)
    try:
        pins = read_pins(path)
    except FileMissing:
        pins = {}
    with writing(path, undone="Nothing was pinned."):
        write_atomically(path, strict_json.dumps({"models": {**pins, reference.name: revision}}))
    return revision


def pinned(name: str, lock: str | os.PathLike[str] = FILE) -> str:
    """Return the revision that ``name`` is pinned to. Raises :class:`RevisionNotFound`."""
    pins = read_pins(lock)
    if name not in pins:
        raise RevisionNotFound(
            f"{os.fspath(lock)} has no pin for {name!r}.",
            path=os.fspath(lock),
            hint=f"Pin it: dc_hub.pin({name!r}).",
        )
    return pins[name]
