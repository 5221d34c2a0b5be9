"""Serve a hub on this machine: its pages for people, and its files for ``from_pretrained``.

Nothing can be written. A file is not looked up by its path: a path names a model, a revision and a
file of its manifest, and the hub is asked for those, so that no path leads anywhere else. What is
sent was verified, chunk by chunk, before it is sent.

Other programs of this machine can connect, and so can pages in its browsers. A page of another site
that makes its own name resolve to this machine (DNS rebinding) sends that name as ``Host``, and is
refused; one that does not cannot read the answers, which allow no other origin.
"""

from __future__ import annotations

import logging
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain
from typing import Any, Final, Self
from urllib.parse import unquote_to_bytes

from dc_hub.errors import (
    AmbiguousRevision,
    FileMissing,
    HubError,
    ModelNotFound,
    RevisionNotFound,
    UnsafePath,
)
from dc_hub.files.paths import check_any_name, check_tag
from dc_hub.format import strict_json
from dc_hub.format.filenames import MANIFEST, SIGNATURES
from dc_hub.format.manifest import CHUNK, Entry
from dc_hub.hubs.catalogue import catalogue
from dc_hub.hubs.contract import HubLike, StoredModel, is_digest
from dc_hub.hubs.fetching import check_trust
from dc_hub.hubs.index import FILE, index_bytes
from dc_hub.hubs.opening import open_hub
from dc_hub.site.links import FOLDER, name_of
from dc_hub.site.overview import Overview, overview
from dc_hub.site.pages import Pages

HOST: Final = "127.0.0.1"
PORT: Final = 8000

MAX_CONNECTIONS: Final = 32
"""So many connections are answered at a time; each may hold one chunk in memory."""

IDLE: Final = 30.0
"""Seconds that a connection may take to send a request, or to receive the next ``_SENT`` bytes."""

FRESH: Final = 5.0
"""Seconds for which the list of all models is not read again."""

_HTTP: Final = 80
_SENT: Final = 1 << 16
_NOT_FOUND: Final = (ModelNotFound, RevisionNotFound, AmbiguousRevision, FileMissing, UnsafePath)
_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_HTML: Final = "text/html; charset=utf-8"
_JSON: Final = "application/json"
_BYTES: Final = "application/octet-stream"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """The body of an answer: ``read(start, stop)`` yields a part of its ``size`` bytes."""

    kind: str
    size: int
    read: Callable[[int, int], Iterator[bytes]]

    @classmethod
    def of(cls, kind: str, data: bytes) -> Self:
        """Return the answer that is ``data``."""
        return cls(kind, len(data), lambda start, stop: iter((data[start:stop],)))


class HubServer(ThreadingHTTPServer):
    """A server of a hub on the loopback interface; ``port`` 0 takes a free one.

    Use it as a context manager, and call ``serve_forever``. Raises ``OSError`` if the port is
    taken.
    """

    daemon_threads = True
    request_queue_size = 128  # of connections that wait; a client opens several at once

    def __init__(self, hub: HubLike = None, port: int = PORT, *, title: str = "Models") -> None:
        self.hub = open_hub(hub)
        self._free = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._reading = threading.Lock()
        self._known: tuple[float, Overview] | None = None
        super().__init__((HOST, port), _Handler)
        self.url = f"http://{HOST}:{self.server_port}/"
        names = (HOST, "localhost")
        self.hosts = {f"{name}:{self.server_port}" for name in names}
        if self.server_port == _HTTP:
            self.hosts.update(names)
        self.pages = Pages(self.hub, title, self.url)

    def answer(self, path: str) -> Answer:
        """Return the content at ``path``. Raises :class:`HubError`; ``FileMissing`` without one."""
        match _segments(path):
            case [""] | ["index.html"]:
                return Answer.of(_HTML, self.pages.index(self._overview()))
            case [file] if file == FILE:
                with self._reading:
                    return Answer.of(_JSON, index_bytes(catalogue(self.hub)))
            case [folder, page] if folder == FOLDER and page.endswith(".html"):
                name = name_of(page)
                self.hub.revisions(name)
                return Answer.of(_HTML, self._page(name))
            case [*name, "refs", tag] if name and tag.endswith(".json"):
                return Answer.of(_JSON, self._tag("/".join(name), tag.removesuffix(".json")))
            case [*name, "revisions", digest, file] if name and is_digest(digest):
                return self._file("/".join(name), digest, file)
        raise FileMissing(f"There is nothing at {path!r}.", path=path)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own, when fewer than the maximum are busy."""
        self._free.acquire()
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, and let the next one in."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log the failure of a connection; a browser that has left is not an error."""
        logger.info("%s: %r", client_address, sys.exc_info()[1])

    def _overview(self) -> Overview:
        with self._reading:
            now = time.monotonic()
            if self._known is None or now - self._known[0] > FRESH:
                self._known = now, overview(self.hub)
            return self._known[1]

    def _page(self, name: str) -> bytes:
        known = self._overview()
        try:
            return self.pages.model(name, known)
        except HubError as error:
            return self.pages.unreadable(name, error)

    def _tag(self, name: str, tag: str) -> bytes:
        revision = self.hub.resolve(check_any_name(name), check_tag(tag)).revision
        return strict_json.dumps({"revision": revision})

    def _file(self, name: str, digest: str, file: str) -> Answer:
        model = self.hub.resolve(check_any_name(name), digest)
        if file in SIGNATURES:
            signatures = self.hub.signatures(model)
            if file in signatures:
                return Answer.of(_JSON, signatures[file])
            raise FileMissing(f"{name} has no {file}.", path=file)
        check_trust(self.hub, model)
        manifest = self.hub.manifest(model)
        if file == MANIFEST:
            return Answer.of(_JSON, manifest.to_bytes())
        entry = manifest.entry(file)
        if entry is None:
            raise FileMissing(f"{name} has no {file}.", path=file)
        kind = _JSON if file.endswith(".json") else _BYTES
        return Answer(kind, entry.size, lambda start, stop: self._read(model, entry, start, stop))

    def _read(self, model: StoredModel, entry: Entry, start: int, stop: int) -> Iterator[bytes]:
        while start < stop:
            index, offset = divmod(start, CHUNK)
            piece = self.hub.read_chunk(model, entry, index)[offset : offset + stop - start]
            yield piece
            start += len(piece)


