"""``index.json``: the list of a hub's models, for readers who cannot list its directories.

    {"format": "dc-index", "format_version": [1, 1],
     "models": {"lab/net": {"tags": {"main": "<64 hex>"}, "revisions": ["<64 hex>"],
                            "shown": "<64 hex>", "summary": {…},
                            "derived_from": {"<64 hex>": ["lab/base@<64 hex>"]}}}}

It is a copy of what the hub says, as old as the last call of
:func:`dc_hub.hubs.catalogue.write_index`. Tags are looked up where they are, not here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, runtime_checkable

from dc_hub.errors import FormatVersionError, LimitExceeded, ParamsError, UnsafePath
from dc_hub.files.paths import check_name, check_tag
from dc_hub.format import strict_json
from dc_hub.format.summary import Summary, read_origins
from dc_hub.hubs.contract import MAIN, is_digest

FILE: Final = "index.json"
MAX_BYTES: Final = 1 << 26
"""The largest index that is read or written: about 50 000 models."""

FORMAT: Final = "dc-index"
FORMAT_VERSION: Final = (1, 1)

_DEPTH: Final = 12
_TOKENS: Final = MAX_BYTES // 4
"""One character of JSON's structure in four; about one in eight is usual."""

_KEYS: Final = frozenset({"tags", "revisions", "shown", "summary", "derived_from"})


@dataclass(frozen=True, slots=True)
class Listed:
    """A model of a hub: the revision that each tag points at, all revisions, and a summary.

    ``facts`` are those of the summary of the revision ``shown``, as an index stores them; that is
    ``main``, or without it the revision of the last tag by name. ``derived_from`` are the models
    that each revision was made from, for those that were made from any.
    """

    tags: Mapping[str, str]
    revisions: tuple[str, ...]
    shown: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    derived_from: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def summary(self, name: str) -> Summary:
        """Return the summary of the model called ``name``; without facts, its tags alone."""
        tags = [tag for tag, target in self.tags.items() if target == self.shown]
        return Summary.from_json(name, self.shown, tags, self.facts)

    def to_json(self) -> dict[str, Any]:
        """Return the model's entry in an index."""
        value: dict[str, Any] = {"tags": dict(self.tags), "revisions": list(self.revisions)}
        if self.facts:
            value |= {"shown": self.shown, "summary": dict(self.facts)}
        if self.derived_from:
            value["derived_from"] = {key: list(of) for key, of in self.derived_from.items()}
        return value


Index = Mapping[str, Listed]
"""The models of a hub by name."""


@runtime_checkable
class Indexed(Protocol):
    """A hub that may have an index, which it reads in one request."""

    def index(self) -> Index:
        """Return the index. Raises :class:`HubUnavailable` if there is none."""

    def listed(self) -> Index:
        """Return the tags and revisions of all models, from the index if they are not elsewhere."""


@runtime_checkable
class WritesIndex(Protocol):
    """A hub whose index can be written."""

    def write_index(self, data: bytes) -> str:
        """Replace the index, and return where it is."""


def shown_revision(tags: Mapping[str, str], revisions: Iterable[str]) -> str:
    """Return the revision that stands for a model: ``main``, the last tag's, or the last."""
    if MAIN in tags:
        return tags[MAIN]
    return tags[max(tags)] if tags else max(revisions, default="")


def index_bytes(models: Iterable[tuple[str, Listed]]) -> bytes:
    """Return the content of an index. Raises :class:`LimitExceeded` if it is too large."""
    listed = {name: model.to_json() for name, model in models}
    content = {"format": FORMAT, "format_version": list(FORMAT_VERSION), "models": listed}
    data = strict_json.dumps(content, what=FILE)
    if len(data) > MAX_BYTES:
        raise LimitExceeded(
            f"{FILE} would have {len(data)} bytes; the limit is {MAX_BYTES}.",
            path=FILE,
            hint="Divide the models among several hubs.",
        )
    return data


def parse_index(data: bytes, what: str) -> Index:
    """Return the index with the content ``data``; ``what`` names it in messages.

    Indexes of a higher minor version are read, and what is new in them is ignored. Raises
    :class:`ParamsError` if it is malformed, :class:`LimitExceeded` if it is too large or has too
    many values, and :class:`FormatVersionError`.
    """
    content: Any = strict_json.loads(data, what=what, limit=MAX_BYTES, depth=_DEPTH, tokens=_TOKENS)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise _malformed(what)
    version = content.get("format_version")
    if (
        not isinstance(version, list)
        or len(version) != 2
        or not all(type(number) is int and number >= 0 for number in version)
    ):
        raise _malformed(what)
    if version[0] != FORMAT_VERSION[0]:
        raise FormatVersionError(
            f"{what} has version {version!r}; {list(FORMAT_VERSION)} is supported.",
            path=what,
            hint="Run: pip install --upgrade dc-hub",
        )
    models = content.get("models")
    if not isinstance(models, dict):
        raise _malformed(what)
    newer = tuple(version) > FORMAT_VERSION
    try:
        return {check_name(name): listed(model, what, newer) for name, model in models.items()}
    except UnsafePath as error:
        raise _malformed(what) from error


def listed(model: Any, what: str, newer: bool = False) -> Listed:
    """Return the model of one entry of an index; with ``newer`` it may have unknown keys.

    Raises :class:`ParamsError` if it is malformed, and :class:`UnsafePath` for a tag that is.
    """
    if not isinstance(model, dict) or not {"tags", "revisions"} <= model.keys():
        raise _malformed(what)
    if not newer and model.keys() - _KEYS:
        raise _malformed(what)
    tags, revisions = model["tags"], model["revisions"]
    facts, origins = model.get("summary", {}), model.get("derived_from", {})
    if not isinstance(tags, dict) or not isinstance(revisions, list):
        raise _malformed(what)
    if not isinstance(facts, dict) or not isinstance(origins, dict):
        raise _malformed(what)
    digests = [*tags.values(), *revisions, *origins, *([model.get("shown")] if facts else [])]
    if not all(isinstance(digest, str) and is_digest(digest) for digest in digests):
        raise _malformed(what)
    return Listed(
        {check_tag(tag): tags[tag] for tag in sorted(tags)},
        tuple(sorted(revisions)),
        model["shown"] if facts else shown_revision(tags, revisions),
        facts,
        {revision: read_origins(of) for revision, of in origins.items()},
    )


def _malformed(what: str) -> ParamsError:
    return ParamsError(
        f"{what} is not the index of a hub.",
        path=what,
        hint="Write it where the hub is: dc-hub index HUB.",
    )
