"""The proxy for a URL, from the environment variables that other programs use.

``HTTP_PROXY``, ``HTTPS_PROXY`` and ``ALL_PROXY`` name proxies by the scheme of the URL, and
``NO_PROXY`` the hosts that are reached without one; on macOS and Windows the system's settings
count if the environment says nothing.
"""

from __future__ import annotations

import urllib.request
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit, urlunsplit

from urllib3.util import make_headers

from dc_hub.errors import HubUnavailable
from dc_hub.files.urls import without_secrets

_SCHEMES: Final = ("http", "https")


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy: its URL without user and password, and those as a header (empty: none)."""

    url: str
    authorization: str = field(default="", repr=False)


def proxy_of(url: str) -> Proxy | None:
    """Return the proxy through which ``url`` is to be reached; None: directly.

    Raises :class:`HubUnavailable` if it is not the URL of a proxy of HTTP.
    """
    parts = urlsplit(url)
    if not parts.hostname or urllib.request.proxy_bypass(parts.netloc):
        return None
    named = urllib.request.getproxies()
    given = named.get(parts.scheme) or named.get("all")
    return _parsed(given) if given else None


def _parsed(given: str) -> Proxy:
    try:
        parts = urlsplit(given if "://" in given else f"http://{given}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in _SCHEMES:
        shown = without_secrets(given)
        raise HubUnavailable(
            f"{shown!r} is not a proxy that can be used.",
            path=shown,
            hint="Set HTTP_PROXY and HTTPS_PROXY to http://host:port, or NO_PROXY to the host of "
            "the hub.",
        )
    shown_host = f"[{host}]" if ":" in host else host
    place = shown_host if port is None else f"{shown_host}:{port}"
    authorization = ""
    if parts.username is not None:
        user, password = unquote(parts.username), unquote(parts.password or "")
        headers = make_headers(proxy_basic_auth=f"{user}:{password}")
        authorization = headers["proxy-authorization"]
    return Proxy(urlunsplit((parts.scheme, place, "", "", "")), authorization)
