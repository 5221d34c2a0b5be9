"""The kit for backends: its laws are these, and the good plugin keeps every one."""

from concurrent.futures import ThreadPoolExecutor
from importlib import import_module

import numpy as np
import pytest

from dc_core.testing import BackendSuite, EngineSuite, ModelSuite, TrainerSuite

LAWS = [
    "test_calls_leave_the_process_as_it_was",
    "test_first_calls_leave_the_process_as_it_was",
    "test_calls_print_nothing",
    "test_the_distribution_requires_what_the_backend_needs",
    "test_the_distribution_installs_one_package",
    "test_nothing_is_kept_after_a_call",
    "test_describing_allocates_no_weights",
    "test_golden_files_of_earlier_versions_are_read",
    "test_hostile_weights_never_crash_or_hang",
    "test_any_state_is_imported_exactly_or_rejected",
    "test_any_architecture_survives_a_round_trip",
    "test_tied_weights_appear_once",
    "test_zero_dimensional_weights_keep_their_shape",
    "test_empty_weights_keep_their_shape",
    "test_bfloat16_weights_are_exact",
    "test_unusual_floats_are_exact",
    "test_components_are_rebuilt_from_their_description",
    "test_unknown_component_names_are_refused",
    "test_unknown_parameters_are_refused",
    "test_parameters_of_wrong_types_raise_only_parameter_error",
    "test_declared_capabilities_are_those_implemented",
    "test_declared_versions_are_installed",
    "test_undeclared_capabilities_raise_unsupported",
    "test_a_skeleton_takes_the_weights",
    "test_building_a_skeleton_has_no_side_effects",
    "test_wrapping_gives_a_model_with_the_same_weights",
    "test_a_missing_name_is_rejected",
    "test_a_surplus_name_is_rejected",
    "test_a_wrong_shape_is_rejected",
    "test_a_wrong_dtype_is_rejected",
    "test_a_value_that_is_not_an_array_is_rejected",
    "test_an_unfitted_object_takes_all_or_nothing",
    "test_a_corrupted_structure_is_rejected",
    "test_a_changed_number_is_imported_exactly_or_rejected",
    "test_a_round_trip_restores_predictions",
    "test_a_round_trip_restores_every_weight",
    "test_weights_replace_those_of_an_object_in_use",
    "test_imports_are_detached",
    "test_two_imports_share_no_memory",
    "test_weights_are_imported_in_any_order",
    "test_an_interrupted_import_leaves_the_object_whole",
    "test_importing_changes_no_given_array",
    "test_read_only_arrays_are_imported",
    "test_arrays_in_any_memory_order_are_imported",
    "test_weights_allowed_to_be_missing_stay",
    "test_predicting_changes_nothing",
    "test_there_are_weights_and_predictions_depend_on_them",
    "test_describing_changes_nothing",
    "test_exporting_changes_nothing",
    "test_exporting_again_gives_the_same_bits",
    "test_exports_and_predictions_are_the_same_in_every_process",
    "test_exports_are_as_described",
    "test_exports_can_be_stored",
    "test_exports_are_detached",
    "test_exports_without_copying_are_equal",
    "test_a_part_can_be_exported",
    "test_names_are_numbered_by_layer",
    "test_native_names_are_unique",
    "test_names_are_the_same_for_every_object_of_one_architecture",
    "test_names_are_the_same_in_every_process",
    "test_its_own_objects_are_claimed",
    "test_strangers_are_declined",
    "test_nothing_is_imported_before_it_is_needed",
    "test_importing_the_package_is_silent",
]

SKIPPED = {
    "TestNet": {
        "test_an_unfitted_object_takes_all_or_nothing",
        "test_a_corrupted_structure_is_rejected",
        "test_hostile_weights_never_crash_or_hang",
    },
    "TestScaler": {
        "test_tied_weights_appear_once",
        "test_zero_dimensional_weights_keep_their_shape",
        "test_empty_weights_keep_their_shape",
        "test_bfloat16_weights_are_exact",
        "test_describing_allocates_no_weights",
        "test_any_architecture_survives_a_round_trip",
    },
}
"""The laws that the good suites have nothing to try on."""


@pytest.fixture
def good(install_tiny, graveyard):
    install_tiny({"tiny": "tiny_backend.plugin"})
    return graveyard("suites")


def test_no_law_is_dropped_or_added_in_silence():
    assert list(BackendSuite.laws()) == LAWS


@pytest.mark.parametrize("suite", [BackendSuite, EngineSuite, ModelSuite, TrainerSuite])
def test_every_law_says_which_version_added_it(suite):
    assert list(suite.law_versions()) == list(suite.laws())


@pytest.mark.parametrize("suite", ["TestNet", "TestScaler"])
@pytest.mark.parametrize("law", LAWS)
def test_the_good_plugin_keeps_the_law(good, suite, law, try_law):
    if law in SKIPPED[suite]:
        with pytest.raises(pytest.skip.Exception):
            getattr(getattr(good, suite)(), law)()
    else:
        try_law(getattr(good, suite)(), law)


@pytest.mark.parametrize(
    "place",
    [
        {"__qualname__": "function.<locals>.Mine"},
        {"__module__": "builtins"},
        {"__module__": "gone"},
    ],
    ids=["in a function", "without a file", "without a module"],
)
def test_suites_that_another_process_cannot_import_are_not_tried_there(good, place):
    suite = type("Mine", (good.TestNet,), place)()
    with pytest.raises(pytest.skip.Exception, match="cannot be imported by another process"):
        suite.test_names_are_the_same_in_every_process()


def test_what_is_printed_at_import_is_no_name(good, try_law, install):
    source = "print('loading')\nfrom suites import TestNet\nclass TestMine(TestNet): pass\n"
    install("loud", {}, {"loud": source})
    try_law(import_module("loud").TestMine(), "test_names_are_the_same_in_every_process")


def test_what_a_plugin_prints_at_import_is_no_answer(install, graveyard, try_law):
    folder = install("loud", {"dc.backends.v1": {"tiny": "loud.plugin"}})
    (folder / "loud").mkdir()
    (folder / "loud" / "__init__.py").write_text("print('loading')\n")
    (folder / "loud" / "plugin.py").write_text("from tiny_backend.plugin import *\n")
    try_law(graveyard("suites").TestNet(), "test_nothing_is_imported_before_it_is_needed")


def test_interrupts_are_tried_in_the_main_thread_alone(good):
    law = good.TestNet().test_an_interrupted_import_leaves_the_object_whole
    with ThreadPoolExecutor(1) as pool, pytest.raises(pytest.skip.Exception):
        pool.submit(law).result()


@pytest.mark.parametrize(
    ("first", "second", "blank", "target"),
    [(3, 3, 3, "blank"), (3, 3, 4, "second"), (3, 4, 3, "blank"), (3, 4, 4, "first")],
)
def test_weights_are_imported_into_another_object_if_its_shapes_are_the_same(
    good, first, second, blank, target
):
    lengths = {"first": first, "second": second, "blank": blank}
    made = {
        name: good.TestNet().with_array(0, tree=np.zeros(length, np.float32))
        for name, length in lengths.items()
    }

    class Suite(good.TestNet):
        def make(self, seed):
            return made["second" if seed else "first"]

        def blank(self):
            return made["blank"]

    assert Suite().target() is made[target]
