"""Confine a process for good on Linux: Landlock for files, seccomp for system calls.

Neither needs a privilege, and neither can be undone by the process. Landlock leaves a process the
files beneath given directories (https://docs.kernel.org/userspace-api/landlock.html); the filter of
seccomp refuses to start programs and processes, to open sockets, to reach into other processes, and
to change owners, modes and times of files
(https://docs.kernel.org/userspace-api/seccomp_filter.html).
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_NO_NEW_PRIVILEGES, _SET_SECCOMP, _FILTER = 38, 22, 2
_SET_DEATH_SIGNAL, _SIGKILL = 1, 9

_READ: Final = 0b1100
"""Read files, list directories."""

_READ_FILE: Final = 0b100
_WRITE: Final = 0b110_0001_1011_0010
"""Write, truncate, create and remove regular files and directories."""

_FILE_RIGHTS: Final = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
"""All rights over files, by the first version of Landlock that has so many."""

_TCP: Final = 0b11
_SCOPES: Final = 0b11


@dataclass(frozen=True, slots=True)
class _Machine:
    """The numbers of a machine and of its system calls, as the kernel's tables have them."""

    number: int
    sockets: tuple[int, ...]
    programs: tuple[int, ...]
    """Programs and processes, and signals to others."""
    system: tuple[int, ...]
    """Other processes, memory and queues that they share, and the kernel's own settings."""
    attributes: tuple[int, ...]
    """Owners, modes, times and extended attributes of files, and lengths of files by their path:
    Landlock does not mind these, or not in its first versions."""
    on_processes: tuple[int, ...]
    """Calls whose first argument is a process, which may be this one: signals, limits, cores."""
    clone: int
    opening: tuple[tuple[int, int], ...]
    """Calls that open a file, and which of their arguments are the flags."""
    capabilities: tuple[int, int]
    """Those that get and set the privileges of a thread."""


_MACHINES: Final = {
    "x86_64": _Machine(
        number=0xC000003E,
        sockets=(41, 42, 43, 44, 46, 49, 50, 53, 288),
        programs=(57, 58, 59, 62, 129, 200, 322, 424, 434, 438),
        system=(
            *(29, 30, 31, 64, 65, 66, 68, 69, 70, 71, 101, 141, 160, 165, 220, 240, 241, 246),
            *(248, 249, 250, 251, 256, 272, 279, 298, 304, 308, 310, 311, 320, 321, 323, 425),
        ),
        attributes=(
            *(76, 90, 91, 92, 93, 94, 132, 188, 189, 190, 197, 198, 199, 235, 260, 261, 268, 280),
            *(452, 463, 466, 469),
        ),
        on_processes=(142, 144, 203, 234, 297, 302, 314),
        clone=56,
        opening=((2, 1), (257, 2)),
        capabilities=(125, 126),
    ),
    "aarch64": _Machine(
        number=0xC00000B7,
        sockets=(198, 199, 200, 201, 202, 203, 206, 211, 242),
        programs=(129, 130, 138, 221, 281, 424, 434, 438),
        system=(
            *(30, 40, 97, 104, 117, 140, 164, 180, 181, 186, 187, 188, 189, 190, 191, 192, 193),
            *(194, 195, 196, 217, 218, 219, 238, 239, 241, 265, 268, 270, 271, 280, 282, 294, 425),
        ),
        attributes=(5, 6, 7, 14, 15, 16, 45, 52, 53, 54, 55, 88, 452, 463, 466, 469),
        on_processes=(118, 119, 122, 131, 240, 261, 274),
        clone=220,
        opening=((56, 2),),
        capabilities=(90, 91),
    ),
}

_CLONE3, _OPENAT2 = 435, 437
_CLONE_THREAD: Final = 0x10000
_ACCESS_MODE, _TRUNCATE = 0b11, 0o1000
_EPERM, _ENOSYS = 1, 38
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_LOAD, _EQUAL, _AT_LEAST, _HAS_BITS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ARGUMENTS: Final = 16
"""Where a filter finds the first of the arguments, of eight bytes each."""

_CAPABILITIES_VERSION: Final = 0x20080522
_READ_ALL_FILES: Final = 0b110
"""The privileges of root over files of others, which Landlock limits: the file may be of others."""


def die_with_parent() -> None:
    """Let the system kill this process when the thread that started it ends."""
    ctypes.CDLL(None, use_errno=True).prctl(_SET_DEATH_SIGNAL, _SIGKILL, 0, 0, 0)


