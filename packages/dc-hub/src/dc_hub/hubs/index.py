"""``index.json``: what a hub holds, for readers who cannot list its directories.

    {"format": "dc-index", "format_version": [1, 0],
     "models": {"lab/net": {"tags": {"main": "<64 hex>"}, "revisions": ["<64 hex>"]}}}

It is a copy of what the directories say, as old as the last call of :func:`write_index`. Tags are
looked up where they are, not here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dc_core import explained
from dc_hub.errors import FormatVersionError, ParamsError, UnsafePath
from dc_hub.files.paths import check_name, check_tag
from dc_hub.files.storage import write_atomically, writing
from dc_hub.format import strict_json
from dc_hub.hubs.contract import is_digest
from dc_hub.hubs.local import LocalHub

FILE: Final = "index.json"
MAX_BYTES: Final = 1 << 26
"""The largest index that is read: about 100 000 models."""

FORMAT: Final = "dc-index"
FORMAT_VERSION: Final = (1, 0)


@dataclass(frozen=True, slots=True)
class Listed:
    """A model in an index: the revision that each tag points at, and all revisions."""

    tags: Mapping[str, str]
    revisions: tuple[str, ...]


Index = Mapping[str, Listed]
"""The models of a hub by name."""


@explained
def write_index(hub: str | os.PathLike[str]) -> Path:
    """Write ``index.json`` into the local hub at the path ``hub``, and return its path.

    Raises :class:`HubUnavailable` if there is no hub, and :class:`ReadOnlyHub`.
    """
    local = LocalHub(hub)
    models = {
        name: {"tags": local.tags(name), "revisions": local.revisions(name)}
        for name in local.names()
    }
    content = {"format": FORMAT, "format_version": list(FORMAT_VERSION), "models": models}
    with writing(local.path):
        write_atomically(local.path / FILE, strict_json.dumps(content))
    return local.path / FILE


def parse_index(data: bytes, what: str) -> Index:
    """Return the index with the content ``data``; ``what`` names it in messages.

    Raises :class:`ParamsError` if it is malformed, and :class:`FormatVersionError`.
    """
    content: Any = strict_json.loads(data, what=what, limit=MAX_BYTES, depth=6)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise _malformed(what)
    if content.get("format_version") != list(FORMAT_VERSION):
        raise FormatVersionError(
            f"{what} has version {content.get('format_version')!r}; "
            f"{list(FORMAT_VERSION)} is supported.",
            path=what,
            hint="Run: pip install --upgrade dc-hub",
        )
    models = content.get("models")
    if not isinstance(models, dict):
        raise _malformed(what)
    try:
        return {check_name(name): _listed(model, what) for name, model in models.items()}
    except UnsafePath as error:
        raise _malformed(what) from error


def _listed(model: Any, what: str) -> Listed:
    if not isinstance(model, dict) or model.keys() != {"tags", "revisions"}:
        raise _malformed(what)
    tags, revisions = model["tags"], model["revisions"]
    if not isinstance(tags, dict) or not isinstance(revisions, list):
        raise _malformed(what)
    digests = [*tags.values(), *revisions]
    if not all(isinstance(digest, str) and is_digest(digest) for digest in digests):
        raise _malformed(what)
    return Listed({check_tag(tag): tags[tag] for tag in sorted(tags)}, tuple(sorted(revisions)))


def _malformed(what: str) -> ParamsError:
    return ParamsError(
        f"{what} is not the index of a hub.",
        path=what,
        hint="Write it where the hub is: dc-hub index DIRECTORY.",
    )
