"""A Ctrl-C is held back while an object is being changed, and then handled as usual."""

import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from dc_core import deferred_signals, uninterrupted
from dc_core.testing.process import apart


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

    def run():
        with uninterrupted():
            work(done)

    with pytest.raises(KeyboardInterrupt) as caught:
        apart(run)
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


def sent(*numbers):
    for number in numbers:
        signal.raise_signal(number)


def ended(work, error=KeyboardInterrupt):
    """Run ``work(signals)`` with signals deferred, and return the error that ended it."""

    def run():
        with deferred_signals() as signals:
            work(signals)

    with pytest.raises(error) as caught:
        apart(run)
    return caught.value


def test_a_signal_is_taken_where_the_block_checks():
    done = []

    def work(signals):
        for step in range(5):
            if step == 2:
                sent(signal.SIGINT)
            done.append(step)
            signals.check()

    ended(work)
    assert done == [0, 1, 2]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_signal_after_the_last_check_is_taken_at_the_end():
    done = []
    ended(lambda _: (sent(signal.SIGINT), done.append(True)))
    assert done


def test_a_second_signal_does_not_wait_but_never_comes_within_a_whole():
    done = []

    def work(signals):
        with signals.whole():
            sent(signal.SIGINT, signal.SIGINT, signal.SIGINT)
            done.append("whole")
        sent(signal.SIGINT)
        done.append("never")

    ended(work)
    assert done == ["whole"]


def test_the_request_to_terminate_ends_the_process_by_an_exit_of_its_own():
    error = ended(lambda signals: (sent(signal.SIGTERM), signals.check()), SystemExit)
    assert error.code == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_the_programs_own_handlers_are_called_and_ignored_signals_stay_ignored():
    received = []
    before = signal.signal(signal.SIGTERM, lambda number, _: received.append(number))
    ignored = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with deferred_signals() as signals:
            sent(signal.SIGTERM, signal.SIGINT)
            assert received == []
            signals.check()
            assert received == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)
        signal.signal(signal.SIGINT, ignored)


def test_in_other_threads_signals_are_left_alone():
    def work():
        with deferred_signals() as signals:
            signals.check()
            return signal.getsignal(signal.SIGINT)

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(work).result() is signal.default_int_handler


def test_an_error_of_the_block_passes_and_the_handlers_are_put_back():
    with pytest.raises(ValueError, match="wrong"), deferred_signals():
        raise ValueError("wrong")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
