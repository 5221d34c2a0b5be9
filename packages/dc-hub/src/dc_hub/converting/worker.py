"""The program that reads a file of another program, in a process of its own.

It is confined before it opens the file, and before it imports what reads it. It leaves two things
in its folder: the model directory ``model``, and ``report.json``. The process that started it
believes neither.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dc_core import DCError, byte_budget, escape_controls, plugins
from dc_core.errors import ConversionError
from dc_core.plugins import CONVERTERS, Foreign
from dc_hub.converting.confinement import confine, limit_resources, refuse_by_audit
from dc_hub.converting.naming import left_out, renamed
from dc_hub.converting.recognizing import recognize
from dc_hub.format import strict_json
from dc_hub.hubs.staging import Staging
from dc_hub.publishing.models import save
from dc_hub.publishing.weights import NamedWeights

MODEL: Final = "model"
REPORT: Final = "report.json"

_MAX_TEXT: Final = 2_000
_FOR_LIBRARIES: Final = 8 << 30
"""Bytes of address space, of which libraries take much and use little, before the file is read."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request to the worker, passed as JSON.

    The limits are in bytes and seconds; ``memory`` is in addition to what libraries take. A
    ``kind`` that is not empty is taken as given.
    """

    file: str
    kind: str
    trusted: bool
    rename: Mapping[str, str]
    omit: tuple[str, ...]
    memory: int
    seconds: int
    file_size: int


def main(text: str) -> None:
    """Carry out the request ``text`` in the working directory.

    The process that asks keeps standard input open; this one ends when it closes.
    """
    folder = Path.cwd()
    if sys.platform == "linux":
        from dc_hub.converting import linux

        linux.die_with_parent()
    try:
        written = strict_json.dumps(_convert(Request(**json.loads(text)), folder))
    except MemoryError:
        written = _error("LimitExceeded", "Reading the file needs too much memory.")
    except DCError as error:
        written = _error(_public_name(error), str(error.args[0]), error.hint)
    except BaseException as error:  # noqa: BLE001 - the file decides what is raised
        written = _error("ConversionError", f"It cannot be read: {type(error).__name__}: {error}")
    (folder / REPORT).write_bytes(written)
    # Nothing that the file may have left behind runs at the end.
    os._exit(0)


def _end_with_parent() -> None:
    """Wait for the end of standard input, and end this process."""
    while os.read(0, 1 << 16):
        pass
    os._exit(1)


def _public_name(error: DCError) -> str:
    """Return the name of the error's class, or of its nearest base that is not a plugin's own."""
    ours = ("dc_core.errors", "dc_hub.errors")
    return next(cls.__name__ for cls in type(error).__mro__ if cls.__module__ in ours)


def _error(name: str, message: str, hint: str = "") -> bytes:
    cut = (escape_controls(text)[:_MAX_TEXT] for text in (message, hint))
    return strict_json.dumps(dict(zip(("message", "hint"), cut, strict=True)) | {"error": name})


def _convert(request: Request, folder: Path) -> dict[str, Any]:
    limits = {"seconds": request.seconds, "file_size": request.file_size}
    limit_resources(memory=request.memory + _FOR_LIBRARIES, **limits)
    file = Path(request.file)
    measures = confine(file, folder)
    # Not before, so that the thread is confined too.
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    kind, what = request.kind, "the caller said so"
    if not kind:
        found = recognize(file)
        kind, what = found.kind, found.what
    CONVERTERS.load(kind)
    limit_resources(memory=request.memory, **limits)
    # Not before: what is imported looks for libraries by ctypes.
    refuse_by_audit(folder, libraries=plugins.calls_libraries(kind))
    with byte_budget(request.memory):
        foreign = plugins.read_file(kind, file, trusted=request.trusted)
    omitted = dict(foreign.omitted)
    if foreign.obj is not None:
        if request.rename or request.omit:
            raise ConversionError(
                f"The file is {foreign.what}, whose weights cannot be renamed or left out.",
                hint="Leave out rename and omit.",
            )
        save(foreign.obj, folder / MODEL)
    else:
        left = left_out(foreign.weights, request.omit)
        omitted |= dict.fromkeys(left, "left out as asked")
        _write_weights(foreign, request.rename, left, folder)
    return {
        "kind": kind,
        "recognized": what,
        "what": foreign.what,
        "facts": foreign.facts,
        "omitted": omitted,
        "versions": foreign.versions,
        "confined_by": [*measures, "audit hook"],
    }


def _write_weights(
    foreign: Foreign, rename: Mapping[str, str], left: list[str], folder: Path
) -> None:
    kept = [name for name in foreign.weights if name not in set(left)]
    aliases = {name: foreign.aliases.get(name, ()) for name in kept}
    names = renamed([n for name in kept for n in (name, *aliases[name])], rename)
    named = NamedWeights(
        backend=foreign.backend,
        arrays={names[name]: foreign.weights[name] for name in kept},
        aliases={names[name]: tuple(names[a] for a in aliases[name]) for name in kept},
        separator=foreign.separator,
    )
    if not kept:
        raise ConversionError("The file holds no weights.")
    with Staging(folder) as staging:
        named.write(staging)
        staging.seal()
        staging.move_to(folder / MODEL)


if __name__ == "__main__":
    main(sys.stdin.readline())
