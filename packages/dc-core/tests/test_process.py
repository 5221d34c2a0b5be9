"""What the conformance kit notices of a call's side effects: state, output, memory, interrupts."""

# ruff: noqa: NPY002 - NumPy's global random state is what is watched

import ctypes
import gc
import io
import locale
import logging
import mmap
import os
import random
import signal
import subprocess
import sys
import threading
import tracemalloc
import warnings
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from dc_core.testing import process
from dc_core.testing.fresh import fresh_interpreter
from dc_core.testing.process import (
    Interrupt,
    captured_output,
    change_of_state,
    interruptions,
    peak_memory,
    process_state,
    survive,
)

MIB = 2**20


pytestmark = pytest.mark.usefixtures("restored")


# State


def set_numpy_state(**changes):
    state = np.random.get_state(legacy=False)
    np.random.set_state({**state, **changes})


def advance_a_key():
    state = np.random.get_state(legacy=False)["state"]
    set_numpy_state(state={**state, "key": state["key"] ^ (np.arange(624) == 300)})


def move_the_position():
    state = np.random.get_state(legacy=False)["state"]
    set_numpy_state(state={**state, "pos": (state["pos"] + 1) % 624})


OTHER_LOCALE = "C.UTF-8" if locale.setlocale(locale.LC_NUMERIC) == "C" else "C"
RANDOM = "the state of the module random"
NUMPY = "NumPy's global random state"
ERRORS = "NumPy's error handling (np.seterr)"
FILTERS = "the warning filters"
PRINTING = "NumPy's print options"
LIMITS = "the interpreter's limits"
COLLECTOR = "the garbage collector"
ROOT = "the root logger"
SIGNALS = "the signal handlers"
STREAMS = "the standard streams"
HOOKS = "the hooks for uncaught errors"
CHANGES = {
    "seeds random": (RANDOM, lambda: random.seed(5)),
    "draws from random": (RANDOM, random.random),
    "caches a normal number in random": (RANDOM, lambda: random.gauss(0, 1)),
    "seeds NumPy": (NUMPY, lambda: np.random.seed(5)),
    "draws from NumPy": (NUMPY, np.random.rand),
    "sets one word of NumPy's state": (NUMPY, advance_a_key),
    "moves NumPy's position": (NUMPY, move_the_position),
    "forgets NumPy's cached normal number": (NUMPY, lambda: set_numpy_state(has_gauss=0)),
    "sets NumPy's cached normal number": (NUMPY, lambda: set_numpy_state(gauss=0.25)),
    "gives NumPy another generator": (
        NUMPY,
        lambda: np.random.set_bit_generator(np.random.PCG64(0)),
    ),
    "ignores overflow": (ERRORS, lambda: np.seterr(over="ignore")),
    "raises on underflow": (ERRORS, lambda: np.seterr(under="raise")),
    "adds a variable": ("os.environ", lambda: os.environ.update(NEW_VARIABLE="1")),
    "removes a variable": ("os.environ", lambda: os.environ.pop("PATH")),
    "changes a variable": ("os.environ", lambda: os.environ.update(PATH="elsewhere")),
    "changes the directory": ("the working directory", lambda: os.chdir("/")),
    "adds a filter": (FILTERS, lambda: warnings.simplefilter("ignore", UserWarning)),
    "drops the filters": (FILTERS, warnings.resetwarnings),
    "calls back on errors": (ERRORS, lambda: np.seterrcall(print)),
    "prints fewer digits": (PRINTING, lambda: np.set_printoptions(precision=3)),
    "handles Ctrl-C": (SIGNALS, lambda: signal.signal(signal.SIGINT, lambda *_: None)),
    "ignores a request to end": (SIGNALS, lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN)),
    "changes the umask": ("the umask", lambda: os.umask(0o070)),
    "changes the locale": ("the locale", lambda: locale.setlocale(locale.LC_NUMERIC, OTHER_LOCALE)),
    "adds to the path": ("sys.path", lambda: sys.path.append("elsewhere")),
    "replaces standard input": (STREAMS, lambda: setattr(sys, "stdin", io.StringIO())),
    "replaces standard output": (STREAMS, lambda: setattr(sys, "stdout", io.StringIO())),
    "replaces standard error": (STREAMS, lambda: setattr(sys, "stderr", io.StringIO())),
    "allows deep recursion": (LIMITS, lambda: sys.setrecursionlimit(12345)),
    "allows long numbers": (LIMITS, lambda: sys.set_int_max_str_digits(0)),
    "switches threads more often": (LIMITS, lambda: sys.setswitchinterval(0.001)),
    "stops collecting": (COLLECTOR, gc.disable),
    "collects less often": (COLLECTOR, lambda: gc.set_threshold(12345)),
    "sets the root logger's level": (ROOT, lambda: logging.root.setLevel(logging.DEBUG)),
    "adds a handler": (ROOT, lambda: logging.root.addHandler(logging.NullHandler())),
    "disables logging": (ROOT, lambda: logging.disable(logging.CRITICAL)),
    "hides uncaught errors": (HOOKS, lambda: setattr(sys, "excepthook", print)),
    "hides those of threads": (HOOKS, lambda: setattr(threading, "excepthook", print)),
}


