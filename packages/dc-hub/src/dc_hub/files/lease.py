"""A lease: the right to change the tags of a model, or to train into a place, held by one process.

It is a file created exclusively, which works on network file systems where ``flock`` does not. A
process that dies leaves its lease behind. So a lease is broken if it has not changed for ``TERM``
seconds on the waiter's own clock, or if its owner is a dead process of this machine. The clocks of
two machines are never compared. A holder that needs longer renews it. Of several waiters that find
a lease abandoned one breaks it: the one that creates a file named for what the lease says, which no
later lease says again.
"""

from __future__ import annotations

import os
import socket
import stat
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from dc_core import escape_controls
from dc_hub.errors import FileMissing, LockTimeout
from dc_hub.files.paths import open_regular
from dc_hub.files.system import create_file, is_busy, patiently, process_is_dead

TERM: Final = 5.0
"""Seconds after which an unchanged lease is considered abandoned."""

LONGEST: Final = 86_400.0
"""Seconds after which a lease that was not renewed is not believed to be held."""

MAX_BYTES: Final = 1024
"""The most that is read of who holds a lease."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease that this process has taken."""

    path: Path
    text: str

    def holder(self) -> str:
        """Return the process that holds the lease now, as errors name it."""
        return holder(_read(self.path))

    def held(self) -> bool:
        """Tell whether this process still holds the lease: it may have been broken."""
        return _read(self.path) == self.text

    def renew(self) -> None:
        """Show those who wait that this process is alive."""
        with suppress(OSError):  # it was broken, or is being looked at: `held` tells
            os.utime(self.path)

    @contextmanager
    def renewed(self) -> Iterator[None]:
        """Renew the lease as long as the block takes, however long it waits for something else."""
        ended = threading.Event()

        def renew() -> None:
            while not ended.wait(TERM / 4):
                self.renew()

        thread = threading.Thread(target=renew, name="lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


@contextmanager
def lease(
    path: Path, *, wait: float = 15.0, term: float | None = None, yields: bool = False
) -> Iterator[Lease]:
    """Hold the lease ``path``, waiting up to ``wait`` seconds for it.

    After ``term`` seconds without a change, ``TERM`` by default, it is taken for abandoned. With
    ``yields`` a holder that is seen to renew it is not waited for.

    Raises :class:`LockTimeout` naming the holder.
    """
    mine = Lease(path, owner())
    deadline = time.monotonic() + wait
    seen: tuple[str | None, int] = (None, 0)
    since = time.monotonic()
    pause = 0.001
    term = TERM if term is None else term
    while not _take(mine):
        text, renewed, now = _read(path), _renewed(path), time.monotonic()
        if (text, renewed) != seen:
            alive = yields and text is not None and seen[0] == text
            seen, since = (text, renewed), now
            if alive:
                raise LockTimeout(
                    f"{holder(text)} is holding {path}.",
                    path=str(path),
                    hint="Wait for it to finish.",
                )
        abandoned = text is not None and (now - since > term or owner_is_dead(text))
        if text is not None and abandoned and _break(path, text, stuck=now - since > 2 * term):
            continue
        if now > deadline:
            raise LockTimeout(
                f"{holder(text)} has been holding {path} for more than {wait:g} s.",
                path=str(path),
                hint="Wait for it to finish; if it is gone, remove that file.",
            )
        time.sleep(pause)
        pause = min(2 * pause, 0.05)
    try:
        yield mine
    finally:
        if mine.held():
            patiently(lambda: path.unlink(missing_ok=True))


def is_held(path: Path) -> bool:
    """Tell whether the lease ``path`` is held by a process that may be alive.

    That of another machine is believed for ``LONGEST`` seconds after it was renewed.
    """
    text = _read(path)
    if text is None or owner_is_dead(text):
        return False
    return time.time() - _renewed(path) / 1e9 < LONGEST


def owner() -> str:
    """Return a text that names this machine and process, and nothing else in the world."""
    return f"{socket.gethostname()} {os.getpid()} {uuid.uuid4().hex}"


def holder(text: str | None) -> str:
    """Return the process that :func:`owner` returned ``text`` in, as errors name it."""
    host, pid, *_ = [*escape_controls(text or "").split(), "an unknown machine", "?"]
    return f"Process {pid} on {host}"


def owner_is_dead(text: str) -> bool:
    """Tell whether the owner that :func:`owner` returned is a dead process of this machine."""
    host, pid, *_ = [*text.split(), "", ""]
    return host == socket.gethostname() and pid.isdecimal() and process_is_dead(int(pid))


def _take(mine: Lease) -> bool:
    """Create the lease file unless it exists; tell whether it was created."""
    try:
        descriptor = create_file(mine.path.parent, mine.path.name)
    except OSError as error:
        # Some systems say of a directory in the way only that permission is denied.
        if isinstance(error, FileExistsError) or is_busy(error) or mine.path.is_dir():
            return False
        raise
    try:
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            file.write(mine.text.encode())
    except OSError:  # the disk is full: a lease that names nobody is held by nobody
        mine.path.unlink(missing_ok=True)
        raise
    return True


def _read(path: Path) -> str | None:
    """Return who holds the lease, or None if nobody does.

    Anything else under that name (a FIFO, a link, a huge file) is neither waited for nor followed:
    it reads as a lease that nobody renews.
    """
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            return f"? ? {status.st_ino}"
        with open_regular(path.parent, path.name, single_link=False) as file:
            return file.read(MAX_BYTES).decode(errors="replace")
    except (FileNotFoundError, FileMissing):
        return None


def _renewed(path: Path) -> int:
    """Return a mark that changes each time a lease is renewed."""
    try:
        return path.lstat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _break(path: Path, text: str, *, stuck: bool) -> bool:
    """Remove an abandoned lease that says ``text``; False if another process is removing it.

    While this process has the claim to it, nobody else removes it and puts another in its place,
    but its owner: if that wakes up at the last instant, it finds its lease gone before it changes
    a tag, and takes a new one. ``stuck`` tells that the claim has been there for too long.
    """
    claim = Lease(path.with_name(f"{path.name}.{sha256(text.encode()).hexdigest()}"), owner())
    if not _take(claim):
        other = _read(claim.path)
        if other is not None and (stuck or owner_is_dead(other)):
            with suppress(OSError):
                claim.path.unlink()
        return False
    aside = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    try:
        with suppress(FileNotFoundError):
            if _read(path) == text:
                path.rename(aside)
                if not aside.is_dir():  # `gc` removes directories
                    aside.unlink()
    finally:
        claim.path.unlink(missing_ok=True)
    return True
