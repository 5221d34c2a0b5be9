"""Run Python code, or a suite's methods, in a new interpreter with the same search path."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any, Final

from dc_core.testing.suite import Suite, skip

_CALL: Final = """
import importlib.util, json, sys
from operator import attrgetter
file, suite, method = sys.argv[1:]
spec = importlib.util.spec_from_file_location("suite_in_a_fresh_process", file)
module = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = module
spec.loader.exec_module(module)
print("\\n" + json.dumps(getattr(attrgetter(suite)(module)(), method)()))
"""


def fresh_interpreter(code: str, *arguments: str) -> str:
    """Run ``code`` with ``arguments`` and return its standard output.

    Strings have other hashes there. Raises ``RuntimeError`` with the standard error output if the
    process fails.
    """
    path = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "random"},
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
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    if file is None or "<locals>" in cls.__qualname__:
        skip("a suite defined in a function or by hand cannot be imported by another process")
    return json.loads(fresh_interpreter(_CALL, file, cls.__qualname__, method).splitlines()[-1])
