"""A quick web server on loopback: files by ranges, and what huggingface_hub asks of a repository.

python benchmarks/server.py DIRECTORY REPOSITORY

It prints its address and serves ``DIRECTORY`` until its standard input is closed. The repository,
a model directory within ``DIRECTORY``, is also served as ``bench/model``.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0" * 40


def oid(file: Path) -> str:
    """Return what stands for the digest of a file, which nothing compares."""
    return hashlib.sha1(file.name.encode()).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD; the kernel copies files to the socket."""

    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16
    root: Path
    repository: Path

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def do_HEAD(self) -> None:
        """Answer without the content."""
        self.answer(content=False)

    def do_GET(self) -> None:
        """Answer with the content."""
        self.answer(content=True)

    def answer(self, *, content: bool) -> None:
        """Answer with the list of the repository, a file, or a range of one."""
        path = self.path.partition("?")[0]
        if path.startswith("/api/models/bench/model"):
            data = json.dumps(self.tree() if "/tree/" in path else self.listing()).encode()
            self.head(200, len(data), {"Content-Type": "application/json"})
            self.wfile.write(data)
            return
        resolved = re.fullmatch(r"/bench/model/resolve/[^/]+/([^/]+)", path)
        file = self.repository / resolved[1] if resolved else self.root / path.lstrip("/")
        if not file.is_file():
            self.head(404, 0, {})
            return
        size = file.stat().st_size
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        start = int(wanted[1]) if wanted else 0
        stop = min(int(wanted[2]) + 1, size) if wanted and wanted[2] else size
        headers = {"Accept-Ranges": "bytes"}
        if resolved:
            headers |= {
                "X-Repo-Commit": COMMIT,
                "ETag": f'"{hashlib.sha1(file.name.encode()).hexdigest()}"',
            }
        if wanted:
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
        self.head(206 if wanted else 200, stop - start, headers)
        if content:
            self.wfile.flush()
            with file.open("rb") as source, suppress(ConnectionError):
                self.connection.sendfile(source, start, stop - start)

    def listing(self) -> dict[str, object]:
        """Return what the repository is."""
        files = [{"rfilename": file.name} for file in sorted(self.repository.iterdir())]
        return {"id": "bench/model", "sha": COMMIT, "siblings": files}

    def tree(self) -> list[dict[str, object]]:
        """Return the files of the repository."""
        return [
            {"type": "file", "path": file.name, "size": file.stat().st_size, "oid": oid(file)}
            for file in sorted(self.repository.iterdir())
        ]

    def head(self, status: int, length: int, headers: dict[str, str]) -> None:
        """Send the status and the headers."""
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(length)}.items():
            self.send_header(name, value)
        self.end_headers()


def main() -> None:
    """Serve until the standard input is closed."""
    Handler.root, Handler.repository = map(Path, sys.argv[1:])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
