"""Run Python code, or a suite's methods, in a new interpreter with the same search path."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from operator import attrgetter
from typing import Any, Final

from dc_core.testing.suite import Suite, skip

_CALL: Final = """
import json, sys
from dc_core.testing.fresh import load_suite
file, suite, method = sys.argv[1:]
print("\\n" + json.dumps(getattr(load_suite(file, suite)(), method)()))
"""


def load_suite(file: str, name: str) -> Any:
    """Return the suite with the qualified name ``name`` in the Python file ``file``."""
    spec = importlib.util.spec_from_file_location("suite_in_a_fresh_process", file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return attrgetter(name)(module)


def search_path() -> str:
    """Return this interpreter's search path as a value of ``PYTHONPATH``."""
    return os.pathsep.join(filter(None, sys.path))


def suite_file(suite: type[Suite]) -> str:
    """Return the file of ``suite``; skips the running law if no other process can import it."""
    file = getattr(sys.modules.get(suite.__module__), "__file__", None)
    if file is None or "<locals>" in suite.__qualname__:
        skip("a suite defined in a function or by hand cannot be imported by another process")
    return str(file)


def fresh_interpreter(code: str, *arguments: str) -> str:
    """Run ``code`` with ``arguments`` and return its standard output.

    Strings have other hashes there. Raises ``RuntimeError`` with the standard error output if the
    process fails.
    """
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": search_path(), "PYTHONHASHSEED": "random"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"The new interpreter failed:\n{done.stderr.strip()}")
    return done.stdout


def in_fresh_process(suite: Suite, method: str) -> Any:
    """Return what ``method`` of a suite like ``suite`` returns in a new interpreter, as JSON.

    Skips the running law if another process cannot import the suite. Raises ``RuntimeError`` like
    :func:`fresh_interpreter`.
    """
    cls = type(suite)
    written = fresh_interpreter(_CALL, suite_file(cls), cls.__qualname__, method)
    return json.loads(written.splitlines()[-1])