@pytest.mark.parametrize(("what", "call"), CHANGES.values(), ids=CHANGES.keys())
def test_a_change_of_the_process_is_named(what, call):
    np.random.standard_normal()  # One more is cached: normal numbers are drawn in pairs.
    np.seterr(over="warn", under="ignore")
    assert change_of_state(lambda: None) == ""
    assert change_of_state(call) == what


def test_what_is_restored_is_no_change(restored):
    def call():
        with restored():
            for _, change in CHANGES.values():
                change()

    assert change_of_state(call) == ""


def test_other_generators_of_numpy_are_watched():
    np.random.set_bit_generator(np.random.Philox(0))
    assert change_of_state(lambda: None) == ""
    assert change_of_state(np.random.rand) == NUMPY


def test_a_generator_of_ones_own_is_no_change():
    assert change_of_state(lambda: np.random.default_rng(0).normal(size=1000)) == ""
    assert change_of_state(lambda: random.Random(0).random()) == ""


def test_the_state_of_the_framework_is_compared_too():
    modes = {"training": False}

    def train():
        modes["training"] = True

    assert change_of_state(train) == ""
    modes["training"] = False
    assert change_of_state(train, lambda: dict(modes)) == "the framework's global state"
    assert change_of_state(train, lambda: dict(modes)) == ""


def test_filters_of_warnings_that_were_unknown_before_are_no_change(tmp_path, monkeypatch):
    source = "import warnings\nclass OwnWarning(Warning): ...\nwarnings.simplefilter('once', {})\n"
    (tmp_path / "own_warning.py").write_text(source.format("OwnWarning"))
    (tmp_path / "user_warning.py").write_text(source.format("UserWarning"))
    monkeypatch.syspath_prepend(tmp_path)
    assert change_of_state(lambda: import_module("own_warning")) == ""
    assert change_of_state(lambda: import_module("user_warning")) == FILTERS
    import own_warning

    def ignore():
        warnings.simplefilter("ignore", own_warning.OwnWarning)

    assert change_of_state(ignore) == FILTERS
    del sys.modules["own_warning"], sys.modules["user_warning"]


def test_the_first_change_is_named():
    def call():
        os.chdir("/")
        random.random()

    assert change_of_state(call) == RANDOM


def test_looking_at_the_state_changes_nothing():
    assert process_state() == process_state()


def test_threads_left_running_are_a_change_and_those_that_end_are_none():
    ended, stop = threading.Event(), threading.Event()
    earlier = threading.Thread(target=ended.wait)
    earlier.start()
    left = threading.Thread(target=stop.wait)
    try:

        def end():
            ended.set()
            earlier.join()

        def start_and_join():
            thread = threading.Thread(target=int)
            thread.start()
            thread.join()

        assert change_of_state(lambda: None) == ""
        assert change_of_state(end) == ""
        assert change_of_state(start_and_join) == ""
        assert change_of_state(left.start) == "the running threads"
        assert change_of_state(lambda: None) == ""
    finally:
        ended.set()
        stop.set()
        left.join()


