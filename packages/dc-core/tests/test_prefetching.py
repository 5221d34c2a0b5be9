"""Reading ahead: the same items, in a thread that always ends."""

import itertools
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

from dc_core import NumpyDataset, prefetch
from dc_core.errors import ParameterError


def threads():
    return [t for t in threading.enumerate() if t.name.startswith("prefetch")]


@pytest.mark.parametrize("depth", [1, 2, 7, 100])
@pytest.mark.parametrize("n", [0, 1, 2, 50])
def test_items_are_the_same_in_the_same_order(n, depth):
    assert list(prefetch(iter(range(n)), depth)) == list(range(n))
    assert threads() == []


def test_batches_are_those_of_the_dataset():
    dataset = NumpyDataset(np.arange(50.0), y=np.arange(50.0))
    ahead = prefetch(dataset.batches(7, shuffle=True, seed=3))
    for ours, theirs in zip(ahead, dataset.batches(7, shuffle=True, seed=3), strict=True):
        np.testing.assert_array_equal(ours.X, theirs.X)


@pytest.mark.parametrize("depth", [1, 3])
def test_no_more_than_the_depth_is_read_ahead(depth):
    read = []

    def source():
        for number in range(100):
            read.append(number)
            yield number

    ahead = prefetch(source(), depth)
    assert read == []  # nothing is read before it is asked for
    for taken in range(1, 6):
        next(ahead)
        deadline = time.monotonic() + 30
        while len(read) < taken + depth and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(0.01)
        assert len(read) == taken + depth
    ahead.close()


def test_the_next_item_is_read_while_this_one_is_used():
    reading = threading.Event()

    def source():
        yield 1
        reading.set()
        yield 2

    ahead = prefetch(source(), 1)
    assert next(ahead) == 1
    assert reading.wait(5)
    assert list(ahead) == [2]


def test_an_exception_is_raised_in_the_place_of_its_item():
    def source():
        yield 1
        yield 2
        raise LookupError("the disk is gone")

    found = []
    with pytest.raises(LookupError, match="the disk is gone"):
        found.extend(prefetch(source(), 5))
    ahead = prefetch(source(), 5)
    assert [next(ahead), next(ahead)] == [1, 2]
    with pytest.raises(LookupError):
        next(ahead)
    assert threads() == []


@pytest.mark.parametrize("how", ["closed", "dropped"])
def test_the_thread_ends_when_the_iterator_is_closed_or_dropped(how):
    ahead = prefetch(itertools.count(), 3)
    assert next(ahead) == 0
    assert len(threads()) == 1
    if how == "closed":
        ahead.close()
    else:
        del ahead
    assert threads() == []


def test_a_program_ends_with_an_iterator_that_it_still_holds():
    program = "import itertools, dc_core; held = dc_core.prefetch(itertools.count()); next(held)"
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, timeout=30)


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_ctrl_c_ends_the_program_and_the_thread():
    program = textwrap.dedent(
        """
        import time, threading, dc_core
        def source():
            while True:
                print("reading", flush=True)
                time.sleep(0.2)
                yield 1
        try:
            for item in dc_core.prefetch(source()):
                pass
        except KeyboardInterrupt:
            print("stopped", threading.active_count(), flush=True)
        """
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=30)
    assert said.splitlines()[-1] == "stopped 1"


def test_a_depth_below_one_is_refused_immediately():
    with pytest.raises(ParameterError, match="depth"):
        prefetch([], 0)
