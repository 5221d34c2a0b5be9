"""Diagnose an installation: versions, the hub, the trust policy, the cache, plugins."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import Final, Literal

from dc_core import DCError, explained, plugins
from dc_hub.files import system
from dc_hub.files.cache import LIMIT, cache_folder, cache_limit
from dc_hub.files.sizes import show_size
from dc_hub.files.storage import make_directory, temporary, writing
from dc_hub.hubs.contract import HubLike
from dc_hub.hubs.local import LocalHub
from dc_hub.hubs.opening import open_hub
from dc_hub.remote.cache import Cache
from dc_hub.remote.store import OFFLINE, is_offline
from dc_hub.trust.policy import load_policy, policy_file

_PACKAGES: Final = ("dc-core", "dc-hub", "numpy")

_STATUS: Final[dict[str, Literal["good", "absent", "wrong"]]] = {
    "ready": "good",
    "missing": "absent",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    It is ``good``, ``absent`` (which is no fault: a backend that is not installed), or ``wrong``;
    then ``hint`` says what to do.
    """

    subject: str
    status: Literal["good", "absent", "wrong"]
    text: str
    hint: str = ""


@explained
def diagnose(*, hub: HubLike = None) -> list[Finding]:
    """Check everything that dc-hub needs, and return the findings; no finding is raised.

    The hub is opened and asked for its models, which may need the network. Every plugin is
    imported.
    """
    return [*_versions(), *_system(), _hub(hub), _policy(), _cache(), *_offline(), *_plugins()]


def _versions() -> Iterator[Finding]:
    yield Finding("python", "good", f"{platform.python_version()}, {sys.executable}")
    for package in _PACKAGES:
        yield Finding(package, "good", metadata.version(package))


def _system() -> Iterator[Finding]:
    text = platform.platform(terse=True)
    if system.GUARDED and system.OWNERS:
        yield Finding("system", "good", text)
    else:
        yield Finding(
            "system",
            "absent",
            f"{text}: files cannot be opened by directory or have no owners",
            "Models are verified at every load; SECURITY.md tells what differs.",
        )


def _hub(hub: HubLike) -> Finding:
    try:
        opened = open_hub(hub)
        if isinstance(opened, LocalHub) and not os.path.lexists(opened.path):
            return Finding("hub", "absent", f"{opened!r}: publishing a model will create it")
        count = len(opened.names())
    except DCError as error:
        return _wrong("hub", error)
    return Finding("hub", "good", f"{opened!r}: {count} model{'s' if count != 1 else ''}")


def _policy() -> Finding:
    try:
        policy = load_policy()
    except DCError as error:
        return _wrong("trust policy", error)
    if policy is None:
        return Finding("trust policy", "absent", f"{policy_file()}: no signature is required")
    count = len(policy.rules) + (policy.default is not None)
    return Finding("trust policy", "good", f"{policy.source}: {count} rule{'s' * (count != 1)}")


def _cache() -> Finding:
    folder = cache_folder()
    try:
        limit = cache_limit()
        with writing(folder, undone="Models of remote hubs cannot be fetched."):
            make_directory(folder)
            probe = temporary(folder)
            probe.touch()
            probe.unlink()
        count = len(Cache(folder).revisions())
    except DCError as error:
        return _wrong("cache", error)
    room = f"at most {show_size(limit)}" if limit is not None else f"no limit ({LIMIT})"
    models = f"{count} fetched model{'s' if count != 1 else ''}"
    return Finding("cache", "good", f"{folder}: {models}, {room}")


def _offline() -> Iterator[Finding]:
    if is_offline():
        yield Finding("network", "absent", f"{OFFLINE} is set: remote hubs are not asked")


def _plugins() -> Iterator[Finding]:
    for line in plugins.report():
        where = " ".join(filter(None, (line.distribution, line.version)))
        yield Finding(
            f"{line.group} {line.name}".strip(),
            _STATUS.get(line.status, "wrong"),
            f"{line.status}: {line.detail or where}",
            line.hint,
        )


def _wrong(subject: str, error: DCError) -> Finding:
    return Finding(subject, "wrong", f"{type(error).__name__}: {error.args[0]}", error.hint or "")
