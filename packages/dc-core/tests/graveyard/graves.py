"""One deliberately bad plugin per law: each is the good one with one plausible mistake."""

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import tiny
from tiny_backend import plugin

from dc_core import WeightInfo, check_weights, hookimpl, number_by_layer
from dc_core.errors import NotClaimed
from dc_core.plugins import BackendInfo


class Good:
    """The good plugin's hooks, to be replaced one at a time."""

    dc_backend_info = staticmethod(plugin.dc_backend_info)
    dc_describe_weights = staticmethod(plugin.dc_describe_weights)
    dc_export_weights = staticmethod(plugin.dc_export_weights)
    dc_import_weights = staticmethod(plugin.dc_import_weights)
    dc_skeleton = staticmethod(plugin.dc_skeleton)
    dc_describe_component = staticmethod(plugin.dc_describe_component)
    dc_build_component = staticmethod(plugin.dc_build_component)
    dc_wrap = staticmethod(plugin.dc_wrap)


@dataclass(frozen=True)
class Grave:
    """A bad plugin, and the law that it breaks."""

    law: str
    plugin: str = "tiny_backend.plugin"
    suite: str = "TestNet"
    entry_point: str = "tiny"


GRAVES: dict[str, Grave] = {
    "misnamed": Grave(
        "test_its_own_objects_are_claimed", suite="MisnamedSuite", entry_point="tiny_backend"
    ),
    "eager": Grave("test_nothing_is_imported_before_it_is_needed", "eager_backend.plugin"),
    "unseeded": Grave(
        "test_there_are_weights_and_predictions_depend_on_them", suite="UnseededSuite"
    ),
    "drifting": Grave("test_predicting_changes_nothing", suite="DriftingSuite"),
}


def breaks(law: str, suite: str = "TestNet") -> Any:
    """Bury the class below: an instance takes its name, and stands for the broken ``law``."""

    def bury(cls):
        GRAVES[cls.__name__] = Grave(law, f"graves:{cls.__name__}", suite)
        return cls()

    return bury


def export_with(change):
    """Return an export hook that applies ``change`` to each array."""

    @hookimpl
    def dc_export_weights(obj, names, copy):
        exported = plugin.dc_export_weights(obj, names, copy)
        return {name: change(array) for name, array in exported.items()}

    return staticmethod(dc_export_weights)


def import_with(change):
    """Return an import hook that checks first and then applies ``change`` to each array."""

    @hookimpl
    def dc_import_weights(obj, weights, allow_missing, copy):
        check_weights(plugin.dc_describe_weights(obj), weights, allow_missing)
        changed = {name: change(array) for name, array in weights.items()}
        return plugin.dc_import_weights(obj, changed, allow_missing, copy)

    return staticmethod(dc_import_weights)


def rename_with(rename):
    """Return a description hook whose names are ``rename(canonical name, native name)``."""

    @hookimpl
    def dc_describe_weights(obj):
        table = plugin.dc_describe_weights(obj)
        return {rename(name, info.native): info for name, info in table.items()}

    return staticmethod(dc_describe_weights)


@breaks("test_strangers_are_declined")
class serves_anything(Good):
    @hookimpl
    def dc_describe_weights(self, obj):
        try:
            return plugin.dc_describe_weights(obj)
        except NotClaimed:
            return {}


@breaks("test_names_are_numbered_by_layer")
class keeps_native_names(Good):
    dc_describe_weights = rename_with(lambda name, native: native)


@breaks("test_names_are_numbered_by_layer")
class counts_from_one(Good):
    dc_describe_weights = rename_with(
        lambda name, native: f"{name.rpartition('/')[0]}/{int(name.rpartition('/')[2]) + 1}"
    )


@breaks("test_native_names_are_unique")
class shortens_native_names(Good):
    @hookimpl
    def dc_describe_weights(self, obj):
        table = plugin.dc_describe_weights(obj)
        return {
            name: WeightInfo(info.native.rpartition(".")[2], info.shape, info.dtype)
            for name, info in table.items()
        }


@breaks("test_names_are_the_same_for_every_object_of_one_architecture")
class numbers_objects(Good):
    """Layers are numbered through the whole session, as some frameworks name them."""

    count = itertools.count()
    dc_describe_weights = rename_with(lambda name, native: f"layer_{next(numbers_objects.count)}/0")


@breaks("test_names_are_the_same_in_every_process")
class orders_by_hash(Good):
    @hookimpl
    def dc_describe_weights(self, obj):
        table = plugin.dc_describe_weights(obj)
        return {f"w{hash(name)}/0": info for name, info in table.items()}


@breaks("test_describing_changes_nothing")
class describing_starts_training(Good):
    @hookimpl
    def dc_describe_weights(self, obj):
        obj.training = True
        return plugin.dc_describe_weights(obj)


@breaks("test_exporting_changes_nothing")
class exporting_starts_training(Good):
    @hookimpl
    def dc_export_weights(self, obj, names, copy):
        obj.training = True
        return plugin.dc_export_weights(obj, names, copy)


