"""Start the process that reads a file of another program, and collect its results.

The process gets an empty environment, a private temporary directory, limits, and a deadline. What
it leaves is read like a stranger's: JSON strictly, the model directory with every check of loading.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import site
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dc_core import escape_controls
from dc_hub import errors
from dc_hub.converting.worker import MODEL, REPORT, Request
from dc_hub.errors import ConversionError, FileMissing, HubError, LimitExceeded
from dc_hub.files.paths import is_directory, read_small
from dc_hub.files.system import PROCESSES
from dc_hub.format import strict_json
from dc_hub.hubs.contract import StoredModel
from dc_hub.loading.opening import Opened, open_model

_PROGRAM: Final = (
    "import sys; sys.path += sys.argv[1:]; from dc_hub.converting.worker import main; "
    "main(sys.stdin.readline())"
)

_COMPLAINT: Final = 2_000
"""How many bytes at the end of the process's standard error are read."""

_KEPT: Final = ("LANG", "LC_ALL", "LD_LIBRARY_PATH", "SYSTEMROOT", "TZ")
"""The variables of the environment that the process gets, besides those for its folder."""

_ERRORS: Final[Mapping[str, type[HubError]]] = {
    "BackendBroken": errors.BackendNotInstalled,
    "BackendNotInstalled": errors.BackendNotInstalled,
    "BudgetExceeded": LimitExceeded,
    "LimitExceeded": LimitExceeded,
    "NotFitted": errors.NotFitted,
    "NotSerializable": errors.NotSerializable,
    "UntrustedFile": errors.UntrustedFile,
}
"""The errors that the process may report; everything else is a :class:`ConversionError`."""

_LIMITS: Final = ("SIGXCPU", "SIGXFSZ", "SIGKILL")
"""The signals by which systems end a process that exceeds a limit."""

_TEXTS: Final = ("kind", "recognized", "what")
_OBJECTS: Final = ("facts", "omitted", "versions")


@dataclass(frozen=True, slots=True)
class Report:
    """The report of the process about a file: its form is checked, its content is not trusted."""

    kind: str
    recognized: str
    what: str
    facts: Mapping[str, Any]
    omitted: Mapping[str, str]
    versions: Mapping[str, str]
    confined_by: tuple[str, ...]


@contextmanager
def reading_apart(request: Request, timeout: float) -> Iterator[tuple[Report, Opened]]:
    """Yield the report of another process about the file, and the model that it read, open.

    Raises :class:`ConversionError`, :class:`UntrustedFile`, :class:`LimitExceeded` if the process
    exceeds a limit or ``timeout`` seconds, and the errors of loading for what it has left.
    """
    with _private_folder() as folder:
        last = _run(request, folder, timeout)
        report = _read_report(request.file, folder, last)
        if not is_directory(folder, MODEL):
            raise ConversionError(f"Nothing was read from {request.file}.", path=request.file)
        source = StoredModel("", "", folder / MODEL)
        with open_model(source, "full", versioned=True) as opened:
            yield report, opened


@contextmanager
def _private_folder() -> Iterator[Path]:
    """Yield a new folder, and remove it at the end with whatever is in it."""
    folder = Path(tempfile.mkdtemp(prefix="dc-hub-")).resolve()
    try:
        yield folder
    finally:
        with suppress(OSError):
            _flatten(folder)
        shutil.rmtree(folder, ignore_errors=True)


def _flatten(folder: Path) -> None:
    """Move all directories that are nested in ``folder`` into it: one may be too deep to remove."""
    aside = Path(tempfile.mkdtemp(dir=folder))
    pending = [path for path in folder.iterdir() if path != aside and _is_folder(path)]
    number = 0
    while pending:
        for path in list(filter(_is_folder, pending.pop().iterdir())):
            number += 1
            pending.append(path.rename(aside / str(number)))


def _is_folder(path: Path) -> bool:
    return stat.S_ISDIR(path.lstat().st_mode)


def _run(request: Request, folder: Path, timeout: float) -> str:
    """Run the process to its end, and return the last line of its standard error."""
    user = [site.getusersitepackages()] if site.ENABLE_USER_SITE else []
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(
            [sys.executable, "-I", "-B", "-c", _PROGRAM, *user],
            cwd=folder,
            env=_environment(folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=complaints,
            start_new_session=True,
        )
        try:
            _ask(process, request)
            process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise LimitExceeded(
                f"Reading {request.file} took more than {timeout:g} s.",
                path=request.file,
                hint="Allow more: timeout=…, --timeout.",
            ) from error
        finally:
            _end(process)
        complaints.seek(max(0, complaints.seek(0, os.SEEK_END) - _COMPLAINT))
        text = complaints.read(_COMPLAINT).decode(errors="replace")
    if process.returncode in (-getattr(signal, name, 0) for name in _LIMITS):
        raise LimitExceeded(
            f"Reading {request.file} took too much time or memory, or wrote too large a file.",
            path=request.file,
            hint="The file may be hostile: a few bytes that unfold into many.",
        )
    lines = [line for line in text.splitlines() if line.strip()]
    return escape_controls(lines[-1])[:500] if lines else f"exit code {process.returncode}"


def _ask(process: subprocess.Popen[bytes], request: Request) -> None:
    """Send the request, and leave the pipe open: when it closes, this process is gone.

    It is not an argument, since systems limit their length and show them to other users.
    """
    asked = json.dumps(dataclasses.asdict(request)).encode() + b"\n"
    if process.stdin is not None:
        with suppress(OSError):  # the process has ended
            process.stdin.write(asked)
            process.stdin.flush()


def _environment(folder: Path) -> dict[str, str]:
    ours = ("HOME", "TMPDIR", "TEMP", "TMP", "USERPROFILE", "DEEPCHEM_CACHE", "XDG_CACHE_HOME")
    # Each thread takes address space, which is limited.
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return {
        **{name: os.environ[name] for name in _KEPT if name in os.environ},
        **dict.fromkeys(ours, str(folder)),
        **dict.fromkeys(threads, "1"),
    }


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the process and its group, where the system has groups, if anything of it is left."""
    if sys.platform == "win32" or not PROCESSES:
        process.kill()
    else:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    if process.stdin is not None:
        with suppress(OSError):  # unread input
            process.stdin.close()
    process.wait()


def _read_report(file: str, folder: Path, last: str) -> Report:
    """Return the report, or raise the error that it tells."""
    try:
        data = read_small(folder, REPORT, strict_json.MAX_BYTES)
    except FileMissing as error:
        raise ConversionError(
            f"The process that read {file} ended without a result: {last}.",
            path=file,
            hint="The file is damaged, or hostile, or the process was killed.",
        ) from error
    value = strict_json.loads(data, what=f"the report about {file}", error=ConversionError)
    fields = value if type(value) is dict else {}
    if "error" in fields:
        message, hint = (str(fields.get(key, "")) for key in ("message", "hint"))
        raise _ERRORS.get(str(fields["error"]), ConversionError)(
            f"{file}: {message}", path=file, hint=hint
        )
    measures = fields.get("confined_by")
    if (
        not all(type(fields.get(key)) is str for key in _TEXTS)
        or not all(type(fields.get(key)) is dict for key in _OBJECTS)
        or not all(type(text) is str for key in _OBJECTS[1:] for text in fields[key].values())
        or type(measures) is not list
        or not all(type(measure) is str for measure in measures)
    ):
        raise ConversionError(f"The report about {file} is malformed.", path=file)
    given = {key: fields[key] for key in (*_TEXTS, *_OBJECTS)}
    return Report(**given, confined_by=tuple(measures))
