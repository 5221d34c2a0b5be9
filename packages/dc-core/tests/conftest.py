"""Real distributions for the tests: metadata and modules in a folder on the path, no mocks."""

# ruff: noqa: NPY002 - NumPy's global random state is restored too

import gc
import locale
import logging
import os
import random
import signal
import sys
import threading
import warnings
from contextlib import contextmanager
from importlib import import_module, invalidate_caches
from pathlib import Path

import numpy as np
import pytest

from dc_core import plugins
from dc_core.registry import components, models

GRAVEYARD = Path(__file__).parent / "graveyard"


def forget_plugins():
    plugins.refresh()
    models.refresh()
    components.refresh()


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a distribution for the length of one test.

    ``install(name, {group: {entry point: value}}, {module: source}, version=...)`` returns the
    folder that it is in. With ``files`` it is installed as from a wheel that contains them.
    """

    def install(
        name, entry_points, modules=None, version="1.0", folder=None, requires=(), files=()
    ):
        home = tmp_path / (folder or f"{name}-{version}")
        info = home / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        header = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}"]
        header += [f"Requires-Dist: {line}" for line in requires]
        (info / "METADATA").write_text("\n".join(header) + "\n")
        if files:
            record = [*files, f"{info.name}/METADATA", f"{info.name}/RECORD"]
            (info / "RECORD").write_text("".join(f"{file},,\n" for file in record))
        lines = []
        for group, entries in entry_points.items():
            lines += [f"[{group}]", *(f"{key} = {value}" for key, value in entries.items())]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
        for module, source in (modules or {}).items():
            (home / f"{module}.py").write_text(source)
        monkeypatch.syspath_prepend(home)
        invalidate_caches()
        forget_plugins()
        return home

    yield install
    monkeypatch.undo()
    forget_modules(tmp_path)
    forget_plugins()


def forget_modules(folder):
    """Let the modules in ``folder`` be imported anew, with none of the state they have now."""
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(str(folder)):
            del sys.modules[name]


@pytest.fixture
def install_tiny(install):
    """Install the framework ``tiny`` and a backend for it, as from a wheel.

    ``install_tiny(entries, requires=..., files=...)`` takes the backend's entry points, and what
    differs from a good distribution.
    """

    def install_tiny(
        entries,
        requires=("dc-core>=0.1.0.dev0", "tiny", "pytest; extra == 'test'"),
        files=("../../../bin/tiny", "tiny_backend/__init__.py", "tiny_backend/plugin.py"),
    ):
        install("tiny", {})
        return install("tiny-backend", {"dc.backends.v1": entries}, requires=requires, files=files)

    return install_tiny


@pytest.fixture
def graveyard(monkeypatch):
    """Put the graveyard on the path and return a function that imports its modules."""
    monkeypatch.syspath_prepend(GRAVEYARD)
    yield import_module
    forget_modules(GRAVEYARD)


@contextmanager
def process_restored():
    """Undo what is done to the process's state in the block."""
    environment, directory, mask = dict(os.environ), Path.cwd(), os.umask(0o077)
    os.umask(mask)
    path, streams = list(sys.path), (sys.stdin, sys.stdout, sys.stderr)
    limits = sys.getrecursionlimit(), sys.getswitchinterval(), sys.get_int_max_str_digits()
    collecting, thresholds = gc.isenabled(), gc.get_threshold()
    root, disabled = logging.root, logging.root.manager.disable
    level, handlers = root.level, list(root.handlers)
    signals = {number: signal.getsignal(number) for number in signal.valid_signals()}
    hooks, tracer = (sys.excepthook, threading.excepthook), sys.gettrace()
    state, numpy_state = random.getstate(), np.random.get_state(legacy=False)
    generator, language = np.random.get_bit_generator(), locale.setlocale(locale.LC_ALL)
    errors, callback, printing = np.geterr(), np.geterrcall(), np.get_printoptions()
    with warnings.catch_warnings():
        yield
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(directory)
    os.umask(mask)
    sys.path[:] = path
    sys.stdin, sys.stdout, sys.stderr = streams
    sys.setrecursionlimit(limits[0])
    sys.setswitchinterval(limits[1])
    sys.set_int_max_str_digits(limits[2])
    (gc.enable if collecting else gc.disable)()
    gc.set_threshold(*thresholds)
    root.setLevel(level)
    root.handlers[:] = handlers
    logging.disable(disabled)
    for number, handler in signals.items():
        if signal.getsignal(number) is not handler:
            signal.signal(number, handler)
    sys.excepthook, threading.excepthook = hooks
    sys.settrace(tracer)
    random.setstate(state)
    np.random.set_bit_generator(generator)
    np.random.set_state(numpy_state)
    locale.setlocale(locale.LC_ALL, language)
    np.seterr(**errors)
    np.seterrcall(callback)
    np.set_printoptions(**printing)


@pytest.fixture
def restored():
    """Undo what is done to the process's state in the test; return the context that does it."""
    with process_restored():
        yield process_restored


@pytest.fixture(scope="session")
def try_law():
    """Return a function that tries a law of a suite to which it must apply: a skip is a failure."""

    def try_law(suite, law):
        try:
            getattr(suite, law)()
        except pytest.skip.Exception as skipped:
            pytest.fail(f"{law} does not apply: {skipped}")

    return try_law


@pytest.fixture
def lines(lines_once, monkeypatch):
    """Return the module with the good model and the bad ones, which other processes can import."""
    monkeypatch.setitem(sys.modules, "lines", lines_once)
    return lines_once


@pytest.fixture(scope="session")
def lines_once():
    """Import the module with the good model and the bad ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(GRAVEYARD)
        return import_module("lines")


def pytest_generate_tests(metafunc):
    """Run a test that asks for something bad once for each that is in the graveyard."""
    bad = {
        "grave": "graves",
        "bad_model": "lines",
        "bad_engine": "bad_engines",
        "bad_trainer": "trained_lines",
    }
    for fixture, module in bad.items():
        if fixture not in metafunc.fixturenames:
            continue
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(GRAVEYARD)
            graves = import_module(module).GRAVES
        forget_modules(GRAVEYARD)
        metafunc.parametrize(fixture, graves.values(), ids=graves.keys())
