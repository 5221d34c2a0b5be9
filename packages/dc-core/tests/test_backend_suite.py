"""The kit itself: the good plugin keeps every law, and each bad one is caught by its law."""

import pytest

from dc_core.testing import BackendSuite, LawBroken

LAWS = [
    "test_its_own_objects_are_claimed",
    "test_strangers_are_declined",
    "test_nothing_is_imported_before_it_is_needed",
    "test_names_are_numbered_by_layer",
    "test_native_names_are_unique",
    "test_names_are_the_same_for_every_object_of_one_architecture",
    "test_names_are_the_same_in_every_process",
    "test_predicting_changes_nothing",
    "test_there_are_weights_and_predictions_depend_on_them",
    "test_describing_changes_nothing",
    "test_exporting_changes_nothing",
    "test_exporting_again_gives_the_same_bits",
    "test_exports_are_as_described",
    "test_exports_can_be_stored",
    "test_exports_are_detached",
    "test_exports_without_copying_are_equal",
    "test_a_part_can_be_exported",
    "test_a_round_trip_restores_predictions",
    "test_a_round_trip_restores_every_weight",
    "test_weights_replace_those_of_an_object_in_use",
    "test_imports_are_detached",
    "test_importing_changes_no_given_array",
    "test_read_only_arrays_are_imported",
    "test_arrays_in_any_memory_order_are_imported",
    "test_weights_allowed_to_be_missing_stay",
    "test_a_missing_name_is_rejected",
    "test_a_surplus_name_is_rejected",
    "test_a_wrong_shape_is_rejected",
    "test_a_wrong_dtype_is_rejected",
    "test_a_value_that_is_no_array_is_rejected",
    "test_an_unfitted_object_takes_all_or_nothing",
    "test_it_says_what_it_can_do",
    "test_it_says_what_it_stands_on",
    "test_undeclared_capabilities_raise_unsupported",
    "test_a_skeleton_takes_the_weights",
    "test_building_a_skeleton_leaves_no_trace",
    "test_components_are_rebuilt_from_their_description",
    "test_unknown_component_names_are_refused",
    "test_wrapping_gives_a_model_with_the_same_weights",
    "test_tied_weights_appear_once",
    "test_zero_dimensional_weights_keep_their_shape",
    "test_empty_weights_keep_their_shape",
    "test_bfloat16_weights_are_exact",
]


@pytest.fixture
def good(install, graveyard):
    install("tiny-backend", {"dc.backends.v1": {"tiny": "tiny_backend.plugin"}})
    return graveyard("suites")


def test_no_law_is_dropped_or_added_in_silence():
    assert sorted(BackendSuite.laws()) == sorted(LAWS)


@pytest.mark.parametrize("suite", ["TestNet", "TestScaler"])
@pytest.mark.parametrize("law", LAWS)
def test_the_good_plugin_keeps_the_law(good, suite, law):
    getattr(getattr(good, suite)(), law)()


def test_every_law_has_a_plugin_that_breaks_it(graveyard):
    assert {grave.law for grave in graveyard("graves").GRAVES.values()} == set(LAWS)


def test_a_bad_plugin_is_caught_by_its_law(install, graveyard, grave):
    install("tiny-backend", {"dc.backends.v1": {grave.entry_point: grave.plugin}})
    suite = getattr(graveyard("suites"), grave.suite)()
    with pytest.raises(LawBroken) as caught:
        getattr(suite, grave.law)()
    assert str(caught.value).startswith("The law is: ")
    assert caught.value.hint