@breaks("test_exporting_again_gives_the_same_bits")
class exports_with_noise(Good):
    dc_export_weights = export_with(lambda a: a + np.random.default_rng().normal(size=a.shape))


@breaks("test_exports_are_as_described")
class exports_doubles(Good):
    dc_export_weights = export_with(lambda a: a.astype(np.float64))


@breaks("test_exports_can_be_stored")
class exports_in_fortran_order(Good):
    dc_export_weights = export_with(np.asfortranarray)


@breaks("test_exports_can_be_stored")
class exports_objects(Good):
    dc_export_weights = export_with(lambda a: a.astype(object))


@breaks("test_exports_are_detached")
class exports_views(Good):
    @hookimpl
    def dc_export_weights(self, obj, names):
        return plugin.dc_export_weights(obj, names, copy=False)


@breaks("test_exports_without_copying_are_equal")
class shares_only_parameters(Good):
    @hookimpl
    def dc_export_weights(self, obj, names, copy):
        exported = plugin.dc_export_weights(obj, names, copy)
        return exported if copy else {n: a for n, a in exported.items() if n != "norm/0"}


@breaks("test_a_part_can_be_exported")
class exports_all(Good):
    @hookimpl
    def dc_export_weights(self, obj, copy):
        return plugin.dc_export_weights(obj, None, copy)


@breaks("test_a_round_trip_restores_predictions")
class forgets_buffers(Good):
    @hookimpl
    def dc_describe_weights(self, obj):
        table = plugin.dc_describe_weights(obj)
        return {name: info for name, info in table.items() if name != "norm/0"}

    @hookimpl
    def dc_export_weights(self, obj, names, copy):
        exported = plugin.dc_export_weights(obj, names, copy)
        return {name: array for name, array in exported.items() if name != "norm/0"}

    @hookimpl
    def dc_import_weights(self, obj, weights, allow_missing, copy):
        return plugin.dc_import_weights(obj, weights, {*allow_missing, "norm/0"}, copy)


@breaks("test_a_round_trip_restores_every_weight")
class imports_at_half_precision(Good):
    dc_import_weights = import_with(lambda a: a.astype(np.float16).astype(a.dtype))


@breaks("test_weights_replace_those_of_an_object_in_use")
class keeps_the_cache(Good):
    @hookimpl
    def dc_import_weights(self, obj, weights, allow_missing, copy):
        folded = obj.folded
        plugin.dc_import_weights(obj, weights, allow_missing, copy)
        obj.folded = folded
        return obj


@breaks("test_imports_are_detached")
class keeps_the_given_arrays(Good):
    @hookimpl
    def dc_import_weights(self, obj, weights, allow_missing):
        return plugin.dc_import_weights(obj, weights, allow_missing, copy=False)


@breaks("test_importing_changes_no_given_array")
class empties_the_given_arrays(Good):
    @hookimpl
    def dc_import_weights(self, obj, weights, allow_missing):
        plugin.dc_import_weights(obj, weights, allow_missing, copy=True)
        for array in weights.values():
            array.fill(0)
        return obj


@breaks("test_read_only_arrays_are_imported")
class insists_on_writing(Good):
    @hookimpl
    def dc_import_weights(self, obj, weights, allow_missing, copy):
        for array in weights.values():
            array.setflags(write=True)
        return plugin.dc_import_weights(obj, weights, allow_missing, copy)


@breaks("test_arrays_in_any_memory_order_are_imported")
class copies_the_buffer(Good):
    dc_import_weights = import_with(
        lambda a: np.frombuffer(a.tobytes(order="A"), a.dtype).reshape(a.shape)
    )


@breaks("test_weights_allowed_to_be_missing_stay")
class clears_what_is_missing(Good):
    @hookimpl
    def dc_import_weights(self, obj, weights, allow_missing, copy):
        cleared = {
            n: np.zeros_like(a) for n, a in plugin.dc_export_weights(obj, None, True).items()
        }
        return plugin.dc_import_weights(obj, cleared | dict(weights), allow_missing, copy)


@breaks("test_a_missing_name_is_rejected")
class takes_any_part(Good):
    @hookimpl
    def dc_import_weights(self, obj, weights, copy):
        return plugin.dc_import_weights(obj, weights, plugin.dc_describe_weights(obj), copy)


@breaks("test_a_missing_name_is_rejected")
class notices_too_late(Good):
    @hookimpl
    def dc_import_weights(self, obj, weights, allow_missing, copy):
        plugin.dc_import_weights(obj, weights, plugin.dc_describe_weights(obj), copy)
        check_weights(plugin.dc_describe_weights(obj), weights, allow_missing)
        return obj


@breaks("test_a_missing_name_is_rejected")
class raises_a_plain_key_error(Good):
    @hookimpl
    def dc_import_weights(self, obj, weights, copy):
        given = {name: weights[name] for name in plugin.dc_describe_weights(obj)}
        return plugin.dc_import_weights(obj, given, (), copy)


