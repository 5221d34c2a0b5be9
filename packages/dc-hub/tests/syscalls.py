"""Watch the system calls of a forked child, by ptrace; kill it at one, or let calls fail.

Every call that the child makes is seen, whichever library makes it and in whichever thread. The
child runs one function; it is forked, so that nothing is imported anew and a trial takes some
milliseconds.
"""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from errno import EDQUOT, EIO, EMFILE, ENOSPC, EROFS
from pathlib import Path

_TRACEME, _GETREGS, _SETREGS, _SYSCALL, _SETOPTIONS, _GET_SYSCALL_INFO = (
    0,
    12,
    13,
    24,
    0x4200,
    0x420E,
)
_OPTIONS = 0x1 | 0x8 | 0x100000  # syscall stops are marked; threads are traced; nobody survives
_ALL = 0x40000000
_ENTRY, _EXIT = 1, 2
_RESULT, _NUMBER = 10, 15  # of a call, in the registers of x86-64

NAMES = {
    0: "read", 1: "write", 2: "open", 3: "close", 4: "stat", 5: "fstat", 6: "lstat", 8: "lseek",
    9: "mmap", 17: "pread64", 18: "pwrite64", 20: "writev", 40: "sendfile", 41: "socket", 42:
    "connect", 44: "sendto", 45: "recvfrom", 72: "fcntl", 74: "fsync", 75: "fdatasync", 77:
    "ftruncate", 82: "rename", 83: "mkdir", 84: "rmdir", 86: "link", 87: "unlink", 88:
    "symlink", 90: "chmod", 91: "fchmod", 124: "getsid", 217: "getdents64", 257: "openat", 258:
    "mkdirat", 262: "newfstatat", 263: "unlinkat", 264: "renameat", 265: "linkat", 266:
    "symlinkat", 268: "fchmodat", 280: "utimensat", 285: "fallocate", 295: "preadv", 296:
    "pwritev", 316: "renameat2", 319: "memfd_create", 326: "copy_file_range", 332: "statx", 437:
    "openat2",
}  # fmt: skip
"""The calls of x86-64 that concern files and connections; others keep their number as a name."""

_MARK = "getsid"
_MAKES = {"mkdir", "mkdirat", "rename", "renameat", "renameat2", "link", "linkat", "symlink"}
_WRITES = {"write", "pwrite64", "writev", "pwritev", "fallocate", "copy_file_range", "sendfile"}
_SYNCS = {"fsync", "fdatasync", "ftruncate"}
_REMOVES = {"unlink", "unlinkat", "rmdir"}
_MARKS = {"chmod", "fchmod", "fchmodat", "utimensat"}
_LOOKS = {
    "read",
    "pread64",
    "preadv",
    "getdents64",
    "stat",
    "lstat",
    "fstat",
    "newfstatat",
    "statx",
}

available = sys.platform == "linux" and platform.machine() == "x86_64"
"""Whether calls can be watched here, as far as the system tells before it is tried."""


@dataclass(frozen=True)
class Call:
    """One system call: which, and what it is about."""

    name: str
    about: str = ""
    creates: bool = False
    writable: bool = False

    def __str__(self) -> str:
        return f"{self.name}({self.about})"

    @property
    def changes(self) -> bool:
        """Whether it changes files, or asks a server for something."""
        return (
            self.name in _MAKES | _WRITES | _SYNCS | _REMOVES | _MARKS | {"sendto", "connect"}
            or self.creates
            or (self.name == "close" and self.writable)
        )

    @property
    def errors(self) -> tuple[int, ...]:
        """The errors that it can fail with: a full or failing disk, no more files, no writing."""
        if self.name in ("open", "openat", "openat2"):
            if self.creates:
                return (ENOSPC, EIO, EROFS, EMFILE, EDQUOT)
            return (EIO, EMFILE, EROFS) if self.writable else (EIO, EMFILE)
        if self.name in _MAKES:
            return (ENOSPC, EIO, EROFS, EDQUOT)
        if self.name in _WRITES | _SYNCS or (self.name == "close" and self.writable):
            return (ENOSPC, EIO, EDQUOT)
        if self.name in _REMOVES | _MARKS:
            return (EIO, EROFS)
        if self.name in ("socket", "memfd_create"):
            return (EMFILE,)
        return (EIO,) if self.name in _LOOKS else ()


@dataclass
class Run:
    """What became of a child: its calls until the end, and how its function ended."""

    calls: list[Call] = field(default_factory=list)
    killed: bool = False
    failed: list[Call] = field(default_factory=list)
    error: str = ""
    """The name of the error that the function raised, of the first class that ``typed`` names."""
    trace: str = ""


Decide = Callable[[Call, int], int | None]
"""Is told each call and its number, from 1; returns an error for it, -1 to kill, or None."""


