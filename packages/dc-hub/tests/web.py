"""A web server on loopback that serves a directory, by ranges, and misbehaves when told to."""

from __future__ import annotations

import gzip
import re
import socket
import threading
import time
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote


class Server:
    """What the server serves, what it was asked for, and what it does wrong.

    ``faults`` maps a part of a path to a function of the handler and the content, which answers in
    the place of the server; it returns True if it has.
    """

    def __init__(self, root):
        self.root = root
        self.ranges = True
        self.faults = {}
        self.requests = []
        self.sent = 0
        self.url = ""

    @property
    def counts(self):
        return Counter(path for path, _, _ in self.requests)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        web = self.server.web
        path = unquote(self.path.lstrip("/"))
        wanted = self.headers.get("Range")
        web.requests.append((path, wanted, dict(self.headers)))
        file = web.root / path
        data = file.read_bytes() if file.is_file() else None
        for part, fault in web.faults.items():
            if part in path and fault(self, data):
                return
        if data is None:
            self.answer(404, b"nothing here")
        else:
            self.send(data)

    def send(self, data, end=None):
        """Answer with a file, or the part that is wanted; break off before its byte ``end``."""
        wanted = self.headers.get("Range") if self.server.web.ranges else None
        status, start, stop, told = 200, 0, len(data), {}
        if wanted:
            first, last = map(int, re.fullmatch(r"bytes=(\d+)-(\d+)", wanted).groups())
            status, start, stop = 206, first, min(last + 1, len(data))
            told = {"Content-Range": f"bytes {start}-{stop - 1}/{len(data)}"}
        self.answer(status, data[start:stop][: end and end - start], told, length=stop - start)
        if end and end < stop:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_WR)

    def answer(self, status, body, headers=None, length=None):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            self.close_connection = True
        self.server.web.sent += len(body)


@contextmanager
def serve(root):
    """Serve the directory ``root`` and yield the server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.web = Server(root)
    server.web.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server.web
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def status(code):
    def fault(handler, data):
        handler.answer(code, b"no")
        return True

    return fault


def times(count, fault):
    """Misbehave for the first ``count`` requests only."""
    left = [count]

    def some(handler, data):
        left[0] -= 1
        return left[0] >= 0 and fault(handler, data)

    return some


def page(handler, data):
    handler.answer(200, b"<html>Please log in</html>", {"Content-Type": "text/html"})
    return True


def gzipped(handler, data):
    handler.answer(200, gzip.compress(data), {"Content-Encoding": "gzip"})
    return True


def flipped(handler, data):
    handler.answer(200, bytes([data[0] ^ 1]) + data[1:])
    return True


def other_range(handler, data):
    told = {"Content-Range": f"bytes 0-9/{len(data)}"}
    handler.answer(206, data[:10], told)
    return True


def chunked(code, headers=None):
    """Answer without a length: the body comes in chunks, the last of which is empty."""

    def fault(handler, data):
        if data is None:
            return False
        handler.send_response(code)
        for name, value in {**(headers or {}), "Transfer-Encoding": "chunked"}.items():
            handler.send_header(name, value)
        handler.end_headers()
        try:
            handler.wfile.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data))
        except OSError:
            handler.close_connection = True
        return True

    return fault


def nonsense_length(handler, data):
    handler.answer(200, data, length="nonsense")
    handler.close_connection = True
    return True


def cut(handler, data):
    """Promise everything, send half and close the connection."""
    handler.answer(200, data[: len(data) // 2], length=len(data))
    handler.close_connection = True
    handler.connection.close()
    return True


def broken_at(end):
    """Promise what was asked for, and close the connection before the byte ``end`` of the file."""

    def fault(handler, data):
        start = int((handler.headers["Range"] or "bytes=0-")[6:].split("-")[0])
        if start < end:
            handler.send(data, end)
        return start < end

    return fault


def endless(handler, data):
    handler.send_response(200)
    handler.send_header("Connection", "close")
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(bytes(1 << 16))
    except OSError:
        handler.close_connection = True
    return True


def dripping(handler, data):
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    try:
        for byte in data:
            handler.wfile.write(bytes([byte]))
            handler.wfile.flush()
            time.sleep(0.02)
    except OSError:
        handler.close_connection = True
    return True


def dripping_headers(handler, data):
    handler.send_response(200)
    handler.flush_headers()
    try:
        for _ in range(400):
            handler.wfile.write(b"X")
            time.sleep(0.05)
    except OSError:
        pass
    handler.close_connection = True
    return True


def redirect(target):
    def fault(handler, data):
        handler.answer(302, b"", {"Location": target(handler) if callable(target) else target})
        return True

    return fault