def restrict_files(readable: Iterable[Path], writable: Path) -> bool:
    """Leave this process the files beneath ``readable``, and those beneath ``writable`` to change.

    No program can be executed and no TCP connection be made either. Files that are open already
    stay open. Returns False, and changes nothing, if this system lacks Landlock.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_CREATE_RULESET, None, 0, 1)
    if version < 1:
        return False
    rights = _FILE_RIGHTS[max(first for first in _FILE_RIGHTS if first <= version)]
    fields = [rights, _TCP, _SCOPES][: 1 if version < 4 else 2 if version < 6 else 3]
    attributes = struct.pack(f"={len(fields)}Q", *fields)
    ruleset = libc.syscall(_CREATE_RULESET, attributes, len(attributes), 0)
    if ruleset < 0:
        return False
    try:
        for path in readable:
            if path.exists():
                _allow(libc, ruleset, path, _READ if path.is_dir() else _READ_FILE)
        _allow(libc, ruleset, writable, (_READ | _WRITE) & rights)
        _check(libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0))
        _check(libc.syscall(_RESTRICT_SELF, ruleset, 0))
    finally:
        os.close(ruleset)
    return True


def restrict_calls() -> bool:
    """Refuse this process new programs and processes, sockets, and access to other processes.

    Files keep their owners, modes and times. Of the privileges of root those over files stay.
    Threads are still allowed. Returns False, and changes nothing, if this system lacks seccomp or
    the machine is not known here.
    """
    machine = _MACHINES.get(platform.machine())
    if machine is None:
        return False
    program = b"".join(_filter(machine))
    steps = ctypes.create_string_buffer(program)
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(steps))
    libc = ctypes.CDLL(None, use_errno=True)
    _check(libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0))
    if libc.prctl(_SET_SECCOMP, _FILTER, header, 0, 0) != 0:
        return False
    _drop_privileges(libc, *machine.capabilities)
    return True


def _filter(machine: _Machine) -> Iterator[bytes]:
    """Yield the steps of the filter, which looks at the number of a call and its arguments."""
    yield from (_step(_LOAD, 4), _step(_EQUAL, machine.number, 1, 0), _step(_RETURN, _KILL))
    yield from (_step(_LOAD, 0), _step(_AT_LEAST, 1 << 30, 0, 1))  # the calls of x32
    yield _step(_RETURN, _KILL)
    for number in (*machine.sockets, *machine.programs, *machine.system, *machine.attributes):
        yield from (_step(_EQUAL, number, 0, 1), _step(_RETURN, _REFUSE | _EPERM))
    # The C library falls back from these, whose arguments a filter cannot see, to the others.
    for number in (_CLONE3, _OPENAT2):
        yield from (_step(_EQUAL, number, 0, 1), _step(_RETURN, _REFUSE | _ENOSYS))
    for number in machine.on_processes:
        yield from (_step(_EQUAL, number, 0, 5), _step(_LOAD, _ARGUMENTS))
        yield from (_step(_EQUAL, 0, 2, 0), _step(_EQUAL, os.getpid(), 1, 0))
        yield from (_step(_RETURN, _REFUSE | _EPERM), _step(_RETURN, _ALLOW))
    for number, argument in machine.opening:
        # Opening a file to read can empty it, which Landlock minds from its version 3 on.
        yield from (_step(_EQUAL, number, 0, 5), _step(_LOAD, _ARGUMENTS + 8 * argument))
        yield from (_step(_HAS_BITS, _TRUNCATE, 0, 2), _step(_HAS_BITS, _ACCESS_MODE, 1, 0))
        yield from (_step(_RETURN, _REFUSE | _EPERM), _step(_RETURN, _ALLOW))
    yield from (_step(_EQUAL, machine.clone, 0, 3), _step(_LOAD, _ARGUMENTS))
    yield from (_step(_HAS_BITS, _CLONE_THREAD, 1, 0), _step(_RETURN, _REFUSE | _EPERM))
    yield _step(_RETURN, _ALLOW)


def _drop_privileges(libc: ctypes.CDLL, getting: int, setting: int) -> None:
    """Drop root's capabilities, except access to the files of other users."""
    header = struct.pack("=Ii", _CAPABILITIES_VERSION, 0)
    found = ctypes.create_string_buffer(24)
    _check(libc.syscall(getting, header, found))
    effective, permitted, *_ = struct.unpack("=6I", found.raw)
    kept = [held & _READ_ALL_FILES for held in (effective, permitted)]
    _check(libc.syscall(setting, header, struct.pack("=6I", *kept, 0, 0, 0, 0)))


def _step(code: int, value: int, jump_if: int = 0, jump_else: int = 0) -> bytes:
    return struct.pack("=HBBI", code, jump_if, jump_else, value)


def _allow(libc: ctypes.CDLL, ruleset: int, path: Path, rights: int) -> None:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)  # type: ignore[attr-defined,unused-ignore]
    try:
        rule = struct.pack("=Qi", rights, descriptor)
        _check(libc.syscall(_ADD_RULE, ruleset, 1, rule, 0))
    finally:
        os.close(descriptor)


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
