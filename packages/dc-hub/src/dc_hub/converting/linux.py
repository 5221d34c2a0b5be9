"""What Linux offers to confine a process for good: Landlock for files, seccomp for system calls.

Neither needs a privilege, and neither can be undone by the process. Landlock leaves a process the
files beneath given directories (https://docs.kernel.org/userspace-api/landlock.html); the filter of
seccomp refuses to start programs and processes, to open sockets, and to reach into other processes
(https://docs.kernel.org/userspace-api/seccomp_filter.html).
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_NO_NEW_PRIVILEGES, _SET_SECCOMP, _FILTER = 38, 22, 2

_READ: Final = 0b1100
"""Read files, list directories."""

_READ_FILE: Final = 0b100
_WRITE: Final = 0b110_0001_1011_0010
"""Write, truncate, create and remove regular files and directories."""

_FILE_RIGHTS: Final = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
"""All rights over files, by the first version of Landlock that has so many."""

_TCP: Final = 0b11
_SCOPES: Final = 0b11

_DENIED: Final = {
    "x86_64": (
        0xC000003E,
        # sockets
        (41, 42, 43, 44, 46, 49, 50, 53, 288),
        # programs, processes, signals to others
        (57, 58, 59, 62, 129, 200, 322, 424, 434, 438),
        # other processes, the kernel's own settings
        (101, 165, 246, 248, 249, 250, 272, 298, 308, 310, 311, 321, 323, 425),
        56,
    ),
    "aarch64": (
        0xC00000B7,
        (198, 199, 200, 201, 202, 203, 206, 211, 242),
        (129, 130, 138, 221, 281, 424, 434, 438),
        (40, 97, 104, 117, 217, 218, 219, 241, 268, 270, 271, 280, 282, 425),
        220,
    ),
}
"""By machine: its number, three groups of system calls that are refused, and that of ``clone``."""

_CLONE3: Final = 435
_CLONE_THREAD: Final = 0x10000
_EPERM, _ENOSYS = 1, 38
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_LOAD, _EQUAL, _AT_LEAST, _HAS_BITS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06


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

    Threads are still allowed. Returns False, and changes nothing, if this system lacks seccomp or
    the machine is not known here.
    """
    known = _DENIED.get(platform.machine())
    if known is None:
        return False
    machine, *groups, clone = known
    refused = [number for group in groups for number in group]
    program = [
        _step(_LOAD, 4),
        _step(_EQUAL, machine, 1, 0),
        _step(_RETURN, _KILL),
        _step(_LOAD, 0),
        _step(_AT_LEAST, 1 << 30, 0, 1),  # the calls of x32
        _step(_RETURN, _KILL),
    ]
    for number in refused:
        program += [_step(_EQUAL, number, 0, 1), _step(_RETURN, _REFUSE | _EPERM)]
    program += [
        # The C library falls back from clone3, whose flags a filter cannot see, to clone.
        _step(_EQUAL, _CLONE3, 0, 1),
        _step(_RETURN, _REFUSE | _ENOSYS),
        _step(_EQUAL, clone, 0, 3),
        _step(_LOAD, 16),
        _step(_HAS_BITS, _CLONE_THREAD, 1, 0),
        _step(_RETURN, _REFUSE | _EPERM),
        _step(_RETURN, _ALLOW),
    ]
    steps = ctypes.create_string_buffer(b"".join(program))
    header = struct.pack("HxxxxxxP", len(program), ctypes.addressof(steps))
    libc = ctypes.CDLL(None, use_errno=True)
    _check(libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0))
    return bool(libc.prctl(_SET_SECCOMP, _FILTER, header, 0, 0) == 0)


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
