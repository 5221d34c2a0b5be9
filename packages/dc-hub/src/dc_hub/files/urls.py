"""Paths and URLs that name a place on this machine."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final
from urllib.parse import unquote_to_bytes
from urllib.request import url2pathname

from dc_hub.errors import HubUnavailable, UnsafePath

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")
"""A scheme has two or more characters: ``C:/`` is a drive. ``Path`` drops the second slash."""

_LIKE_URL: Final = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]+:|[^/]*://")
"""Forms that a relative path must not have: ``s3:bucket``, ``://bucket``."""

_FILE: Final = re.compile(
    r"file:(?://(?:localhost)?(?=/)|(?!//))(/(?:[^%?#]|%[0-9a-f]{2})*)", re.IGNORECASE | re.DOTALL
)

_LONGEST: Final = 1000
"""The length from which on messages of other libraries are cut."""


def is_url(text: str) -> bool:
    """Tell whether ``text`` begins with a URL scheme and a slash."""
    return _SCHEME.match(text) is not None


def scheme_of(where: str | os.PathLike[str]) -> str:
    """Return the URL scheme that ``where`` begins with, in lower case; empty for a path."""
    scheme = _SCHEME.match(where) if isinstance(where, str) else None
    return scheme[1].lower() if scheme else ""


def without_secrets(url: str) -> str:
    """Return ``url`` as messages may show it: without user, password, query and fragment."""
    return re.split("[?#]", re.sub("(:/*|//).*@", r"\1", url, flags=re.DOTALL), maxsplit=1)[0]


def hide_secrets(message: str) -> str:
    """Return the message of another library as one line of limited length.

    URLs in it lose user, password and query, which may be a signature.
    """
    line = " ".join(message.split())[:_LONGEST]
    return re.sub(r"\?[^\s'\"`]*", "", re.sub(r"//[^\s/'\"`]*@", "//", line))


def local_path(where: str | os.PathLike[str]) -> Path:
    """Return the absolute path that a path or a ``file://`` URL names; ``~`` is expanded.

    Percent escapes of a URL are decoded once, to bytes. Raises :class:`HubUnavailable` for a URL of
    another scheme or host, for a malformed one and for a text that looks like one, and
    :class:`UnsafePath` for a path that cannot be.
    """
    given: object = where
    text = os.fspath(where) if isinstance(given, str | os.PathLike) else ""
    if not text:
        raise UnsafePath(
            f"{where!r} is not a path.", path=repr(where), hint="Give a str or a pathlib.Path."
        )
    if isinstance(where, Path) and where.is_absolute() and "\0" not in text:
        return where
    scheme = _SCHEME.match(text)
    if scheme is not None:
        text = _path_of_url(text, scheme[1])
    elif isinstance(where, str) and _LIKE_URL.match(text):
        raise HubUnavailable(
            f"{without_secrets(text)!r} looks like a URL, but not like one that is supported.",
            path=without_secrets(text),
            hint="Give a path or its file:// URL; a path with a colon begins with './'.",
        )
    if "\0" in text:
        raise UnsafePath(f"{text!r} contains a null character.", path=text)
    path = Path(text)
    try:
        return (path.expanduser() if text[:1] == "~" and scheme is None else path).absolute()
    except RuntimeError as error:
        raise UnsafePath(
            f"{text!r} names the home directory of an unknown user.", path=text
        ) from error


def _path_of_url(text: str, scheme: str) -> str:
    shown = without_secrets(text)
    if scheme.lower() != "file":
        raise HubUnavailable(
            f"{scheme}:// is not supported: {shown!r}.",
            path=shown,
            hint="Give a path on this machine, or its file:// URL.",
        )
    found = _FILE.fullmatch(text)
    if found is None:
        raise HubUnavailable(
            f"{shown!r} is not the URL of a path on this machine.",
            path=shown,
            hint="Write file:///path, with '?', '#' and '%' as %3F, %23 and %25; "
            "pathlib.Path(...).as_uri() does.",
        )
    if os.name == "nt":
        return url2pathname(found[1])
    return os.fsdecode(unquote_to_bytes(os.fsencode(found[1])))
