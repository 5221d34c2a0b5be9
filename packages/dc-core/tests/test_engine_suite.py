"""The kit for engines: its laws are these, and the engines of dc-core keep every one."""

import pytest

from dc_core.engines import Processes, Serial
from dc_core.testing import EngineSuite

LAWS = [
    "test_results_are_those_of_serial",
    "test_as_many_calls_run_at_once_as_there_are_workers",
    "test_every_call_ends_once",
    "test_submitting_does_not_wait",
    "test_an_exception_is_an_error",
    "test_calls_that_cannot_be_pickled_are_refused",
    "test_a_killed_worker_costs_its_shard_alone",
    "test_a_row_that_crashes_is_isolated",
    "test_a_row_that_hangs_is_isolated",
    "test_another_engine_continues_its_runs",
    "test_it_continues_the_runs_of_another_engine",
    "test_cancelled_calls_are_forgotten",
    "test_workers_ignore_ctrl_c",
    "test_native_libraries_start_one_thread",
    "test_workers_print_nothing_to_standard_output",
    "test_closing_ends_processes_and_threads",
]

NOT_ISOLATED = {
    "test_calls_that_cannot_be_pickled_are_refused",
    "test_a_killed_worker_costs_its_shard_alone",
    "test_a_row_that_crashes_is_isolated",
    "test_a_row_that_hangs_is_isolated",
    "test_cancelled_calls_are_forgotten",
    "test_workers_ignore_ctrl_c",
    "test_native_libraries_start_one_thread",
    "test_workers_print_nothing_to_standard_output",
}
"""The laws that do not apply to an engine in the program's own process."""


class ProcessesSuite(EngineSuite):
    def make(self):
        return Processes(2)


class SerialSuite(EngineSuite):
    def make(self):
        return Serial()


def test_no_law_is_dropped_or_added_in_silence():
    assert list(EngineSuite.laws()) == LAWS


@pytest.mark.parametrize("suite", [ProcessesSuite, SerialSuite])
@pytest.mark.parametrize("law", LAWS)
def test_the_engines_of_dc_core_keep_the_law(suite, law):
    check = getattr(suite(), law)
    if suite is SerialSuite and law in NOT_ISOLATED:
        with pytest.raises(pytest.skip.Exception):
            check()
    else:
        check()
