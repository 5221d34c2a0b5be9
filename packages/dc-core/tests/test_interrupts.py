"""A Ctrl-C is held back while an object is being changed, and then handled as usual."""

import signal
import threading

import pytest

from dc_core import uninterrupted


@pytest.fixture(autouse=True)
def python_handles_interrupts():
    """Install Python's own handler: a shell starts background jobs with interrupts ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def press():
    signal.raise_signal(signal.SIGINT)


def interrupted(work):
    """Run ``work`` uninterrupted, and return what it did and the interrupt that followed."""
    done = []
    with pytest.raises(KeyboardInterrupt) as caught, uninterrupted():
        work(done)
    return done, caught.value


def test_an_interrupt_comes_after_the_block():
    def work(done):
        press()
        done.append("first")
        press()
        done.append("second")

    assert interrupted(work)[0] == ["first", "second"]


def test_the_handler_is_restored():
    before = signal.getsignal(signal.SIGINT)
    with uninterrupted():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before
    with pytest.raises(ValueError, match="wrong"), uninterrupted():
        raise ValueError("wrong")
    assert signal.getsignal(signal.SIGINT) is before


def test_an_interrupt_passes_although_the_block_raised():
    def work(done):
        press()
        raise ValueError("wrong")

    assert isinstance(interrupted(work)[1].__context__, ValueError)


def test_blocks_can_be_nested():
    def work(done):
        with uninterrupted():
            press()
        done.append("outer")

    assert interrupted(work)[0] == ["outer"]


def test_an_ignored_interrupt_stays_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with uninterrupted():
        press()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_in_other_threads_it_does_nothing():
    handlers = []

    def work():
        with uninterrupted():
            handlers.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert handlers == [signal.getsignal(signal.SIGINT)]