class _Handler(BaseHTTPRequestHandler):
    """Answers one GET or HEAD, and refuses everything else.

    A connection has one request, so that no idle one takes the place of others.
    """

    server_version = "dc-hub"
    sys_version = ""
    timeout = IDLE
    server: HubServer

    def do_GET(self) -> None:
        self._respond(body=True)

    def do_HEAD(self) -> None:
        self._respond(body=False)

    def _refuse(self) -> None:
        self.send_response(405)
        self.send_header("Allow", "GET, HEAD")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _refuse

    def _respond(self, *, body: bool) -> None:
        hosts = self.headers.get_all("Host", [])
        if len(hosts) != 1 or hosts[0] not in self.server.hosts:
            self.send_error(421, "Misdirected Request", "This server answers to its own name only.")
            return
        if self.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in self.headers:
            self.send_error(400, "Bad Request", "A request here has no body.")
            return
        try:
            answer = self.server.answer(self.path.partition("?")[0])
            part = _part(self.headers.get("Range"), answer.size)
            if part is None:
                self._begin(416, answer.kind, 0, {"Content-Range": f"bytes */{answer.size}"})
                return
            start, stop = part
            pieces = answer.read(start, stop)
            # The first piece is read and verified before the answer says that all is well.
            first = next(pieces, b"") if body else b""
            if (start, stop) == (0, answer.size):
                self._begin(200, answer.kind, answer.size, {})
            else:
                where = f"bytes {start}-{stop - 1}/{answer.size}"
                self._begin(206, answer.kind, stop - start, {"Content-Range": where})
        except _NOT_FOUND:
            self.send_error(404, "Not Found")
            return
        except HubError as error:
            logger.warning("%s: %s", self.path, error)
            self.send_error(500, "Internal Server Error", "The hub cannot answer; see its log.")
            return
        self._send(first, pieces if body else iter(()))

    def _send(self, first: bytes, pieces: Iterator[bytes]) -> None:
        """Send the pieces; if one fails, the client misses the rest, since it knows the length."""
        try:
            for piece in chain((first,), pieces):
                # The time limit of a socket is that of a whole call, however long it is.
                for start in range(0, len(piece), _SENT):
                    self.wfile.write(memoryview(piece)[start : start + _SENT])
        except HubError as error:
            logger.warning("%s: %s", self.path, error)

    def _begin(self, status: int, kind: str, length: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        self.send_header("Accept-Ranges", "bytes")
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def end_headers(self) -> None:
        """Send the headers that every answer has."""
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("X-Frame-Options", "DENY")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Log a request, which the client chose, where a terminal does not show it by default."""
        logger.debug("%s: %s", self.client_address[0], ascii(format % args))


def _segments(path: str) -> list[str]:
    """Return the parts of the path of a request, decoded once. Raises :class:`FileMissing`."""
    try:
        text = unquote_to_bytes(path.encode("latin-1")).decode("utf-8")
    except UnicodeError:
        text = ""
    if not text.startswith("/") or not text.isprintable() or "\\" in text:
        raise FileMissing(f"There is nothing at {path!r}.", path=path)
    return text[1:].split("/")


def _part(header: str | None, size: int) -> tuple[int, int] | None:
    """Return the bytes ``[start, stop)`` that a request wants of ``size``; None if it has none.

    A header that is malformed, or names several ranges, is ignored, as RFC 9110 allows.
    """
    found = _RANGE.fullmatch(header) if header else None
    if found is None or not any(found.groups()):
        return 0, size
    first, last = found.groups()
    if not first:
        return (max(size - int(last), 0), size) if int(last) and size else None
    start, stop = int(first), min(int(last) + 1, size) if last else size
    if last and int(last) < int(first):
        return 0, size
    return (start, stop) if start < size else None
