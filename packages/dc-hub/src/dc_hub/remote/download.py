"""Fetch the files of a manifest: in parallel, verified before they are written, and resumed.

A file has a digest in the manifest for each of its chunks of 16 MiB. Those that are missing are
fetched as a few runs of neighbours, each by one request, side by side. A chunk that has arrived is
compared with its digest in memory, so that a file never contains anything else, whatever the server
sends. A download that was interrupted goes on with the chunks that are not there yet.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import stat
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import closing, suppress
from itertools import takewhile
from pathlib import Path
from typing import Final, Self, TypeVar

from dc_hub.errors import HashMismatch
from dc_hub.files.system import begin_writing_back, open_to_write, read_into, status_of, write_at
from dc_hub.format.filenames import MANIFEST
from dc_hub.format.manifest import CHUNK, Entry, Manifest
from dc_hub.remote.store import RangesUnsupported, Store, stream_part

T = TypeVar("T")

JOBS: Final = 4
"""Runs of chunks that are fetched at a time; each takes 16 MiB of memory."""

_BLOCK: Final = 1 << 20

Arrived = Callable[[int], None]
"""Is told how many more bytes are there, from several threads."""

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
        with _Target(directory, entry.path, entry.size) as target:
            missing = target.missing(entry)
            report(entry.size - sum(_length(entry, i) for i in missing))
            missing = _copy(entry, missing, target, report, known)
            try:
                _fetch(store, path, entry, _runs(missing), missing, target, report)
            except RangesUnsupported:  # perhaps not at once
                missing = target.missing(entry)
                everything = [range(len(entry.chunks))]
                _fetch(store, path, entry, everything, missing, target, report)
            target.sync()

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
        write_at(file.fileno(), data, 0)
        os.fsync(file.fileno())


def fetch_chunk(store: Store, path: str, entry: Entry, index: int) -> bytes:
    """Return the chunk ``index`` of the file ``path`` of ``store``, which has its digest.

    From a server that sends whole files only, all that is before it is read too. Raises
    :class:`HashMismatch`, and what the store raises.
    """
    start, stop = entry.chunk_range(index)
    data = b"".join(stream_part(store, path, entry.size, start, stop))
    if not entry.is_chunk(data, index):
        raise _mismatch(path, index)
    return data


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


class _Target:
    """A file that is being fetched, which several threads write to until it is closed.

    Use it as a context manager. After an interrupt a thread may still be waiting for its server:
    when something comes, it must not write to the descriptor, which may be another file's by then.
    """

    def __init__(self, directory: Path, name: str, size: int) -> None:
        self._place = directory / name
        self._file = _opened(directory, name, size)
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._file.close()

    @property
    def closed(self) -> bool:
        """Whether nobody waits for more of the file."""
        return self._file.closed

    def missing(self, entry: Entry) -> list[int]:
        """Return the chunks that are not there, in order."""
        return [i for i, there in enumerate(_there(self._file, entry)) if not there]

    def write(self, data: bytes | memoryview, start: int) -> None:
        """Write ``data`` from the byte ``start`` on, if the file is still in its place.

        Raises ``OSError`` otherwise: another process, which took the lease meanwhile, may have
        moved it to where it is loaded from.
        """
        with self._lock:
            descriptor = self._file.fileno()
            if not os.path.samestat(self._place.lstat(), os.fstat(descriptor)):
                raise OSError(
                    errno.ENOENT, "Moved while it was being written", os.fspath(self._place)
                )
            write_at(descriptor, data, start)
            begin_writing_back(descriptor, start, len(data))

    def sync(self) -> None:
        """Return when all that was written is on the disk."""
        os.fsync(self._file.fileno())


def _copy(
    entry: Entry, chunks: list[int], target: _Target, report: Arrived, known: Known
) -> list[int]:
    """Write those of ``chunks`` that are known on this machine, and return the others."""
    others = []

    def copy(i: int) -> None:
        data = known(entry.chunks[i], _length(entry, i))
        if data is None:
            others.append(i)
        else:
            target.write(data, i * CHUNK)
            report(len(data))

    in_parallel(copy, chunks)
    return sorted(others)


def _runs(chunks: Sequence[int]) -> list[range]:
    """Divide ``chunks``, which are in order, into runs of neighbours for ``JOBS`` to fetch."""
    longest = -(-len(chunks) // JOBS)
    runs: list[range] = []
    for i in chunks:
        if runs and runs[-1].stop == i and len(runs[-1]) < longest:
            runs[-1] = range(runs[-1].start, i + 1)
        else:
            runs.append(range(i, i + 1))
    return runs


def _fetch(
    store: Store,
    path: str,
    entry: Entry,
    runs: list[range],
    missing: list[int],
    target: _Target,
    report: Arrived,
) -> None:
    """Fetch ``runs`` of the chunks of a file side by side, and write those that are missing.

    If one fails, the others end with the chunk that they are at.
    """
    failed = threading.Event()

    def fetch(run: range) -> None:
        start, stop = run.start * CHUNK, min(run.stop * CHUNK, entry.size)
        with closing(store.stream(path, entry.size, start, stop)) as pieces:
            arriving = takewhile(lambda _: not target.closed, pieces)
            for i, data in _verified(arriving, path, entry, run, frozenset(missing)):
                target.write(data, i * CHUNK)
                report(len(data))
                if failed.is_set():
                    return

    in_parallel(fetch, runs, stopped=failed)


def _verified(
    pieces: Iterable[bytes], path: str, entry: Entry, run: range, wanted: Collection[int]
) -> Iterator[tuple[int, memoryview]]:
    """Yield the ``wanted`` chunks of a run, each in the same memory, as far as they are right.

    Raises :class:`HashMismatch` for the first that is not, or that is cut.
    """
    buffer = memoryview(bytearray(min(CHUNK, entry.size)))
    i, filled, digest = run.start, 0, hashlib.sha256()
    for piece in pieces:
        rest = memoryview(piece)
        while rest and i < run.stop:
            length = _length(entry, i)
            part, rest = rest[: length - filled], rest[length - filled :]
            if i in wanted:
                digest.update(part)
                buffer[filled : filled + len(part)] = part
            filled += len(part)
            if filled < length:
                continue
            if i in wanted:
                if digest.hexdigest() != entry.chunks[i]:
                    raise _mismatch(path, i)
                yield i, buffer[:length]
            i, filled, digest = i + 1, 0, hashlib.sha256()
    if i < run.stop:
        raise _mismatch(path, i)


def in_parallel(
    action: Callable[[T], None],
    items: Sequence[T],
    jobs: int = JOBS,
    stopped: threading.Event | None = None,
) -> None:
    """Call ``action`` with each of ``items``, several at a time, until one fails.

    Then ``stopped`` is set, for actions that can end early. An interrupt is not kept waiting for
    those that wait for a server.
    """
    if len(items) <= 1:
        for item in items:
            action(item)
        return
    stopped = stopped or threading.Event()

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


def _length(entry: Entry, chunk: int) -> int:
    return min(CHUNK, entry.size - chunk * CHUNK)


def _mismatch(path: str, chunk: int) -> HashMismatch:
    return HashMismatch(
        f"The server sent something else for {path}, in the chunk of 16 MiB from byte "
        f"{chunk * CHUNK}.",
        path=path,
        hint="Try again; if it stays so, the hub is damaged, or something on the way changes "
        "what it sends.",
    )
