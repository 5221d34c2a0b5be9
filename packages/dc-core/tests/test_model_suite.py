"""The kit for models: the good one keeps every law, and each bad one is caught by its law."""

import pytest

from dc_core.testing import LawBroken, ModelSuite

LAWS = [
    "test_the_arguments_make_the_model_again",
    "test_returned_arguments_belong_to_the_caller",
    "test_the_model_is_a_mapping_of_its_weights",
    "test_a_blank_model_takes_the_weights",
    "test_models_of_different_seeds_differ",
    "test_returned_weights_belong_to_the_caller",
    "test_setting_one_weight_sets_that_one_alone",
    "test_setting_what_does_not_fit_changes_nothing",
    "test_predicting_changes_nothing",
    "test_predictions_have_one_row_per_row",
    "test_no_rows_are_an_error",
    "test_a_model_without_weights_says_that_it_is_not_fitted",
    "test_fitting_returns_the_model_and_keeps_the_data",
    "test_an_unfitted_copy_learns_what_the_first_fit_learned",
    "test_the_training_state_can_be_stored_and_given_back",
    "test_a_foreign_training_state_is_refused",
]


def test_no_law_is_dropped_or_added_in_silence():
    assert list(ModelSuite.laws()) == LAWS


@pytest.mark.parametrize("law", LAWS)
def test_a_good_model_keeps_the_law_and_a_bad_one_is_caught(graveyard, law):
    lines = graveyard("lines")
    getattr(lines.TestLine(), law)()
    assert lines.BURIED[law]
    for suite in lines.BURIED[law]:
        with pytest.raises(LawBroken, match=r"^The law is: "):
            getattr(suite(), law)()