def leave_a_file_open():
    return os.open(os.devnull, os.O_RDONLY)


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="open files cannot be listed")
def test_files_left_open_are_a_change_and_those_that_are_closed_are_none():
    left = []

    def open_and_close():
        os.close(leave_a_file_open())

    def leave_in_a_cycle():
        cycle = [Path(os.devnull).open()]  # noqa: SIM115
        cycle.append(cycle)

    assert change_of_state(lambda: left.append(leave_a_file_open())) == "the open files"
    assert change_of_state(open_and_close) == ""
    assert change_of_state(lambda: os.close(left.pop())) == ""
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):
        assert change_of_state(leave_in_a_cycle) == ""


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="open files cannot be listed")
def test_another_file_of_the_same_number_is_a_change(tmp_path):
    for name in ("one", "other"):
        (tmp_path / name).touch()
    descriptor = os.open(tmp_path / "one", os.O_RDONLY)

    def replace():
        os.close(descriptor)
        assert os.open(tmp_path / "other", os.O_RDONLY) == descriptor

    try:
        assert change_of_state(replace) == "the open files"
    finally:
        os.close(descriptor)


def test_state_is_compared_where_open_files_cannot_be_listed(monkeypatch, tmp_path):
    monkeypatch.setattr(process, "_DESCRIPTORS", tmp_path / "none")
    left = []
    assert change_of_state(lambda: left.append(leave_a_file_open())) == ""
    assert change_of_state(random.random) == RANDOM
    os.close(left.pop())


def test_the_call_is_made_once_and_its_error_passes():
    calls = []
    assert change_of_state(lambda: calls.append(1)) == ""
    assert calls == [1]
    with pytest.raises(ZeroDivisionError):
        change_of_state(lambda: 1 / 0)


# Output

NATIVE = ctypes.CDLL("ucrtbase" if os.name == "nt" else None)


def write_to_a_descriptor(descriptor):
    return lambda: os.write(descriptor, b"a word")


def log():
    handler = logging.StreamHandler(sys.stderr)
    handler.handle(logging.makeLogRecord({"msg": "a word"}))


OUTPUTS = {
    "print": lambda: print("a word"),
    "standard error": lambda: print("a word", file=sys.stderr),
    "a log handler": log,
    "descriptor 1": write_to_a_descriptor(1),
    "descriptor 2": write_to_a_descriptor(2),
    "a child": lambda: subprocess.run([sys.executable, "-c", "print('a word')"], check=True),
    "C": lambda: NATIVE.puts(b"a word"),
    "the original standard output": lambda: sys.__stdout__.write("a word"),
    "the original standard error": lambda: sys.__stderr__.write("a word"),
}


@pytest.mark.parametrize("call", OUTPUTS.values(), ids=OUTPUTS.keys())
def test_all_output_is_captured_and_none_gets_through(call, capfd):
    with captured_output() as written:
        assert written == []
        call()
    assert "".join(written).strip() == "a word"
    NATIVE.fflush(None)
    assert capfd.readouterr() == ("", "")


def test_nothing_is_captured_where_nothing_is_written():
    with captured_output() as written:
        pass
    assert written == ["", ""]


def test_output_before_and_after_is_left_alone(capfd):
    streams = sys.stdout, sys.stderr
    NATIVE.puts(b"before in C")
    sys.__stdout__.write("before in Python\n")
    with captured_output() as written:
        print("within")
    print("after")
    os.write(1, b"after on 1\n")
    os.write(2, b"after on 2\n")
    assert written == ["within\n", ""]
    assert (sys.stdout, sys.stderr) == streams
    out, err = capfd.readouterr()
    assert sorted(out.splitlines()) == ["after", "after on 1", "before in C", "before in Python"]
    assert err == "after on 2\n"


BUFFERED = """
import ctypes, json, os, sys
from dc_core.testing.process import captured_output
native = ctypes.CDLL("ucrtbase" if os.name == "nt" else None)
native.puts(b"before in C")
print("before in Python", flush=False)
with captured_output() as written:
    native.puts(b"C")
    sys.__stdout__.write("output, ")
    sys.__stderr__.write("error, ")
print(json.dumps(written), file=sys.stderr)
raise SystemExit(written != ["", sys.argv[1]])
"""


def test_buffered_output_is_captured_where_standard_output_is_a_pipe(monkeypatch):
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    written = fresh_interpreter(BUFFERED, "output, error, C\n")
    assert sorted(written.splitlines()) == ["before in C", "before in Python"]


def test_a_program_without_standard_streams_can_be_watched(monkeypatch):
    monkeypatch.setattr(sys, "__stdout__", None)
    monkeypatch.setattr(sys, "__stderr__", None)
    with captured_output() as written:
        print("a word")
    assert written == ["a word\n", ""]


