"""Confine this process before it reads a file that could be hostile.

Four measures, each where the system has it: limits on memory, time and the size of files; Landlock
and seccomp (:mod:`dc_hub.converting.linux`), which code in the process cannot undo; and an audit
hook of Python, which native code and clever Python can evade: it is there for systems that have
nothing better, and to name what was tried.
"""

from __future__ import annotations

import mmap
import os
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

_REFUSED: Final = (
    "ctypes.",
    "fcntl.",
    "ftplib.",
    "http.",
    "imaplib.",
    "os.chflags",
    "os.exec",
    "os.fork",
    "os.forkpty",
    "os.kill",
    "os.killpg",
    "os.posix_spawn",
    "os.spawn",
    "os.startfile",
    "os.system",
    "os.putenv",
    "os.unsetenv",
    "poplib.",
    "pty.",
    "smtplib.",
    "socket.",
    "subprocess.",
    "syslog.",
    "telnetlib.",
    "urllib.",
    "webbrowser.",
    "winreg.",
    "_winapi.",
)
"""The beginnings of the names of audit events that are refused."""

_ON_FILES: Final[dict[str, tuple[int, ...]]] = {
    "os.chmod": (0,),
    "os.chown": (0,),
    "os.link": (0, 1),
    "os.lockf": (0,),
    "os.mkdir": (0,),
    "os.remove": (0,),
    "os.removexattr": (0,),
    "os.rename": (0, 1),
    "os.rmdir": (0,),
    "os.setxattr": (0,),
    "os.symlink": (1,),
    "os.truncate": (0,),
    "os.utime": (0,),
    "shutil.rmtree": (0,),
}
"""Events about changes of files, and which of their arguments are paths."""

_UNKNOWN_SPACE: Final = 8 << 30
"""The bytes that libraries are taken to have, where the system does not tell."""

_WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

_SYSTEM: Final = (
    "/usr",
    "/lib",
    "/lib64",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/dev/null",
    "/dev/urandom",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/self",
    "/sys/devices/system/cpu",
    "/sys/fs/cgroup",
)
"""Files that libraries read besides their own."""


def limit_resources(*, memory: int, seconds: int, file_size: int) -> None:
    """Limit further address space, the CPU seconds, and the size of each file written.

    ``memory`` is in bytes, and in addition to what the process has now. A process over the limit
    of time is killed; memory raises ``MemoryError``, and file size ``OSError``. Windows has no such
    limits.
    """
    if sys.platform != "win32":
        import resource

        for kind, limit, grace in (
            (resource.RLIMIT_AS, _address_space() + memory, 0),
            # The signal that says why comes before the one that cannot be ignored.
            (resource.RLIMIT_CPU, seconds, 1),
            (resource.RLIMIT_FSIZE, file_size, 0),
            (resource.RLIMIT_CORE, 0, 0),
        ):
            _, most = resource.getrlimit(kind)
            hard = limit + grace if most == resource.RLIM_INFINITY else min(limit + grace, most)
            resource.setrlimit(kind, (min(limit, hard), hard))


def _address_space() -> int:
    """Return the bytes of address space that this process has, as far as the system tells."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except OSError:
        return _UNKNOWN_SPACE
    return pages * mmap.PAGESIZE


def confine(file: Path, folder: Path) -> list[str]:
    """Confine this process to reading ``file`` and its libraries, and to writing in ``folder``.

    Returns the names of the measures, none on systems that have nothing for it. Threads that run
    already are not confined.
    """
    measures: list[str] = []
    if sys.platform == "linux":
        from dc_hub.converting import linux

        if linux.restrict_files([file, *_libraries()], folder):
            measures.append("landlock")
        if linux.restrict_calls():
            measures.append("seccomp")
    return measures


def refuse_by_audit(folder: Path, *, libraries: bool = False) -> None:
    """Add an audit hook that refuses programs, sockets, ``ctypes``, and changes outside ``folder``.

    With ``libraries``, ``ctypes`` is not refused, because the libraries that read the file need it.

    Refused operations raise ``PermissionError``.
    """
    root = os.path.realpath(folder)

    def outside(path: Any) -> bool:
        if isinstance(path, int):
            return False  # an open file
        real = os.path.realpath(os.fsdecode(path))
        return real != root and not real.startswith(root + os.sep)

    def check(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = arguments
            writes = flags & _WRITING if isinstance(flags, int) else set(mode or "") & set("wax+")
            if writes and path is not None and outside(path):
                raise PermissionError(f"writing {path!r} was refused")
        elif event.startswith(_REFUSED) and not (libraries and event.startswith("ctypes.")):
            raise PermissionError(f"{event} was refused")
        elif event in _ON_FILES and any(outside(arguments[i]) for i in _ON_FILES[event]):
            raise PermissionError(f"{event} outside the folder was refused")

    sys.addaudithook(check)


def _libraries() -> Iterator[Path]:
    """Yield the directories that Python and its packages are imported from."""
    prefixes = (sys.prefix, sys.base_prefix, sys.exec_prefix, *sysconfig.get_paths().values())
    for place in dict.fromkeys((*sys.path, *prefixes, *_SYSTEM)):
        path = Path(place)
        if path.is_absolute() and path != Path("/"):
            yield path
