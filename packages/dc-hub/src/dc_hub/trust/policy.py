"""The trust policy: which places need whose signatures, in a file of the user's.

    version = 1

    [keys]                                    # more keys by name, beside those of `dc-hub key`
    alice = "MCowBQYDK2VwAyEA..."

    [hubs."https://models.example/hub"]       # a hub, a model in it, or a directory
    require_signature = ["alice", "bob"]
    threshold = 2                             # how many of them; 1 if it is left out

    [hubs."/home/me/models"]
    require_signature = false

    [default]                                 # everything else
    require_signature = ["alice"]

It is ``trust.toml`` in the user's configuration folder, or the file that ``DEEPCHEM_TRUST`` names.
Nothing else is looked at: no file of a model or of the working directory can change the policy.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from dc_hub.errors import FileMissing, HubError, KeyFileError, PolicyError
from dc_hub.files.config import config_folder, read_unshared
from dc_hub.files.urls import local_path, scheme_of, without_secrets
from dc_hub.trust.keyring import check_key_name, list_keys
from dc_hub.trust.keys import PublicKey

VARIABLE: Final = "DEEPCHEM_TRUST"
"""The environment variable that names the file of the trust policy."""

FILE: Final = "trust.toml"
MAX_BYTES: Final = 1 << 20
VERSION: Final = 1

_TABLES: Final = frozenset({"version", "keys", "hubs", "default"})
_RULE: Final = frozenset({"require_signature", "threshold"})
_PORTS: Final = {"http": 80, "https": 443}

Place = tuple[str, tuple[str, ...]]
"""A model's place in a form that can be compared: the host or this machine, and the path."""


@dataclass(frozen=True, slots=True)
class Rule:
    """The rule of a place: signatures of ``threshold`` of these ``keys``, by id; 0 means none."""

    where: str
    keys: Mapping[str, PublicKey]
    threshold: int


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules by place, and the ``keys`` by name that they and the user's folder add up to."""

    source: Path
    rules: tuple[tuple[Place, Rule], ...]
    default: Rule | None
    keys: Mapping[str, PublicKey]

    @property
    def names(self) -> dict[str, str]:
        """The first name of each key, by its id."""
        return names_by_id(self.keys)

    def rule(self, where: str) -> Rule | None:
        """Return the rule for the path or URL ``where``: that of the longest prefix, or None.

        Raises :class:`PolicyError` if it is written in a way that servers read differently, so that
        nobody can tell which rule holds.
        """
        try:
            root, path = place_of(where)
        except ValueError as error:
            shown = without_secrets(where)
            raise PolicyError(
                f"The trust policy {self.source} cannot tell which rule holds for {shown!r}: "
                f"{error}.",
                path=shown,
                hint="Write its URL in the shortest way.",
            ) from error
        fitting = [
            (len(prefix), rule)
            for (top, prefix), rule in self.rules
            if top == root and path[: len(prefix)] == prefix
        ]
        return max(fitting, key=lambda pair: pair[0])[1] if fitting else self.default


def names_by_id(keys: Mapping[str, PublicKey]) -> dict[str, str]:
    """Return the first name of each key, by its id."""
    return {key.id: name for name, key in sorted(keys.items(), reverse=True)}


def policy_file() -> Path:
    """Return where the user's trust policy is, if there is one."""
    named = os.environ.get(VARIABLE)
    return local_path(named) if named else config_folder() / FILE


def load_policy() -> Policy | None:
    """Return the user's trust policy; None if there is none.

    Raises :class:`PolicyError` if it is malformed, if others can write it, or if the file that
    ``DEEPCHEM_TRUST`` or a link names does not exist, and :class:`HubUnavailable` if it cannot be
    read.
    """
    path = policy_file()
    try:
        data = read_unshared(path, MAX_BYTES, PolicyError)
    except FileMissing as error:
        if os.environ.get(VARIABLE):
            raise PolicyError(
                f"{VARIABLE} names {path}, which does not exist.",
                path=str(path),
                hint=f"Write the trust policy there, or unset {VARIABLE}.",
            ) from error
        if os.path.lexists(path):
            raise PolicyError(
                f"{path} is a link to a file that does not exist.",
                path=str(path),
                hint="Write the trust policy there, or remove the link.",
            ) from error
        return None
    return parse_policy(data, path, list_keys())


def parse_policy(data: bytes, path: Path, known: Mapping[str, PublicKey]) -> Policy:
    """Return the policy in the content ``data`` of the file ``path``.

    ``known`` are the user's keys by name, to which the policy can add. Raises
    :class:`PolicyError` for anything that it does not understand, naming it.
    """
    try:
        content = tomllib.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise _wrong(path, f"it is not valid TOML: {error}") from error
    _check_keys(path, "the file", content, _TABLES)
    if content.get("version") != VERSION or type(content["version"]) is not int:
        raise _wrong(path, f"it must say version = {VERSION}")
    keys = dict(known)
    for name, text in _table(path, content, "keys").items():
        keys[name] = _key(path, name, text)
    rules: dict[Place, Rule] = {}
    for where, entry in _table(path, content, "hubs").items():
        try:
            place = place_of(where, absolute=True)
        except (HubError, ValueError) as error:
            raise _wrong(path, f"{where!r} is not the place of a hub: {error}") from error
        if place in rules:
            raise _wrong(path, f"{where!r} and {rules[place].where!r} are the same place")
        rules[place] = _rule(path, where, entry, keys)
    default = content.get("default")
    return Policy(
        path,
        tuple(rules.items()),
        None if default is None else _rule(path, "default", default, keys),
        keys,
    )


