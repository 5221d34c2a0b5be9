"""dc-hub as it runs on a system that has no more than Windows has.

`import_masked` imports packages anew with an ``os`` from which everything is gone that Windows
lacks, so that a use of it anywhere in them fails as it would there. Paths stay those of this
system.
"""

import importlib
import os
import pkgutil
import sys
import types
from pathlib import Path
from unittest.mock import patch

MODULES = ("fcntl", "grp", "pwd", "resource", "termios")

NAMES = (
    *("O_CLOEXEC", "O_DIRECTORY", "O_NOCTTY", "O_NOFOLLOW", "O_NONBLOCK", "O_SYNC", "O_TMPFILE"),
    *("chown", "fchmod", "fchown", "lchown", "mkfifo", "mknod", "statvfs", "fstatvfs", "sync"),
    *("getegid", "geteuid", "getgid", "getuid", "setegid", "seteuid", "setgid", "setuid", "umask"),
    *("pread", "preadv", "pwrite", "pwritev", "readv", "writev", "sendfile", "copy_file_range"),
    *("fork", "forkpty", "killpg", "getpgid", "register_at_fork", "wait", "wait3", "wait4"),
    *("fdatasync", "lockf", "memfd_create", "posix_fadvise", "posix_fallocate", "uname"),
)


def masked_os() -> types.ModuleType:
    masked = types.ModuleType("os")
    vars(masked).update({name: value for name, value in vars(os).items() if name not in NAMES})

    def open_file(path, flags, mode=0o777):
        if Path(path).is_dir():
            raise PermissionError(13, "Permission denied", path)
        return os.open(path, flags, mode)

    def scandir(path="."):
        if isinstance(path, int):
            raise TypeError("scandir: path should be string, bytes, os.PathLike or None, not int")
        return os.scandir(path)

    def stat(path, *, follow_symlinks=True):
        return Path(path).stat(follow_symlinks=follow_symlinks)

    def kill(pid, signal):
        raise AssertionError("on Windows this ends the process or sends Ctrl-C")

    masked.open, masked.scandir, masked.stat, masked.kill = open_file, scandir, stat, kill
    masked.supports_dir_fd = masked.supports_fd = frozenset()
    return masked


def modules_of(package: str) -> list[str]:
    """Import a package and return the names of its modules, ``__main__`` left out."""
    found = importlib.import_module(package)
    walked = pkgutil.walk_packages(found.__path__, f"{package}.")
    return [package, *(module.name for module in walked if not module.name.endswith("__main__"))]


def import_masked(*packages: str) -> list[str]:
    """Import all modules of ``packages`` anew on the lesser system, and return their names."""
    names = [name for package in packages for name in modules_of(package)]
    for name in names:
        importlib.import_module(name)
    for name in list(sys.modules):
        if name.partition(".")[0] in packages:
            del sys.modules[name]
    with patch.dict(sys.modules, {"os": masked_os(), **dict.fromkeys(MODULES)}):
        imported = {name: importlib.import_module(name) for name in names}
    sys.modules.update(imported)
    return names
