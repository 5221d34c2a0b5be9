"""``dchub.lock``: the revisions that a project was built with, by the models' names.

    {"format": "dc-lock", "format_version": [1, 0],
     "models": {"lab/net": {"revision": "<64 hex>", "tag": "main", "hub": "https://…", "size": 5}}}

A tag may move; a pin does not. Keep the file in the project's version control. ``tag`` is what the
pin was made from (null: a digest), ``hub`` the URL of the hub without secrets (empty: a directory),
and ``size`` that of all files in bytes. The hub is recorded for people: which server is asked for a
name is not decided by a lock file. A model that was pinned by its full address is named by that.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dc_core import explained
from dc_hub.errors import (
    FileMissing,
    FormatVersionError,
    HubError,
    ModelNotFound,
    ParamsError,
    PinMismatch,
    RevisionNotFound,
    UnsafePath,
)
from dc_hub.files.lease import lease
from dc_hub.files.paths import check_tag, read_small
from dc_hub.files.storage import write_atomically, writing
from dc_hub.files.urls import local_path, scheme_of, without_secrets
from dc_hub.format import strict_json
from dc_hub.hubs.contract import MAIN, Hub, HubLike, Report, StoredModel, is_digest, is_tag
from dc_hub.hubs.fetching import fetch
from dc_hub.hubs.locating import in_hub
from dc_hub.hubs.reference import Reference, parse

FILE: Final = "dchub.lock"

VARIABLE: Final = "DEEPCHEM_LOCK"
"""The environment variable that names the lock file of loading, if none is given."""

FORMAT: Final = "dc-lock"
FORMAT_VERSION: Final = (1, 0)

_LIMIT: Final = 1 << 20
_MAX_SIZE: Final = 1 << 60

Lock = str | os.PathLike[str]
"""The path of a lock file."""


@dataclass(frozen=True, slots=True)
class Pin:
    """A pinned revision with the facts known about it.

    ``tag`` is the tag that it was pinned by, ``hub`` the URL of its hub, ``size`` that of its files
    in bytes; None or empty if that is not known.
    """

    revision: str
    tag: str | None = None
    hub: str = ""
    size: int | None = None


@dataclass(frozen=True, slots=True)
class PinState:
    """The state of a pin in a hub.

    ``now`` is the revision that the pin's tag points at, None if it does not exist any more.
    ``available`` tells whether the hub has the pinned revision.
    """

    name: str
    tag: str | None
    pinned: str
    now: str | None
    available: bool

    @property
    def unchanged(self) -> bool:
        """Whether the tag points at the pinned revision, and the hub has it."""
        return self.now == self.pinned and self.available


@explained
def read_pins(lock: Lock = FILE) -> dict[str, str]:
    """Return the pinned revision of each name in the file ``lock``.

    Raises :class:`FileMissing` if there is no such file, :class:`ParamsError` if it is malformed,
    and :class:`FormatVersionError`.
    """
    return {name: found.revision for name, found in read_lock(lock).items()}


@explained
def read_lock(lock: Lock = FILE) -> dict[str, Pin]:
    """Return the pin of each name in the file ``lock``; raises what :func:`read_pins` does."""
    path = local_path(lock)
    content: Any = strict_json.loads(read_small(path.parent, path.name, _LIMIT), what=str(path))
    if not isinstance(content, dict):
        raise _malformed(path)
    if content.keys() == {"models"}:  # as it was written first: digests alone
        read = _plain_pin
    elif content.keys() == {"format", "format_version", "models"}:
        _check_format(content, path)
        read = _pin
    else:
        raise _malformed(path)
    if not isinstance(content["models"], dict):
        raise _malformed(path)
    pins = {}
    for name, value in content["models"].items():
        found, reference = read(value), parse(name)
        if found is None or reference.directory is not None or reference.revision is not None:
            raise _malformed(path, f": the pin of {name!r} is not valid")
        pins[name] = found
    return pins


@explained
def pin(name: str, *, hub: HubLike = None, lock: Lock = FILE) -> str:
    """Pin ``name`` (or ``name@tag``) to its present revision, and return the digest."""
    return pin_models([name], hub=hub, lock=lock)[parse(name).model].revision


@explained
def pin_models(names: Iterable[str], *, hub: HubLike = None, lock: Lock = FILE) -> dict[str, Pin]:
    """Pin each of ``names`` (names, addresses, with or without a tag) and return these pins.

    The other pins of the file stay, and those that another process adds meanwhile. It is written
    once all are known, so that an error changes nothing. Raises what :meth:`Hub.resolve` and
    :func:`read_pins` raise, and :class:`LockTimeout`.
    """
    made: dict[str, Pin] = {}
    for name in [names] if isinstance(names, str) else names:
        reference, where = in_hub(name, hub)
        url = _url(reference.hub or hub, where)
        made[reference.model] = _made(where, reference.name, reference.revision, url)
    _add(made, lock)
    return made


@explained
def update_pins(
    names: Iterable[str] = (), *, hub: HubLike = None, lock: Lock = FILE
) -> list[PinState]:
    """Pin the tags' present revisions, and return the former result of :func:`check_pins`.

    ``names`` are those to update, all by default. What is pinned by a digest stays. Raises
    :class:`RevisionNotFound` if a tag does not exist any more; then nothing is changed. Raises
    :class:`LockTimeout` too.
    """
    states = check_pins(names, hub=hub, lock=lock)
    made: dict[str, Pin] = {}
    for state in states:
        if state.tag is not None:
            name, where = _pinned_in(state.name, hub)
            url = _url(parse(state.name).hub or hub, where)
            made[state.name] = _made(where, name, state.tag, url)
    _add(made, lock)
    return states


@explained
def check_pins(
    names: Iterable[str] = (), *, hub: HubLike = None, lock: Lock = FILE
) -> list[PinState]:
    """Return the state in the hub of each pin in the file ``lock``, or of those of ``names``.

    Nothing is changed or fetched. Raises :class:`RevisionNotFound` if one of ``names`` has no pin,
    and what the hub and :func:`read_pins` raise.
    """
    chosen = [names] if isinstance(names, str) else list(names)
    pins = {name: pinned(name, lock) for name in chosen} if chosen else read_lock(lock)
    return [_state(hub, name, found) for name, found in sorted(pins.items())]


@explained
def pull_pins(
    *, hub: HubLike = None, lock: Lock = FILE, report: Report | None = None
) -> list[StoredModel]:
    """Fetch every pinned model of a remote hub into the cache, and return them, sorted by name.

    What is in the cache already is hashed, and fetched again if it is damaged. ``report`` is told
    the bytes of each model. Raises what :meth:`Hub.fetch` and :func:`read_pins` raise.
    """
    fetched = []
    for pinned_name, found in sorted(read_lock(lock).items()):
        name, where = _pinned_in(pinned_name, hub)
        model = where.resolve(name, found.revision)
        fetched.append(fetch(where, model, report=report, verify=True))
    return fetched


def pinned(name: str, lock: Lock = FILE) -> Pin:
    """Return the pin of ``name``. Raises :class:`RevisionNotFound`."""
    pins = read_lock(lock)
    if name not in pins:
        raise RevisionNotFound(
            f"{os.fspath(lock)} has no pin for {name!r}.",
            path=os.fspath(lock),
            hint=f"Pin it: dc_hub.pin({name!r}), or dc-hub lock {name}.",
        )
    return pins[name]


def resolve_pinned(hub: Hub, reference: Reference, lock: Lock) -> StoredModel:
    """Return the pinned revision of the model of ``reference``, which is in ``hub``.

    Raises :class:`PinMismatch` if it names another revision, and :class:`RevisionNotFound` if there
    is no pin.
    """
    name, revision = reference.name, reference.revision
    found = pinned(reference.model, lock)
    if revision is not None:
        wanted = hub.resolve(name, revision).revision
        if wanted != found.revision:
            raise PinMismatch(
                f"{name}@{revision} is {wanted}, but {os.fspath(lock)} pins {name!r} to "
                f"{found.revision}.",
                path=os.fspath(lock),
                hint=f"Leave the revision out to load what is pinned, or pin the other one: "
                f"dc-hub lock {name}@{revision}",
            )
    return hub.resolve(name, found.revision)


def lock_in_use(lock: Lock | None) -> Lock | None:
    """Return the lock file to load by: ``lock``, else the one that ``DEEPCHEM_LOCK`` names.

    A file that merely is in the working directory is not used: what a program loads must not depend
    on where it was started.
    """
    return lock if lock is not None else os.environ.get(VARIABLE) or None


def _made(hub: Hub, name: str, wanted: str | None, url: str) -> Pin:
    model = hub.resolve(name, wanted)
    tag = wanted or MAIN
    size = sum(entry.size for entry in hub.manifest(model).entries)
    return Pin(model.revision, tag if is_tag(tag) else None, url, size)


def _pinned_in(pinned_name: str, hub: HubLike) -> tuple[str, Hub]:
    """Return the name of a pinned model in its hub, and that: of its address, else ``hub``."""
    reference, where = in_hub(pinned_name, hub if parse(pinned_name).hub is None else None)
    return reference.name, where


def _state(hub: HubLike, pinned_name: str, found: Pin) -> PinState:
    name, where = _pinned_in(pinned_name, hub)
    try:
        now = None if found.tag is None else where.resolve(name, found.tag).revision
    except (ModelNotFound, RevisionNotFound):
        now = None
    try:
        where.manifest(where.resolve(name, found.revision))
        available = True
    except (ModelNotFound, RevisionNotFound):
        available = False
    if found.tag is None and available:
        now = found.revision
    return PinState(pinned_name, found.tag, found.revision, now, available)


def _url(given: HubLike, opened: Hub) -> str:
    """Return the URL of a hub to record, without secrets; empty for a directory."""
    url = given if isinstance(given, str) else getattr(opened, "url", "")
    is_remote = isinstance(url, str) and scheme_of(url) not in ("", "file")
    return without_secrets(url) if is_remote else ""


def _read_if_there(lock: Lock) -> dict[str, Pin]:
    try:
        return read_lock(lock)
    except FileMissing:
        return {}


def _add(made: Mapping[str, Pin], lock: Lock) -> None:
    """Write the pins that were ``made`` into the file ``lock``, in which the others stay."""
    path = local_path(lock)
    with (
        writing(path, undone="Nothing was pinned."),
        lease(path.with_name(f".{path.name}.lease")),
    ):
        models = {
            name: {"revision": p.revision, "tag": p.tag, "hub": p.hub, "size": p.size}
            for name, p in {**_read_if_there(lock), **made}.items()
        }
        content = {"format": FORMAT, "format_version": list(FORMAT_VERSION), "models": models}
        write_atomically(path, strict_json.dumps(content))


def _check_format(content: Mapping[str, Any], path: Path) -> None:
    if content["format"] != FORMAT:
        raise _malformed(path)
    if content["format_version"] != list(FORMAT_VERSION):
        raise FormatVersionError(
            f"{path} has version {content['format_version']!r}; {list(FORMAT_VERSION)} is "
            "supported.",
            path=str(path),
            hint="Run: pip install --upgrade dc-hub",
        )


def _plain_pin(value: Any) -> Pin | None:
    return Pin(value) if isinstance(value, str) and is_digest(value) else None


def _pin(value: Any) -> Pin | None:
    if not isinstance(value, dict) or value.keys() != {"revision", "tag", "hub", "size"}:
        return None
    revision, tag, hub, size = value["revision"], value["tag"], value["hub"], value["size"]
    if _plain_pin(revision) is None or not isinstance(hub, str) or not hub.isprintable():
        return None
    if size is not None and (type(size) is not int or not 0 <= size <= _MAX_SIZE):
        return None
    try:
        return Pin(revision, None if tag is None else check_tag(tag), hub, size)
    except UnsafePath:
        return None


def _malformed(path: Path, why: str = "") -> HubError:
    return ParamsError(
        f"{path} is not a file of pins{why}.",
        path=str(path),
        hint="Write it with dc-hub lock NAME, or dc_hub.pin(name).",
    )