def free_descriptors():
    """Return the descriptors that the next files will get."""
    copies = [os.dup(1) for _ in range(5)]
    for copy in copies:
        os.close(copy)
    return copies


def test_capturing_ends_and_leaves_no_descriptor_open_where_the_call_fails(capfd):
    def call():
        print("a word")
        raise OSError("disk on fire")

    free = free_descriptors()
    with pytest.raises(OSError, match="disk on fire"), captured_output() as written:
        call()
    assert written == ["a word\n", ""]
    assert free_descriptors() == free
    print("after")
    assert capfd.readouterr().out == "after\n"


def test_output_that_is_not_utf_8_is_shown_as_far_as_possible():
    with captured_output() as written:
        os.write(1, b"\xff word")
    assert written == ["", "\ufffd word"]


# Memory


class Thing:
    pass


def test_what_nobody_else_refers_to_does_not_survive():
    objects = {"a": Thing(), "b": np.zeros(3)}
    assert not survive(objects)
    assert objects == {}


def test_a_reference_anywhere_keeps_an_object():
    kept = [Thing()]
    assert survive({"a": Thing(), "b": kept[0], "c": Thing()})
    view = np.zeros(3)
    assert survive({"a": view, "b": Thing()})


def test_a_reference_cycle_is_collected_first():
    gc.disable()
    try:
        thing = Thing()
        thing.itself = thing
        objects = {"a": thing}
        del thing
        assert not survive(objects)
    finally:
        gc.enable()


def test_what_cannot_be_referenced_weakly_is_an_error():
    objects = {"a": 1}
    with pytest.raises(TypeError):
        survive(objects)


@pytest.fixture(params=[False, True], ids=["fresh", "tracing"])
def tracing(request):
    """Run with tracemalloc as the caller may have it: off, or on."""
    if request.param:
        tracemalloc.start()
    yield request.param
    tracemalloc.stop()


@pytest.fixture(params=["as it is", "no peak to reset", "no status"])
def system(request, monkeypatch, tmp_path):
    """Take from the system what other systems lack."""
    if request.param != "as it is":
        monkeypatch.setattr(process, "_RESET", tmp_path / "none" / "none")
    if request.param == "no status":
        monkeypatch.setattr(process, "_STATUS", tmp_path / "none")


def touch_an_array():
    np.ones(32 * MIB, np.uint8)


@pytest.mark.usefixtures("system")
def test_the_peak_of_an_array_is_measured(tracing):
    assert 32 * MIB <= peak_memory(touch_an_array) < 40 * MIB
    assert tracemalloc.is_tracing() == tracing


@pytest.mark.usefixtures("system")
def test_memory_of_before_is_not_counted(tracing):
    kept = np.ones(16 * MIB, np.uint8)
    touch_an_array()
    assert peak_memory(lambda: None) < 4 * MIB
    assert tracemalloc.is_tracing() == tracing
    assert kept[0] == 1


@pytest.mark.usefixtures("tracing")
def test_small_allocations_after_a_large_one_are_small():
    touch_an_array()
    assert MIB <= peak_memory(lambda: np.ones(MIB, np.uint8)) < 8 * MIB


def test_the_peak_is_reset_where_the_call_fails(tracing):
    with pytest.raises(ZeroDivisionError):
        peak_memory(lambda: 1 / 0)
    assert tracemalloc.is_tracing() == tracing


@pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="native memory is counted on Linux alone"
)
def test_native_memory_is_counted_where_the_system_tells():
    block = b"1" * MIB

    def call():
        with mmap.mmap(-1, 32 * MIB) as region:
            for _ in range(32):
                region.write(block)

    for _ in range(2):
        assert 31 * MIB <= peak_memory(call) < 40 * MIB


def test_entries_of_the_status_are_read_in_bytes(tmp_path, monkeypatch):
    status = tmp_path / "status"
    status.write_text("Name:\tpython\nVmHWM:\t   12 kB\nOtherVmRSS:\t 7 kB\nVmRSS:\t    5 kB\n")
    monkeypatch.setattr(process, "_STATUS", status)
    entries = [process._resident(key) for key in ("VmHWM", "VmRSS", "VmPeak", "Name")]
    assert entries == [12 * 1024, 5 * 1024, 0, 0]


# Interrupts