def place_of(where: str, *, absolute: bool = False) -> Place:
    """Return the place of a path or URL, equal for equal places however they are written.

    Links in a path are followed. With ``absolute``, a path must begin at the root or with ``~``.
    Raises ``ValueError``, which says why, for a URL that servers and their clients read differently
    (``..``, ``//``, ``%2F``, line breaks): a stranger could write the address of a place of their
    own so that it looks like a trusted one. Raises the errors of :func:`local_path` too.
    """
    scheme = scheme_of(where)
    if scheme in ("", "file"):
        if absolute and not (where.startswith("~") or scheme or Path(where).is_absolute()):
            raise ValueError("it is neither an absolute path nor a URL")
        path = os.path.normcase(os.path.realpath(local_path(where)))
        return "", Path(path).parts
    if not where.isprintable() or {*"?#\\"} & {*where}:
        raise ValueError("it contains characters that do not belong there")
    parts = urlsplit(where)
    host = parts.netloc.lower()
    if not host.isascii():
        raise ValueError("its host is not written in ASCII (xn--)")
    path = parts.path.removeprefix("/").rstrip("/")
    segments = path.split("/") if path else []
    if scheme == "hf":  # which is one server, where case makes no difference
        segments = [segment for segment in (host, *map(str.lower, segments)) if segment]
        host = ""
        if segments[:1] == ["models"]:
            del segments[0]
    elif not (host or segments) or (scheme in _PORTS and not parts.hostname):
        raise ValueError("it has no host")
    if scheme in _PORTS:  # elsewhere a percent sign is one
        host = f"{str(parts.hostname).rstrip('.')}:{parts.port or _PORTS[scheme]}"
        segments = [unquote(segment) for segment in segments]
    if any(segment in ("", ".", "..") or "/" in segment for segment in segments):
        raise ValueError("its path has empty or relative parts")
    return f"{scheme}://{host}", tuple(segments)


def _rule(path: Path, where: str, entry: Any, keys: Mapping[str, PublicKey]) -> Rule:
    if type(entry) is not dict:
        raise _wrong(path, f"{where!r} is not a table")
    _check_keys(path, repr(where), entry, _RULE)
    if "require_signature" not in entry:
        raise _wrong(path, f"{where!r} does not say require_signature")
    wanted = entry["require_signature"]
    if wanted is False:
        if "threshold" in entry:
            raise _wrong(path, f"{where!r} has a threshold, but needs no signature")
        return Rule(where, {}, 0)
    if type(wanted) is not list or not wanted or not all(type(one) is str for one in wanted):
        raise _wrong(path, f"require_signature of {where!r} is neither a list of keys nor false")
    by_id = {key.id: key for key in keys.values()}
    required: dict[str, PublicKey] = {}
    for one in wanted:
        key = keys.get(one) or by_id.get(one)
        if key is None:
            raise PolicyError(
                f"The trust policy {path} requires a key that is not known: {one!r}.",
                path=str(path),
                hint="Add it: dc-hub key trust FILE.pub --name NAME; or to its table [keys].",
            )
        required[key.id] = key
    threshold = entry.get("threshold", 1)
    if type(threshold) is not int or not 1 <= threshold <= len(required):
        raise _wrong(path, f"threshold of {where!r} is not from 1 to its {len(required)} keys")
    return Rule(where, required, threshold)


def _key(path: Path, name: str, text: Any) -> PublicKey:
    try:
        if type(text) is not str:
            raise KeyFileError(name)
        return PublicKey.from_text(text, what=check_key_name(name))
    except KeyFileError as error:
        raise _wrong(path, f"the key {name!r} is not a name and a public key") from error


def _table(path: Path, content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    table: Any = content.get(name, {})
    if type(table) is not dict:
        raise _wrong(path, f"{name!r} is not a table")
    return dict(table)


def _check_keys(path: Path, what: str, table: Mapping[str, Any], known: frozenset[str]) -> None:
    unknown = sorted(table.keys() - known)
    if unknown:
        raise _wrong(path, f"{what} has {unknown[0]!r}, which is not one of {sorted(known)}")


def _wrong(path: Path, why: str) -> PolicyError:
    return PolicyError(
        f"The trust policy {path} is malformed: {why}.",
        path=str(path),
        hint="Correct it; as long as it is malformed, no model is loaded.",
    )
