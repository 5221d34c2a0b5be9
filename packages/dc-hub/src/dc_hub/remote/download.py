"""Fetch the files of a manifest: in parallel, verified before they are written, and resumed.

A file is fetched by chunks of 16 MiB, each of which has a digest in the manifest. What arrives is
compared with it in memory, so that a file never contains anything else, whatever the server sends.
A download that was interrupted goes on with the chunks that are not there yet.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from dc_hub.errors import HashMismatch
from dc_hub.files.system import open_to_write, read_into, status_of
from dc_hub.format.filenames import MANIFEST
from dc_hub.format.manifest import CHUNK, Entry, Manifest
from dc_hub.remote.store import RangesUnsupported, Store

T = TypeVar("T")

JOBS: Final = 4
"""Chunks that are fetched at a time; each takes 16 MiB of memory."""

_BLOCK: Final = 1 << 20

Arrived = Callable[[int], None]
"""Is told how many more bytes are there, from several threads."""

Write = Callable[[bytes, int], None]
"""Writes some bytes to a file, from a byte on."""

Known = Callable[[str, int], bytes | None]
"""Returns the chunk of a digest and a length if it is on this machine, else None."""


def download(
    store: Store,
    base: str,
    manifest: Manifest,
    directory: Path,
    *,
    report: Arrived,
    known: Known = lambda digest, length: None,
) -> None:
    """Fetch the files of ``manifest`` from the folder ``base`` of ``store`` into ``directory``.

    Chunks that are in ``directory`` already are kept if they have their digest, and those that are
    ``known`` are not fetched. Raises :class:`HashMismatch` if the server sends something else, and
    what the store raises; then ``directory`` keeps what has arrived.
    """

    def fetch(entry: Entry) -> None:
        path = f"{base}/{entry.path}"
        with _opened(directory, entry.path, entry.size) as file:
            missing = [i for i, there in enumerate(_there(file, entry)) if not there]
            report(entry.size - sum(_length(entry, i) for i in missing))
            write = partial(_write_in_place, file, directory / entry.path)
            if missing:
                try:
                    _fetch(store, path, entry, missing, write, report, known)
                except RangesUnsupported:  # perhaps not at once
                    missing = [i for i, there in enumerate(_there(file, entry)) if not there]
                    _stream(store, path, entry, missing, write, report)
            os.fsync(file.fileno())

    for entry in manifest.entries:
        if entry.size > CHUNK:
            fetch(entry)
    in_parallel(fetch, [entry for entry in manifest.entries if entry.size <= CHUNK])
    write_small(directory, MANIFEST, manifest.to_bytes())


def write_small(directory: Path, name: str, data: bytes | None) -> None:
    """Write the file ``name`` with the content ``data``, or remove it if there is none."""
    if data is None:
        (directory / name).unlink(missing_ok=True)
        return
    with _opened(directory, name, len(data)) as file:
        # In place: two processes write the same, and neither takes the other's away.
        write_at(file, data, 0)
        os.fsync(file.fileno())


def fetch_chunk(store: Store, path: str, entry: Entry, index: int) -> bytes:
    """Return the chunk ``index`` of the file ``path`` of ``store``, which has its digest.

    From a server that sends whole files only, all that is before it is read too. Raises
    :class:`HashMismatch`, and what the store raises.
    """
    try:
        return _read(store, path, entry, index)
    except RangesUnsupported:
        start, stop = entry.chunk_range(index)
        data = bytearray()
        passed = 0
        with closing(store.stream(path, entry.size)) as pieces:
            for piece in pieces:
                data += piece[max(start - passed, 0) : max(stop - passed, 0)]
                passed += len(piece)
                if passed >= stop:
                    break
        return _check(bytes(data), entry, index, path)


def open_own(directory: Path, name: str) -> io.FileIO:
    """Open a file to read and write; it is made if there is none.

    Whatever else is under its name is removed: a link, a FIFO, a file that has another name too and
    may be anybody's.
    """
    with suppress(FileNotFoundError):
        if not _is_own(status_of(directory, name)):
            (directory / name).unlink()
    file = io.FileIO(open_to_write(directory, name), "r+b")
    try:
        if not _is_own(os.fstat(file.fileno())):
            raise OSError(errno.ELOOP, "Exchanged while it was being opened", name)
    except OSError:
        file.close()
        raise
    return file


def _opened(directory: Path, name: str, size: int) -> io.FileIO:
    """Open a file with :func:`open_own`, and give it its size."""
    file = open_own(directory, name)
    try:
        if os.fstat(file.fileno()).st_size != size:
            file.truncate(size)
    except OSError:
        file.close()
        raise
    return file


def _is_own(found: os.stat_result) -> bool:
    return stat.S_ISREG(found.st_mode) and found.st_nlink == 1


def _there(file: io.FileIO, entry: Entry) -> Iterator[bool]:
    """Yield whether each chunk of ``file`` has its digest; those with nothing written have not."""
    buffer = memoryview(bytearray(min(_BLOCK, entry.size)))
    for i, digest in enumerate(entry.chunks):
        start, length = i * CHUNK, _length(entry, i)
        if not _has_data(file, start, start + length):
            yield False
            continue
        found = hashlib.sha256()
        done = 0
        while done < length:
            count = read_into(file.fileno(), buffer[: length - done], start + done)
            if count == 0:
                break
            found.update(buffer[:count])
            done += count
        yield found.hexdigest() == digest


def _has_data(file: io.FileIO, start: int, stop: int) -> bool:
    """Tell whether something was written to the range, where the system knows."""
    if not hasattr(os, "SEEK_DATA"):
        return True
    try:
        return os.lseek(file.fileno(), start, os.SEEK_DATA) < stop
    except OSError:  # there is no data beyond
        return False


def _fetch(
    store: Store,
    path: str,
    entry: Entry,
    chunks: list[int],
    write: Write,
    report: Arrived,
    known: Known,
) -> None:
    """Fetch ``chunks`` of a file by ranges, several at a time; a small file as a whole."""
    writing = threading.Lock()

    def fetch(i: int) -> None:
        data = known(entry.chunks[i], _length(entry, i))
        data = _read(store, path, entry, i) if data is None else data
        with writing:
            write(data, i * CHUNK)
        report(len(data))

    in_parallel(fetch, chunks)


def _read(store: Store, path: str, entry: Entry, index: int) -> bytes:
    """Return a chunk, read by its range, or as a whole file if it is one."""
    start, stop = entry.chunk_range(index)
    if stop - start == entry.size:
        data = store.read(path, entry.size)
    else:
        data = store.read_range(path, start, stop, entry.size)
    return _check(data, entry, index, path)


def in_parallel(action: Callable[[T], None], items: Sequence[T], jobs: int = JOBS) -> None:
    """Call ``action`` with each of ``items``, several at a time, until one fails.

    An interrupt is not kept waiting for those that wait for a server.
    """
    if len(items) <= 1:
        for item in items:
            action(item)
        return
    stopped = threading.Event()

    def run(item: T) -> None:
        if not stopped.is_set():
            action(item)

    pool = ThreadPoolExecutor(min(jobs, len(items)), "fetch")
    patient = True
    try:
        running: list[Future[None]] = [pool.submit(run, item) for item in items]
        done, _ = wait(running, return_when=FIRST_EXCEPTION)
        for job in done:
            job.result()
    except KeyboardInterrupt:
        patient = False
        raise
    finally:
        stopped.set()
        pool.shutdown(wait=patient, cancel_futures=True)


def _stream(
    store: Store, path: str, entry: Entry, chunks: list[int], write: Write, report: Arrived
) -> None:
    """Fetch a file from its start to its end, and write those ``chunks`` of it."""
    missing = set(chunks)
    data = bytearray()
    i = 0
    for piece in store.stream(path, entry.size):
        data += piece
        while i < len(entry.chunks) and len(data) >= _length(entry, i):
            length = _length(entry, i)
            chunk = bytes(data[:length])
            del data[:length]
            if i in missing:
                _check(chunk, entry, i, path)
                write(chunk, i * CHUNK)
                report(length)
            i += 1
    if i < len(entry.chunks):
        _check(bytes(data), entry, i, path)


def _length(entry: Entry, chunk: int) -> int:
    return min(CHUNK, entry.size - chunk * CHUNK)


def _check(data: bytes, entry: Entry, chunk: int, path: str) -> bytes:
    if not entry.is_chunk(data, chunk):
        raise HashMismatch(
            f"The server sent something else for {path}, in the {len(data)} bytes from "
            f"{chunk * CHUNK}.",
            path=path,
            hint="Try again; if it stays so, the hub is damaged, or something on the way changes "
            "what it sends.",
        )
    return data


def _write_in_place(file: io.FileIO, place: Path, data: bytes, start: int) -> None:
    """Write ``data`` to ``file`` if it is still in its ``place``; raise ``OSError`` otherwise.

    Another process, which took the lease meanwhile, may have moved it to where it is loaded from.
    """
    if not os.path.samestat(place.lstat(), os.fstat(file.fileno())):
        raise OSError(errno.ENOENT, "Moved while it was being written", os.fspath(place))
    write_at(file, data, start)


def write_at(file: io.FileIO, data: bytes, start: int) -> None:
    """Write all of ``data`` to ``file``, from the byte ``start`` on."""
    file.seek(start)
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