MODULE = """
def run(n, done):
    for i in range(n):
        done.append(i)
    done.append("end")


def loop_on_one_line(n, done):
    for i in range(n): done.append(i)


def swallow(done):
    try:
        done.append(0)
    except KeyboardInterrupt:
        done.append("swallowed")
    done.append(1)
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Return a package of a few lines that can be interrupted, ``watched``."""
    home = tmp_path / "watched"
    home.mkdir()
    (home / "__init__.py").write_text("")
    (home / "inner.py").write_text(MODULE)
    (tmp_path / "other.py").write_text(MODULE)
    (tmp_path / "watched_too.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    yield __import__("watched.inner").inner
    for name in ("watched", "watched.inner", "other", "watched_too"):
        sys.modules.pop(name, None)


def test_the_lines_of_the_given_packages_are_counted(package):
    import other
    import watched_too

    done = []
    with Interrupt({"watched"}) as counted:
        package.run(3, done)
        other.run(5, done)
        watched_too.run(5, done)
    # The loop's line 4 times, its body 3 times, the last line once.
    assert (counted.lines, counted.pressed) == (8, False)
    counts = {3: [1, 3, 5, 7], 4: [2, 4, 6], 5: [8]}
    assert counted.counts == {(package.__file__, line): at for line, at in counts.items()}
    with Interrupt({"watched", "other"}) as counted:
        package.run(1, done)
        other.run(1, done)
    assert (counted.lines, len(counted.counts)) == (8, 6)


@pytest.mark.parametrize("at", range(1, 9))
def test_the_interrupt_comes_before_the_given_line(package, at):
    done, interrupt = [], Interrupt({"watched"}, at)
    with pytest.raises(KeyboardInterrupt), interrupt:
        package.run(3, done)
    assert (interrupt.lines, interrupt.pressed) == (at, True)
    assert done == [0, 1, 2][: (at - 1) // 2]


def test_no_interrupt_comes_after_the_last_line(package):
    done = []
    with Interrupt({"watched"}, 9) as interrupt:
        package.run(3, done)
    assert (interrupt.pressed, done) == (False, [0, 1, 2, "end"])


def test_there_is_one_interrupt_even_if_it_is_swallowed(package):
    done = []
    with Interrupt({"watched"}, 2) as interrupt:
        package.swallow(done)
        package.swallow(done)
    assert (interrupt.pressed, interrupt.lines) == (True, 2)
    assert done == ["swallowed", 1, 0, 1]


@pytest.mark.parametrize("at", [None, 2])
def test_the_handler_and_the_tracer_are_restored(package, at):
    def tracer(*_):
        return None

    def handler(*_):
        raise AssertionError("The handler of the caller was called.")

    signal.signal(signal.SIGINT, handler)
    sys.settrace(tracer)
    with suppress(KeyboardInterrupt), Interrupt({"watched"}, at):
        package.run(1, [])
    assert sys.gettrace() is tracer
    assert signal.getsignal(signal.SIGINT) is handler


def interrupted_at(run, *arguments):
    """Return the lines at which a call is interrupted, and what was done by then."""
    attempts = {}
    for interrupt in interruptions({"watched"}, lambda: run(*arguments, [])):
        done = []
        with pytest.raises(KeyboardInterrupt), interrupt:
            run(*arguments, done)
        assert interrupt.at not in attempts
        attempts[interrupt.at] = done
    return attempts


def test_each_line_is_interrupted_half_way_and_when_it_is_executed_for_the_last_two_times(package):
    assert interrupted_at(package.run, 6) == {
        # The first line is executed 7 times, the second 6 times, the last once.
        7: [0, 1, 2],
        8: [0, 1, 2],
        10: [0, 1, 2, 3],
        11: [0, 1, 2, 3, 4],
        12: [0, 1, 2, 3, 4],
        13: [0, 1, 2, 3, 4, 5],
        14: [0, 1, 2, 3, 4, 5],
    }
    assert interrupted_at(package.run, 0) == {1: [], 2: []}


def test_a_loop_on_one_line_is_interrupted_within(package):
    done = interrupted_at(package.loop_on_one_line, 4).values()
    assert {tuple(numbers) for numbers in done} >= {(0, 1), (0, 1, 2), (0, 1, 2, 3)}


def test_code_without_a_module_name_is_not_interrupted():
    with Interrupt({"watched"}, 1) as interrupt:
        exec("done = 1", {})
    assert not interrupt.pressed
