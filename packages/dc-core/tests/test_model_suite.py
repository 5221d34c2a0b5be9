"""The kit for models: its laws are these, and the good model keeps every one."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import pytest

from dc_core import holders
from dc_core.testing import LawBroken, ModelSuite

LAWS = [
    "test_calls_leave_the_process_as_it_was",
    "test_first_calls_leave_the_process_as_it_was",
    "test_calls_print_nothing",
    "test_the_arguments_make_the_model_again",
    "test_returned_arguments_belong_to_the_caller",
    "test_the_model_is_a_mapping_of_its_weights",
    "test_a_blank_model_takes_the_weights",
    "test_models_of_different_seeds_differ",
    "test_returned_weights_belong_to_the_caller",
    "test_given_weights_belong_to_the_caller",
    "test_weights_are_set_in_any_order",
    "test_setting_one_weight_changes_no_other",
    "test_setting_wrong_weights_changes_nothing",
    "test_a_changed_number_is_set_exactly_or_refused",
    "test_an_interrupt_leaves_the_model_whole",
    "test_predicting_changes_nothing",
    "test_predictions_have_one_row_per_row",
    "test_a_predicted_distribution_has_the_predicted_means",
    "test_empty_datasets_raise_empty_dataset",
    "test_a_model_without_weights_says_that_it_is_not_fitted",
    "test_fitting_returns_the_model_and_keeps_the_data",
    "test_an_unfitted_copy_learns_what_the_first_fit_learned",
    "test_the_training_state_can_be_stored_and_given_back",
    "test_a_foreign_training_state_is_refused",
    "test_nothing_is_kept_after_a_call",
]


def test_no_law_is_dropped_or_added_in_silence():
    assert list(ModelSuite.laws()) == LAWS


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("suite", ["TestLine", "TestMemory"])
def test_the_good_model_keeps_the_law(lines, suite, law, try_law):
    try_law(getattr(lines, suite)(), law)


def test_models_that_begin_with_weights_cannot_be_unfitted(lines):
    suite = lines.FittedBlankSuite()
    with pytest.raises(pytest.skip.Exception):
        suite.test_a_model_without_weights_says_that_it_is_not_fitted()


def test_interrupts_are_tried_in_the_main_thread_alone(lines):
    with ThreadPoolExecutor(1) as pool, pytest.raises(pytest.skip.Exception):
        pool.submit(lines.TestLine().test_an_interrupt_leaves_the_model_whole).result()


def test_the_law_on_interrupts_tries_dc_core_too(lines, monkeypatch):
    monkeypatch.setattr(holders, "uninterrupted", nullcontext)
    with pytest.raises(LawBroken, match="left the model half changed"):
        lines.TestLine().test_an_interrupt_leaves_the_model_whole()
