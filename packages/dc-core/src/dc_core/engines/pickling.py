"""Calls and outcomes as bytes, between a program and the workers that it has started.

Pickle is right here, and here alone: both ends are the same program of the same user.
"""

from __future__ import annotations

import io
import pickle
import sys
import traceback
from types import FunctionType
from typing import Any

from dc_core.engines.contract import Outcome
from dc_core.errors import NotSerializable

try:
    import cloudpickle
except ImportError:
    cloudpickle = None


def dumps(call: object) -> bytes:
    """Return ``call`` as bytes for :func:`run_isolated`, with where its modules are found.

    What a call reads from a file may be written by it too, for :func:`loads`.

    What is defined in a script, a notebook or another function needs the package cloudpickle.
    Raises :class:`NotSerializable`.
    """
    try:
        return pickle.dumps((sys.path, _dumps(call)))
    except NotSerializable:
        raise
    except Exception as error:
        raise NotSerializable(
            f"The call cannot be sent to a worker: {type(error).__name__}: {error}.",
            hint="A task consists of plain values, paths, and functions of modules."
            if cloudpickle
            else "Run: pip install cloudpickle, or move it to a module.",
        ) from error


def loads(message: bytes) -> Any:
    """Return what :func:`dumps` has written, importing its modules.

    It can execute anything: ``message`` has to be from this program.
    """
    path, call = pickle.loads(message)  # noqa: S301 - from the program that started this worker
    sys.path += [folder for folder in path if folder not in sys.path]
    return pickle.loads(call)  # noqa: S301


def dumps_outcome(outcome: Outcome) -> bytes:
    """Return ``outcome`` as bytes; an error that cannot be sent is replaced by its text."""
    error = outcome.error
    if error is None:
        return pickle.dumps(outcome)
    text = "".join(traceback.format_exception(error))
    error.add_note(f"It was raised in a worker:\n{text}")
    try:
        message = _dumps(outcome)
        loads_outcome(message)
    except Exception:  # noqa: BLE001 - whatever its author has written
        replacement = RuntimeError(outcome.message)
        replacement.add_note(f"It was raised in a worker:\n{text}")
        return pickle.dumps(Outcome(outcome.status, outcome.message, replacement))
    return message


def loads_outcome(message: bytes) -> Outcome:
    """Return the outcome that :func:`dumps_outcome` has written."""
    outcome: Outcome = pickle.loads(message)  # noqa: S301 - from a worker of this program
    return outcome


def _dumps(value: object) -> bytes:
    if cloudpickle is not None:
        data: bytes = cloudpickle.dumps(value)
        return data
    file = io.BytesIO()
    _Pickler(file).dump(value)
    return file.getvalue()


class _Pickler(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        """Refuse objects that workers cannot import, since they never run the user's program."""
        if isinstance(value, type | FunctionType) and value.__module__ == "__main__":
            raise NotSerializable(
                f"{value.__qualname__} is defined in the running program, which workers do not "
                "import.",
                hint="Run: pip install cloudpickle, or move it to a module.",
            )
        return NotImplemented
