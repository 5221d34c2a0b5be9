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

_FILE: Final = re.compile(
    r"file:(?://(?:localhost)?(?=/)|(?!//))(/(?:[^%?#]|%[0-9a-f]{2})*)", re.IGNORECASE | re.DOTALL
)


def is_url(text: str) -> bool:
    """Tell whether ``text`` begins with a URL scheme and a slash."""
    return _SCHEME.match(text) is not None


def local_path(where: str | os.PathLike[str]) -> Path:
    """Return the absolute path that a path or a ``file://`` URL names; ``~`` is expanded.

    Percent escapes of a URL are decoded once, to bytes. Raises :class:`HubUnavailable` for a URL of
    another scheme or host and for a malformed one, and :class:`UnsafePath` for a path that cannot
    be.
    """
    text = os.fspath(where)
    if isinstance(where, Path) and where.is_absolute() and "\0" not in text:
        return where
    scheme = _SCHEME.match(text)
    if scheme is not None:
        text = _path_of_url(text, scheme[1])
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
    if scheme.lower() != "file":
        raise HubUnavailable(
            f"{scheme}:// is not supported: {text!r}.",
            path=text,
            hint="Give a path on this machine, or its file:// URL.",
        )
    found = _FILE.fullmatch(text)
    if found is None:
        raise HubUnavailable(
            f"{text!r} is not the URL of a path on this machine.",
            path=text,
            hint="Write file:///path, with '?', '#' and '%' as %3F, %23 and %25; "
            "pathlib.Path(...).as_uri() does.",
        )
    if os.name == "nt":
        return url2pathname(found[1])
    return os.fsdecode(unquote_to_bytes(os.fsencode(found[1])))
