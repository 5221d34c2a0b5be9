"""Bad engines: each is a good one with one mistake, and says which check of the kit finds it."""

import shutil
import signal
import tempfile
import threading
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from dc_core.engines import Outcome, Processes, Serial
from dc_core.engines.directory import name_of
from dc_core.testing import EngineSuite

LEFT = []
"""What ends what bad engines leave behind."""


@dataclass(frozen=True)
class Grave:
    """A suite of a bad engine, the law that it breaks, and what the kit says about it."""

    suite: type
    law: str
    says: str
    left: list


GRAVES = {}


def breaks(law, says):
    """Bury an engine for the law that it breaks; several laws bury it several times."""

    def bury(engine):
        suite = type(f"{engine.__name__}Suite", (EngineSuite,), {"make": lambda self: engine()})
        GRAVES[f"{engine.__name__}: {law}"] = Grave(suite, law, says, LEFT)
        return engine

    return bury


class Good(Processes):
    """A good engine that remembers what was submitted."""

    def __init__(self, workers=2, **options):
        super().__init__(workers, **options)
        self.known = {}

    def submit(self, number, call):
        self.known[number] = call
        super().submit(number, call)

    def wait(self):
        number, outcome = super().wait()
        return number, self.changed(number, outcome, self.known[number])

    def changed(self, number, outcome, call):
        return outcome


def place_of(attempt):
    return attempt.directory / name_of((attempt.start, attempt.stop))


@breaks("test_results_are_those_of_serial", "are not the squares of the rows")
@breaks("test_a_row_that_crashes_is_isolated", "are not the squares of the rows")
@breaks("test_another_engine_continues_its_runs", "are not the squares of the rows")
class Spoils(Good):
    def changed(self, number, outcome, call):
        if outcome.status == "ok":
            (place_of(call) / "squares.txt").write_text("0\n" * (call.stop - call.start))
        return outcome


@breaks("test_as_many_calls_run_at_once_as_there_are_workers", "It has 0 workers")
class NoWorkers(Good):
    workers = 0


@breaks("test_as_many_calls_run_at_once_as_there_are_workers", "has 2 workers, and 3 calls ran")
class MoreWorkers(Good):
    workers = 2

    def __init__(self):
        super().__init__(3)


@breaks("test_as_many_calls_run_at_once_as_there_are_workers", "has 2 workers, and 1 calls ran")
class OneAfterAnother(Good):
    workers = 2

    def __init__(self):
        super().__init__(1)


@breaks("test_every_call_ends_once", "were submitted, and [101, 102, 103, 104] ended")
class Renumbers(Good):
    def wait(self):
        number, outcome = super().wait()
        return number + 1, outcome


@breaks("test_submitting_does_not_wait", "Submitting a call took as long as the call")
class RunsAtOnce(Serial):
    def submit(self, number, call):
        call()


@breaks("test_an_exception_is_an_error", "A call that raised ValueError gave Outcome(status='ok'")
class Forgives(Good):
    def changed(self, number, outcome, call):
        return Outcome("ok")


@breaks("test_an_exception_is_an_error", "An exception that cannot be pickled gave")
class LosesTheText(Good):
    def changed(self, number, outcome, call):
        return replace(outcome, message="RuntimeError")


@breaks("test_calls_that_cannot_be_pickled_are_refused", "it raised nothing")
class PicklesLater(Serial):
    isolated = True


@breaks("test_a_killed_worker_costs_its_shard_alone", "ran 2 times")
class BreaksThePool(Good):
    """As in concurrent.futures, one dead worker is the end of every call."""

    def __init__(self):
        super().__init__()
        self.broken = set()

    def changed(self, number, outcome, call):
        del self.known[number]
        if outcome.status == "crash":
            self.broken |= set(self.known)
        if number in self.broken:
            shutil.rmtree(place_of(call), ignore_errors=True)
            return Outcome("crash")
        return outcome


@breaks(
    "test_a_row_that_crashes_is_isolated", "Row 11 had to abort. Rows without a result: [(11, 12"
)
class BlamesTheNextRow(Good):
    def changed(self, number, outcome, call):
        return Outcome("crash") if call.start <= 12 < call.stop else outcome

    def submit(self, number, call):
        if call.start <= 12 < call.stop:
            self.known[number] = call
            Processes.submit(self, number, partial(int, 0))
        else:
            super().submit(number, call)


@breaks(
    "test_a_row_that_hangs_is_isolated", "had to hang. Rows without a result: [(11, 12, 'crash')]"
)
class LosesTheLog(Good):
    def changed(self, number, outcome, call):
        call.log.unlink(missing_ok=True)
        return outcome


@breaks("test_another_engine_continues_its_runs", "The shards [] were finished; the next run did")
class TidiesUp(Good):
    def cancel(self):
        super().cancel()
        for call in self.known.values():
            shutil.rmtree(place_of(call), ignore_errors=True)


breaks(
    "test_another_engine_continues_its_runs", "The shards [] were finished; the next run did [0, 8"
)(TidiesUp)


@breaks(
    "test_it_continues_the_runs_of_another_engine", "[0, 8] were finished; the next run did [0, 16"
)
class StartsAfresh(Good):
    def changed(self, number, outcome, call):
        with tempfile.TemporaryDirectory() as directory:
            call.task.run(0, 8, Path(directory))
        return outcome


@breaks("test_cancelled_calls_are_forgotten", "A cancelled call goes on")
class CannotStop(Good):
    def cancel(self):
        self._generation += 1


@breaks("test_cancelled_calls_are_forgotten", "the call 1000 was submitted, and 0 ended")
class Remembers(Good):
    def wait(self):
        return 0, super().wait()[1]


@breaks("test_workers_ignore_ctrl_c", "A call whose process got SIGINT gave Outcome(status='crash'")
class DiesOfCtrlC(Good):
    def submit(self, number, call):
        super().submit(number, partial(signal.raise_signal, signal.SIGTERM))


@breaks("test_native_libraries_start_one_thread", "OMP_NUM_THREADS is 4")
class FourThreads(Good):
    def __init__(self):
        super().__init__(threads=4)


@breaks("test_workers_print_nothing_to_standard_output", "It wrote 'done\\n' to standard output")
class Prints(Good):
    def changed(self, number, outcome, call):
        print("done")
        return outcome


@breaks("test_closing_ends_processes_and_threads", "2 workers still run")
class NeverEnds(Good):
    def close(self):
        LEFT.append(super().close)


@breaks("test_closing_ends_processes_and_threads", "It left the threads")
class LeavesThreads(Good):
    def start(self):
        super().start()
        event = threading.Event()
        LEFT.append(event.set)
        threading.Thread(target=event.wait).start()