@breaks("test_a_surplus_name_is_rejected")
class ignores_what_it_does_not_know(Good):
    @hookimpl
    def dc_import_weights(self, obj, weights, allow_missing, copy):
        table = plugin.dc_describe_weights(obj)
        known = {name: array for name, array in weights.items() if name in table}
        return plugin.dc_import_weights(obj, known, allow_missing, copy)


@breaks("test_a_wrong_shape_is_rejected")
class broadcasts(Good):
    @hookimpl
    def dc_import_weights(self, obj, weights, allow_missing, copy):
        table = plugin.dc_describe_weights(obj)
        spread = {
            name: np.broadcast_to(array, table[name].shape)
            if isinstance(array, np.ndarray) and name in table and array.size == 1
            else array
            for name, array in weights.items()
        }
        return plugin.dc_import_weights(obj, spread, allow_missing, copy)


@breaks("test_a_wrong_dtype_is_rejected")
class casts(Good):
    @hookimpl
    def dc_import_weights(self, obj, weights, allow_missing, copy):
        table = plugin.dc_describe_weights(obj)
        cast = {name: array.astype(table[name].dtype) for name, array in weights.items()}
        return plugin.dc_import_weights(obj, cast, allow_missing, copy)


@breaks("test_a_value_that_is_no_array_is_rejected")
class converts_lists(Good):
    @hookimpl
    def dc_import_weights(self, obj, weights, allow_missing, copy):
        table = plugin.dc_describe_weights(obj)
        arrays = {name: np.asarray(value, table[name].dtype) for name, value in weights.items()}
        return plugin.dc_import_weights(obj, arrays, allow_missing, copy)


@breaks("test_an_unfitted_object_takes_all_or_nothing", suite="TestScaler")
class fits_by_halves(Good):
    @hookimpl
    def dc_import_weights(self, obj, weights, copy):
        return plugin.dc_import_weights(obj, weights, {"0", "1"}, copy)


@breaks("test_it_says_what_it_can_do")
class declares_what_it_lacks(Good):
    dc_wrap = None


@breaks("test_it_says_what_it_can_do")
class declares_nonsense(Good):
    @hookimpl
    def dc_backend_info(self):
        everything = plugin.dc_backend_info().capabilities
        return BackendInfo({"tiny": "1.0"}, everything | {"telepathy"})


@breaks("test_it_says_what_it_stands_on")
class stands_on_nothing(Good):
    @hookimpl
    def dc_backend_info(self):
        return BackendInfo({}, plugin.dc_backend_info().capabilities)


@breaks("test_undeclared_capabilities_raise_unsupported")
class wraps_undeclared(Good):
    @hookimpl
    def dc_backend_info(self):
        return BackendInfo({"tiny": "1.0"}, frozenset({"weights", "skeleton", "components"}))


@breaks("test_a_skeleton_takes_the_weights")
class skeletons_have_no_arrays(Good):
    @hookimpl
    def dc_skeleton(self, build):
        built = plugin.dc_skeleton(build)
        built.arrays.clear()
        return built


@breaks("test_building_a_skeleton_leaves_no_trace")
class stays_uninitialised_after_an_error(Good):
    @hookimpl
    def dc_skeleton(self, build):
        before, tiny.draw = tiny.draw, lambda shape, seed: np.zeros(shape, np.float32)
        built = build()
        tiny.draw = before
        return built


@breaks("test_components_are_rebuilt_from_their_description")
class forgets_the_arguments(Good):
    @hookimpl
    def dc_describe_component(self, obj):
        return "tiny/Net", {}


@breaks("test_unknown_component_names_are_refused")
class builds_any_class(Good):
    @hookimpl
    def dc_build_component(self, name, params):
        return getattr(tiny, name.rpartition("/")[2] or "Net", tiny.Schedule)(**params)


@breaks("test_wrapping_gives_a_model_with_the_same_weights")
class wraps_another_object(Good):
    @hookimpl
    def dc_wrap(self, obj):
        return plugin.TinyModel(tiny.Net(7))


@breaks("test_tied_weights_appear_once")
class unties(Good):
    @hookimpl
    def dc_describe_weights(self, obj):
        arrays = plugin.arrays_of(obj)
        return {
            name: WeightInfo(native, arrays[native].shape, arrays[native].dtype)
            for native, name in number_by_layer(arrays).items()
        }


@breaks("test_zero_dimensional_weights_keep_their_shape")
class makes_scalars_vectors(Good):
    dc_export_weights = export_with(np.ascontiguousarray)


@breaks("test_empty_weights_keep_their_shape")
class leaves_out_empty_weights(Good):
    @hookimpl
    def dc_describe_weights(self, obj):
        table = plugin.dc_describe_weights(obj)
        return {name: info for name, info in table.items() if 0 not in info.shape}


@breaks("test_bfloat16_weights_are_exact")
class widens_bfloat16(Good):
    dc_export_weights = export_with(
        lambda a: a.astype(np.float32) if a.dtype.name == "bfloat16" else a
    )