def watch(
    action: Callable[[], object], decide: Decide | None = None, *, typed: type[Exception]
) -> Run:
    """Run ``action`` in a forked child, and return what became of it."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        _child(action, writer, typed)
    os.close(writer)
    try:
        run = _Tracer(pid, decide).follow()
        with os.fdopen(reader, "rb") as told:
            run.error, _, run.trace = told.read().decode().partition("\n")
    finally:
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
    return run


def killed_at(number: int, which: Callable[[Call], bool]) -> Decide:
    """Kill the child before its ``number``-th call of those that ``which`` names."""
    seen = [0]

    def decide(call: Call, _: int) -> int | None:
        seen[0] += which(call)
        return -1 if seen[0] == number and which(call) else None

    return decide


def failing_at(
    number: int,
    error: int,
    *,
    and_after: bool = False,
    which: Callable[[Call], bool] = lambda call: True,
) -> Decide:
    """Let the ``number``-th call fail with ``error``, and perhaps all calls ``and_after``.

    Only calls that can fail so count, and of these only those that ``which`` names.
    """
    seen = [0]

    def decide(call: Call, _: int) -> int | None:
        if error not in call.errors or not which(call):
            return None
        seen[0] += 1
        return error if seen[0] == number or (and_after and seen[0] > number) else None

    return decide


def _child(action: Callable[[], object], told: int, typed: type[Exception]) -> None:
    code = 0
    try:
        os.setpgid(0, 0)
        if _libc().ptrace(_TRACEME, 0, None, None) != 0:
            os._exit(77)
        os.kill(os.getpid(), signal.SIGSTOP)
        text = "\n"
        os.getsid(0)
        try:
            action()
        except typed as error:
            text = f"{type(error).__name__}\n{traceback.format_exc()}"
        except BaseException as error:  # noqa: BLE001 - it is reported, whatever it is
            text = f"untyped {type(error).__name__}\n{traceback.format_exc()}"
        os.getsid(0)
        os.write(told, text.encode()[:60_000])
    except BaseException:  # noqa: BLE001
        code = 78
    os._exit(code)


class _Tracer:
    def __init__(self, pid: int, decide: Decide | None) -> None:
        self.pid = pid
        self.decide = decide
        self.libc = _libc()
        self.run = Run()
        self.counting = False
        self.pending: dict[int, int] = {}  # errors that calls of threads are to return
        self.info = (ctypes.c_uint64 * 11)()
        self.registers = (ctypes.c_uint64 * 27)()

    def follow(self) -> Run:
        os.waitpid(self.pid, _ALL)
        if self.libc.ptrace(_SETOPTIONS, self.pid, None, _OPTIONS) != 0:
            raise PermissionError("This system does not let a process watch its children.")
        self._go_on(self.pid)
        while True:
            thread, status = os.waitpid(-self.pid, _ALL)
            if os.WIFSTOPPED(status):
                self._stopped(thread, status)
            elif thread == self.pid:
                self.run.killed = os.WIFSIGNALED(status)
                return self.run

    def _stopped(self, thread: int, status: int) -> None:
        number = os.WSTOPSIG(status)
        if number == signal.SIGTRAP | 0x80:
            self._at_call(thread)
            self._go_on(thread)
        else:  # a new thread, or a signal
            ours = number in (signal.SIGTRAP, signal.SIGSTOP)
            self._go_on(thread, 0 if ours else number)

    def _at_call(self, thread: int) -> None:
        size = ctypes.sizeof(self.info)
        if self.libc.ptrace(_GET_SYSCALL_INFO, thread, size, ctypes.byref(self.info)) <= 0:
            return  # it was killed
        kind, number, arguments = self.info[0] & 0xFF, self.info[3], self.info[4:10]
        if kind == _EXIT and thread in self.pending:
            self._change(thread, _RESULT, -self.pending.pop(thread))
        if kind != _ENTRY:
            return
        name = NAMES.get(number, str(number))
        if name == _MARK:
            self.counting = not self.counting
        elif self.counting:
            self._judge(thread, self._call(name, arguments))

    def _judge(self, thread: int, call: Call) -> None:
        self.run.calls.append(call)
        wanted = self.decide(call, len(self.run.calls)) if self.decide else None
        if wanted == -1:
            self.run.failed.append(call)
            os.kill(self.pid, signal.SIGKILL)
        elif wanted is not None:
            self.run.failed.append(call)
            self.pending[thread] = wanted
            if call.name != "close":  # which closes, whatever it returns
                self._change(thread, _NUMBER, -1)

    def _call(self, name: str, arguments: list[int]) -> Call:
        if name in ("open", "openat"):
            flags = arguments[1 if name == "open" else 2]
            where = self._text(arguments[0 if name == "open" else 1])
            return Call(name, where, bool(flags & os.O_CREAT), bool(flags & 3))
        if name in ("openat2", "memfd_create"):
            return Call(name)
        if name in _WRITES | _SYNCS | {"close", "read", "pread64", "preadv"}:
            file = Path(f"/proc/{self.pid}/fd/{arguments[0]}")
            try:
                where, mode = str(file.readlink()), file.lstat().st_mode
            except OSError:
                return Call(name)
            return Call(name, where, writable=where.startswith("/") and bool(mode & 0o200))
        if name in _MAKES | _REMOVES | _LOOKS | _MARKS:
            position = 1 if name.endswith(("at", "at2")) and name not in ("stat", "fstat") else 0
            return Call(name, self._text(arguments[position]))
        return Call(name)

    def _text(self, address: int) -> str:
        try:
            with Path(f"/proc/{self.pid}/mem").open("rb", buffering=0) as memory:
                memory.seek(address)
                return memory.read(512).partition(b"\0")[0].decode(errors="replace")
        except (OSError, ValueError, OverflowError):
            return ""

    def _change(self, thread: int, register: int, value: int) -> None:
        place = ctypes.byref(self.registers)
        if self.libc.ptrace(_GETREGS, thread, None, place) == 0:
            self.registers[register] = value & 0xFFFFFFFFFFFFFFFF
            self.libc.ptrace(_SETREGS, thread, None, place)

    def _go_on(self, thread: int, number: int = 0) -> None:
        self.libc.ptrace(_SYSCALL, thread, None, number)


def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    libc.ptrace.restype = ctypes.c_long
    return libc
