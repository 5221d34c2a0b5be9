"""Hubs on web servers: any that serves a directory of files will do.

The server is not trusted: what it sends is bounded, has to come in time, and is compared with
digests by those who asked for it.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final, TypeVar
from urllib.parse import quote, urljoin, urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from dc_core import hookimpl
from dc_core.errors import ParameterError
from dc_hub.errors import FileMissing, HubUnavailable, LimitExceeded
from dc_hub.files.urls import hide_secrets, without_secrets
from dc_hub.format.manifest import CHUNK
from dc_hub.remote.hub import RemoteHub
from dc_hub.remote.proxies import Proxy, proxy_of
from dc_hub.remote.retrying import TryAgain, persist, persist_stream
from dc_hub.remote.store import RangesUnsupported, is_range, without_first

T = TypeVar("T")

CONNECT: Final = 10.0
"""Seconds that a connection may take."""

READ: Final = 30.0
"""Seconds between two pieces of an answer."""

GRACE: Final = 60.0
SLOWEST: Final = 50_000
"""Bytes a second: 16 MiB of an answer, or all if it is less, may take ``GRACE`` seconds, and their
number divided by this."""

_REDIRECTS: Final = 5
_PIECE: Final = 1 << 19
_AGAIN: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_MOVED: Final = frozenset({301, 302, 303, 307, 308})
_DENIED: Final = frozenset({401, 403})
_PROXY_DENIED: Final = 407
_PASSING: Final = (TryAgain, HTTPError, OSError)


@hookimpl
def dc_open_hub(url: str, options: Mapping[str, Any]) -> RemoteHub:
    """Return the hub at ``url``; ``headers`` are sent with each request to its host alone."""
    unknown = options.keys() - {"headers"}
    if unknown:
        raise ParameterError(
            f"A hub on a web server has no option {min(unknown)!r}.", hint="It takes headers=."
        )
    return RemoteHub(HTTPStore(url, options.get("headers") or {}))


class _Timely(HTTPConnection):
    """A connection on which the headers of an answer have to come within ``GRACE`` seconds."""

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    def getresponse(self) -> Any:
        deadline = time.monotonic() + GRACE
        timer = threading.Timer(GRACE, _end, (self.sock,))
        timer.daemon = True
        timer.start()
        try:
            answer = super().getresponse()
        finally:
            timer.cancel()
        if time.monotonic() > deadline:  # and the headers are cut
            answer.close()
            raise TimeoutError(f"the headers of the answer took more than {GRACE:g} s")
        return answer


class _TimelySecure(_Timely, HTTPSConnection):
    """The same, by TLS."""


class _HTTPPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Timely


class _HTTPSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TimelySecure


def _connections(proxy: Proxy | None) -> urllib3.PoolManager:
    """Return a pool of connections that are made through ``proxy``, if there is one."""
    timeout = urllib3.Timeout(connect=CONNECT, read=READ)
    if proxy is None:
        pool = urllib3.PoolManager(maxsize=8, timeout=timeout, retries=False)
    else:
        headers = {"proxy-authorization": proxy.authorization} if proxy.authorization else None
        pool = urllib3.ProxyManager(
            proxy.url, proxy_headers=headers, maxsize=8, timeout=timeout, retries=False
        )
    pool.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}
    return pool


class HTTPStore:
    """The files below a URL. ``headers`` go to its host alone, whatever it redirects to."""

    def __init__(self, url: str, headers: Mapping[str, str] | None = None) -> None:
        shown = without_secrets(url)
        if _host(url) is None or "@" in urlsplit(url).netloc or {"?", "#"} & set(url):
            raise HubUnavailable(
                f"{shown!r} is not the URL of a hub.",
                path=shown,
                hint="Write https://host/path, and credentials as headers=.",
            )
        self.url = url.rstrip("/")
        self._headers = _checked(headers or {})
        self._pools: dict[tuple[int, Proxy | None], urllib3.PoolManager] = {}

    def read(self, path: str, limit: int) -> bytes:
        """Return a whole file; see :class:`Store`."""
        return self._read_whole(path, limit)[0]

    def _read_whole(
        self, path: str, limit: int, query: str = ""
    ) -> tuple[bytes, Mapping[str, str]]:
        """Return a whole file, or the answer to a ``query`` at its path, and the headers."""

        def attempt() -> tuple[bytes, Mapping[str, str]]:
            with self._answer(path, {}, query) as answer:
                self._check_whole(answer, path)
                size = answer.length_remaining or 0  # what the header says, if that is a number
                data = b"" if size > limit else b"".join(timely(answer.read1, limit + 1))
                if max(size, len(data)) > limit:
                    raise LimitExceeded(
                        f"{self._shown(path)} has more than the {limit} bytes allowed.",
                        path=self._shown(path),
                    )
                if len(data) < size:
                    raise TryAgain(f"{len(data)} of {size} bytes came")
                return data, answer.headers

        return self._persist(path, attempt)

    def stream(
        self, path: str, size: int, start: int = 0, stop: int | None = None
    ) -> Generator[bytes]:
        """Yield a file, or a part of it, in pieces; see :class:`Store`."""
        end = size if stop is None else stop
        whole = (start, end) == (0, size)

        def pieces(done: int) -> Generator[bytes]:
            first = start + done
            if first == end:
                return
            wanted = {} if whole and not done else {"Range": f"bytes={first}-{end - 1}"}
            with self._answer(path, wanted) as answer:
                if not wanted:
                    self._check_whole(answer, path)
                elif answer.status == 206:
                    told = answer.headers.get("Content-Range", "")
                    if not is_range(told, first, end, size):
                        raise self._nonsense(path, f"the range {told!r} for {wanted['Range']!r}")
                elif not whole:
                    raise RangesUnsupported
                before = first if answer.status == 200 else 0
                left = end - first
                if answer.length_remaining not in (None, before + left):
                    raise self._nonsense(
                        path, f"{answer.length_remaining} bytes for {before + left}"
                    )
                for piece in without_first(before, timely(answer.read1, before + left)):
                    left -= len(piece)
                    yield piece
            if left:
                raise TryAgain(f"{end - start - left} of {end - start} bytes came")

        try:
            yield from persist_stream(pieces, _PASSING)
        except _PASSING as error:
            raise self._failed(path, error) from error

    def _persist(self, path: str, attempt: Callable[[], T]) -> T:
        """Call ``attempt``, again if it fails in passing, and return its result."""
        try:
            return persist(attempt, _PASSING)
        except _PASSING as error:
            raise self._failed(path, error) from error

    def _pool(self, url: str) -> urllib3.PoolManager:
        """Return the connections by which ``url`` is reached: directly, or through a proxy.

        A process that was forked has its own: with those of its parent, answers would be mixed up.
        No lock is needed, which another thread could hold when the process is forked.
        """
        key = os.getpid(), proxy_of(url)
        if key not in self._pools:
            self._pools.setdefault(key, _connections(key[1]))
        return self._pools[key]

    @contextmanager
    def _answer(self, path: str, headers: Mapping[str, str], query: str = "") -> Iterator[Any]:
        """Ask for a file, follow redirects, and yield the answer, whose body is not read yet."""
        url = f"{self.url}/{quote(path)}" + (f"?{query}" if query else "")
        for _ in range(_REDIRECTS + 1):
            own = self._headers if _host(url) == _host(self.url) else {}
            answer = self._pool(url).request(
                "GET",
                url,
                headers={"Accept-Encoding": "identity", **own, **headers},
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
            try:
                if answer.status not in _MOVED:
                    self._check(answer, path)
                    yield answer
                    return
                url = self._redirected(url, answer.headers.get("Location", ""), path)
            finally:
                # A connection with an answer that was not read to its end cannot be used again; one
                # without content has to be read too.
                answer.drain_conn() if answer.length_remaining == 0 else answer.close()
        raise self._nonsense(path, f"more than {_REDIRECTS} redirects")

    def _redirected(self, url: str, location: str, path: str) -> str:
        """Return where a redirect leads; refuse places that it has no business to name."""
        try:
            target = urljoin(url, location)
        except ValueError as error:
            raise self._nonsense(path, "a redirect to no URL") from error
        before, after, shown = _host(self.url), _host(target), without_secrets(target)
        if after is None or "@" in urlsplit(target).netloc:
            raise self._nonsense(path, f"a redirect to {shown!r}")
        if before is not None and before[0] == "https" != after[0]:
            raise self._nonsense(path, f"a redirect to {shown!r}")
        if before is not None and _is_internal(after[1]) and not _is_internal(before[1]):
            raise self._nonsense(path, f"a redirect into this network, {shown!r}")
        return target

    def _check(self, answer: Any, path: str) -> None:
        shown = self._shown(path)
        if answer.status in (404, 410):
            raise FileMissing(f"{shown} does not exist.", path=shown)
        if answer.status in _DENIED:
            raise HubUnavailable(
                f"{shown}: the server denies access ({answer.status}).",
                path=shown,
                hint="Give credentials: open_hub(url, headers={'Authorization': ...}).",
            )
        if answer.status == _PROXY_DENIED:
            raise HubUnavailable(
                f"{shown}: the proxy denies access ({answer.status}).",
                path=shown,
                hint="Give its user and password: set HTTP_PROXY and HTTPS_PROXY to "
                "http://user:password@host:port.",
            )
        if answer.status in _AGAIN:
            pause = _seconds(answer.headers.get("Retry-After", ""))
            when = f" and asks to wait {pause:g} s" if pause else ""
            raise TryAgain(f"the server answers {answer.status}{when}", pause)
        if answer.status not in (200, 206):
            raise self._nonsense(path, f"the status {answer.status}")
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            raise self._nonsense(path, f"{answer.headers['Content-Encoding']!r} content")

    def _check_whole(self, answer: Any, path: str) -> None:
        if answer.status != 200:
            raise self._nonsense(path, "a part of the file, which was not asked for")

    def _shown(self, path: str) -> str:
        return f"{self.url}/{path}"

    def _nonsense(self, path: str, what: str) -> HubUnavailable:
        return HubUnavailable(
            f"{self._shown(path)}: the server answered with {what}.",
            path=self._shown(path),
            hint="Check that the URL is that of a hub.",
        )

    def _failed(self, path: str, error: Exception) -> HubUnavailable:
        return HubUnavailable(
            f"{self._shown(path)} cannot be read: {hide_secrets(str(error))}.",
            path=self._shown(path),
            hint="Check the connection and the URL, and try again: what was fetched is kept.",
        )


def _end(connection: socket.socket) -> None:
    """End a connection, so that those who wait for something from it do not wait any longer."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _seconds(text: str) -> float:
    """Return the seconds that a ``Retry-After`` header gives; 0 for none, and for a date."""
    return float(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0.0


def timely(read: Callable[[int], bytes], limit: int) -> Iterator[bytes]:
    """Yield what ``read`` returns, up to ``limit`` bytes, of which each 16 MiB come in time.

    ``read`` returns what has come without waiting for more, at most as much as it is told. The time
    that pieces are worked on does not count.
    """
    for start in range(0, limit, CHUNK):
        left = min(CHUNK, limit - start)
        patience = GRACE + left / SLOWEST
        while left:
            if patience < 0:
                raise TryAgain(f"the server is slower than {SLOWEST} bytes a second")
            before = time.monotonic()
            piece = read(min(_PIECE, left))
            patience -= time.monotonic() - before
            if not piece:
                return
            left -= len(piece)
            yield piece


def _host(url: str) -> tuple[str, str, int] | None:
    """Return the scheme, host and port of a web server's URL; None for any other URL."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return None
    return parts.scheme, parts.hostname, port or (443 if parts.scheme == "https" else 80)


def _checked(headers: object) -> dict[str, str]:
    """Return ``headers`` if they can be sent; no message shows their content."""
    if not isinstance(headers, Mapping) or not all(
        isinstance(text, str) and text.isascii() and text.isprintable()
        for header in headers.items()
        for text in header
    ):
        raise ParameterError(
            "The headers= of a hub are no texts by name.",
            hint="Give a dict such as {'Authorization': 'Bearer ...'}, without line breaks.",
        )
    return dict(headers)


def _is_internal(host: str) -> bool:
    """Tell whether a host is this machine or in its own network, as far as its name says."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith((".localhost", ".local", ".internal"))
    return not address.is_global
