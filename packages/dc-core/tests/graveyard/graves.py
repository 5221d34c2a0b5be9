"""Bad plugins: each is the good one with one mistake, and says which check of the kit finds it."""

import functools
import gc
import io
import itertools
import logging
import os
import random
import re
import signal
import sys
import threading
import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

import numpy as np
import tiny
from tiny_backend import plugin

from dc_core import BackendInfo, WeightInfo, check_weights, number_by_layer
from dc_core.errors import StructureError

HOOKS = {
    "info": "dc_backend_info",
    "describe": "dc_describe_weights",
    "export": "dc_export_weights",
    "load": "dc_import_weights",
    "skeleton": "dc_skeleton",
    "component": "dc_describe_component",
    "build": "dc_build_component",
    "wrap": "dc_wrap",
}


@dataclass(frozen=True)
class Grave:
    """A bad plugin or suite, the law that it breaks, and what the kit says about it."""

    law: str
    says: str
    suite: str = "TestNet"
    entries: Mapping[str, str] = field(default_factory=lambda: {"tiny": "tiny_backend.plugin"})
    distribution: Mapping[str, object] = field(default_factory=dict)


GRAVES: dict[str, Grave] = {}


class Plugin:
    """The good plugin's hooks, some of them replaced, or left out where None is given."""

    def __init__(self, **hooks):
        for short, name in HOOKS.items():
            hook = hooks.get(short, getattr(plugin, name))
            if hook is not None:
                setattr(self, name, hook)


def bury(name, law, says, suite="TestNet", entries=None, distribution=None, **hooks):
    """Make a plugin with these hooks and remember what is wrong with it."""
    if hooks:
        name = re.sub(r"\W+", "_", name)
        globals()[name] = Plugin(**hooks)
        entries = entries or {"tiny": f"graves:{name}"}
    entries = entries or {"tiny": "tiny_backend.plugin"}
    GRAVES[name] = Grave(law, says, suite, entries, distribution or {})


def wrapped(short, before=None, after=None):
    """Return the good hook with something done ``before`` it, or to its result ``after`` it."""
    good = getattr(plugin, HOOKS[short])

    @functools.wraps(good)
    def hook(*arguments):
        if before is not None:
            before(*arguments)
        result = good(*arguments)
        return result if after is None else after(result, *arguments)

    return hook


def instead(short, attempt):
    """Return a hook that is ``attempt``, and the good hook where that returns None."""
    good = getattr(plugin, HOOKS[short])

    @functools.wraps(good)
    def hook(*arguments):
        result = attempt(*arguments)
        return good(*arguments) if result is None else result

    return hook


def exporting(change, copies=(True, False)):
    """Return an export hook that applies ``change`` to each array."""
    return wrapped(
        "export",
        after=lambda exported, obj, names, copy: {
            name: change(array) if copy in copies else array for name, array in exported.items()
        },
    )


def loading(change, copies=(True, False)):
    """Return an import hook that checks the weights and then applies ``change`` to each array."""

    def attempt(obj, weights, allow_missing, copy):
        check_weights(plugin.dc_describe_weights(obj), weights, allow_missing)
        if copy in copies:
            changed = {name: change(array) for name, array in weights.items()}
            return plugin.dc_import_weights(obj, changed, allow_missing, copy)
        return None

    return instead("load", attempt)


def describing(change):
    """Return a description hook that applies ``change`` to each (name, info) pair."""
    return wrapped("describe", after=lambda table, obj: dict(map(change, table, table.values())))


def spoil(array):
    return array + 1


# What is served


bury(
    "misnamed",
    "test_its_own_objects_are_claimed",
    "A Net is served by 'tiny', not by 'tiny_backend'",
    suite="MisnamedSuite",
    entries={"tiny": "tiny_backend.plugin", "tiny_backend": "tiny_backend.plugin"},
)
bury(
    "gives_away_blank_objects",
    "test_its_own_objects_are_claimed",
    "A Foreign is served by 'foreign'",
    suite="ForeignBlankSuite",
    entries={"tiny": "tiny_backend.plugin", "foreign": "tiny_backend.plugin"},
)
bury(
    "gives_away_fitted_objects",
    "test_its_own_objects_are_claimed",
    "A Foreign is served by 'foreign'",
    suite="ForeignSuite",
    entries={"tiny": "tiny_backend.plugin", "foreign": "tiny_backend.plugin"},
)
bury(
    "eager",
    "test_nothing_is_imported_before_it_is_needed",
    "'import eager_backend' in a fresh interpreter imported 'tiny'",
    entries={"tiny": "eager_backend.plugin"},
)


bury(
    "talks_at_import",
    "test_importing_the_package_is_silent",
    "'import loud_backend' in a fresh interpreter said 'loading\\nold",
    entries={"tiny": "loud_backend.plugin"},
)


# The distribution

bury(
    "requires_no_framework",
    "test_the_distribution_requires_what_the_backend_needs",
    "tiny-backend does not require tiny.",
    distribution={"requires": ["dc_core", "tiny; extra == 'all'"]},
)
bury(
    "requires_nothing",
    "test_the_distribution_requires_what_the_backend_needs",
    "tiny-backend does not require dc-core, tiny.",
    distribution={"requires": []},
)
bury(
    "installs_its_tests",
    "test_the_distribution_installs_one_package",
    "tiny-backend installs tests/test_plugin.py, which is outside 'tiny_backend'",
    distribution={"files": ["tiny_backend/plugin.py", "tests/test_plugin.py"]},
)


def serving_strangers(verb, short, answer):
    def attempt(obj, *_):
        return None if isinstance(obj, tiny.Net | tiny.Scaler) else answer

    bury(
        f"serves_strangers_to_{verb}",
        "test_strangers_are_declined",
        f"Asked to {verb} the weights of a object",
        **{short: instead(short, attempt)},
    )


serving_strangers("describe", "describe", {})
serving_strangers("export", "export", {})
serving_strangers("import", "load", "loaded")

for kind in (object, str, tiny.Schedule):
    bury(
        f"serves_a_{kind.__name__}",
        "test_strangers_are_declined",
        f"Asked to describe the weights of a {kind.__name__}",
        describe=instead("describe", lambda obj, kind=kind: {} if type(obj) is kind else None),
    )


def stumble(obj):
    if not isinstance(obj, tiny.Net | tiny.Scaler):
        raise TypeError("no arrays")


bury(
    "stumbles_over_strangers",
    "test_strangers_are_declined",
    "Instead there was TypeError: no arrays",
    describe=wrapped("describe", stumble),
)


# Names


NUMBERED = "test_names_are_numbered_by_layer"
bury(
    "keeps_native_names",
    NUMBERED,
    "A weight is named 'dense.weight' instead of '0'",
    describe=describing(lambda name, info: (info.native, info)),
)
bury(
    "counts_from_one",
    NUMBERED,
    "A weight is named 'dense/1' instead of 'dense/0'",
    describe=describing(lambda name, info: (f"{name[:-1]}{int(name[-1]) + 1}", info)),
)
bury(
    "has_empty_layers",
    NUMBERED,
    "A weight is named 'dense//0'",
    describe=describing(lambda name, info: (name.replace("/", "//"), info)),
)

UNIQUE = "test_native_names_are_unique"
bury(
    "shortens_native_names",
    UNIQUE,
    "The native name 'weight' is used 2 times",
    describe=describing(
        lambda name, info: (name, replace(info, native=info.native.rpartition(".")[2]))
    ),
)
bury(
    "leaves_a_native_name_empty",
    UNIQUE,
    "The native name '' is used 1 times",
    describe=describing(
        lambda name, info: (name, replace(info, native=info.native.replace("norm.mean", "")))
    ),
)
bury(
    "gives_one_alias_to_all",
    UNIQUE,
    "The native name 'alias' is used 4 times",
    describe=describing(lambda name, info: (name, replace(info, aliases=("alias",)))),
)

ALIKE = "test_names_are_the_same_for_every_object_of_one_architecture"
count = itertools.count()
bury(
    "numbers_layers_through_the_session",
    ALIKE,
    "One make(0) has [('layer_",
    describe=describing(lambda name, info: (f"layer_{next(count)}/0", info)),
)
bury(
    "numbers_native_names_through_the_session",
    ALIKE,
    "One make(0) has [('dense/0', 'native_",
    describe=describing(lambda name, info: (name, replace(info, native=f"native_{next(count)}"))),
)
bury(
    "numbers_aliases_through_the_session",
    ALIKE,
    "One make(0) has [('dense/0', 'dense.weight', ('alias_",
    describe=describing(
        lambda name, info: (name, replace(info, aliases=(f"alias_{next(count)}",)))
    ),
)
bury(
    "orders_by_hash",
    "test_names_are_the_same_in_every_process",
    "This process has ['w",
    describe=describing(lambda name, info: (f"w{hash(name)}/0", info)),
)


class DrawsAtImport:
    """Adds a number that is another one in every process to a weight."""

    offset = np.float32(int.from_bytes(os.urandom(2), "little"))


bury(
    "exports_differently_in_every_process",
    "test_exports_and_predictions_are_the_same_in_every_process",
    "The weight 'dense/0' differs in another process.",
    export=exporting(lambda array: array + DrawsAtImport.offset),
)
bury(
    "predicts_differently_in_every_process",
    "test_exports_and_predictions_are_the_same_in_every_process",
    "The prediction differs in another process.",
    suite="HashingSuite",
)


# Describing, exporting, predicting


def train(obj, *_):
    obj.training = True


bury(
    "predicts_with_drift",
    "test_predicting_changes_nothing",
    "Predicted again: 'prediction' has different values",
    suite="DriftingSuite",
)
bury(
    "counts_predictions",
    "test_predicting_changes_nothing",
    "After predicting: 'count/0' has different values",
    suite="CountingSuite",
)
bury(
    "describes_nothing",
    "test_there_are_weights_and_predictions_depend_on_them",
    "make(0) has no weights",
    describe=instead("describe", lambda obj: {}),
)
bury(
    "unseeded",
    "test_there_are_weights_and_predictions_depend_on_them",
    "make(0) and make(1) predict the same",
    suite="UnseededSuite",
)
bury(
    "describes_in_another_order_each_time",
    "test_describing_changes_nothing",
    "The first description is",
    describe=wrapped(
        "describe",
        after=lambda table, obj: dict(
            reversed(table.items()) if next(count) % 2 else table.items()
        ),
    ),
)
bury(
    "describing_starts_training",
    "test_describing_changes_nothing",
    "After describing: 'prediction' has different values",
    describe=wrapped("describe", train),
)


def only(copies, effect):
    """Return ``effect`` for calls whose last argument, ``copy``, is in ``copies``."""
    return lambda obj, *rest: effect(obj) if rest[-1] in copies else None


def add_an_array(obj, *_):
    obj.arrays["extra"] = np.zeros(1, np.float32)


for copy in (True, False):
    bury(
        f"exporting_with_copy_{copy}_starts_training",
        "test_exporting_changes_nothing",
        f"After export(copy={copy}): 'prediction' has different values",
        export=wrapped("export", only([copy], train)),
    )
    bury(
        f"exporting_with_copy_{copy}_adds_an_array",
        "test_exporting_changes_nothing",
        f"After export(copy={copy}), its description is different",
        export=wrapped("export", only([copy], add_an_array)),
    )


def with_serial_number(exported, obj, *_):
    if not hasattr(obj, "serial"):
        obj.serial = next(count)
    return {name: array + np.float32(obj.serial) for name, array in exported.items()}


bury(
    "exports_with_noise",
    "test_exporting_again_gives_the_same_bits",
    "Exported again: ",
    export=exporting(lambda a: a + np.random.default_rng().normal(size=a.shape)),
)
bury(
    "exports_with_serial_numbers",
    "test_exporting_again_gives_the_same_bits",
    "Exported from make(0) made again: ",
    export=wrapped("export", after=with_serial_number),
)
AS_DESCRIBED = "test_exports_are_as_described"
bury(
    "exports_in_another_order",
    AS_DESCRIBED,
    "Described are ['dense/0'",
    export=wrapped("export", after=lambda exported, *_: dict(reversed(exported.items()))),
)
bury(
    "exports_doubles",
    AS_DESCRIBED,
    "is described as float32(3, 4) and exported as float64(3, 4)",
    export=exporting(lambda a: a.astype(np.float64)),
)
bury(
    "exports_flat_arrays",
    AS_DESCRIBED,
    "is described as float32(3, 4) and exported as float32(12,)",
    export=exporting(lambda a: a.reshape(-1)),
)
STORED = "test_exports_can_be_stored"
for copy in (True, False):
    bury(
        f"exports_in_fortran_order_with_copy_{copy}",
        STORED,
        "'dense/0' is a ndarray that is not plain and C-contiguous",
        export=exporting(np.asfortranarray, [copy]),
    )
bury(
    "exports_masked_arrays",
    STORED,
    "'dense/0' is a MaskedArray that is not plain",
    export=exporting(np.ma.asarray),
)
bury(
    "exports_objects",
    STORED,
    "'dense/0' has dtype object",
    export=exporting(lambda a: a.astype(object)),
)


def read_only(array):
    array.setflags(write=False)
    return array


def predict_from_the_export(exported, obj, names, copy):
    natives = plugin.natives_of(obj)
    obj.folded = {natives[name][0]: array for name, array in exported.items()}
    return exported


def keep_exports(exported, obj, *_):
    obj.exported = exported
    return exported


def update_exports(loaded, obj, weights, *_):
    for name, array in getattr(obj, "exported", {}).items():
        array[...] = weights[name]
    return loaded


DETACHED = "test_exports_are_detached"
bury("exports_read_only_copies", DETACHED, "'dense/0' is read-only", export=exporting(read_only))
bury(
    "exports_views",
    DETACHED,
    "After the exported arrays were changed: 'dense/0'",
    export=instead("export", lambda obj, names, copy: plugin.dc_export_weights(obj, names, False)),
)
bury(
    "predicts_from_the_export",
    DETACHED,
    "After the exported arrays were changed: 'prediction'",
    export=wrapped("export", after=predict_from_the_export),
)
bury(
    "updates_earlier_exports",
    DETACHED,
    "An earlier export, after other weights were loaded: 'dense/0'",
    export=wrapped("export", after=keep_exports),
    load=wrapped("load", after=update_exports),
)
bury(
    "shares_only_parameters",
    "test_exports_without_copying_are_equal",
    "With copy=False: 'norm/0' is missing",
    export=wrapped(
        "export",
        after=lambda exported, obj, names, copy: (
            exported if copy else {n: a for n, a in exported.items() if n != "norm/0"}
        ),
    ),
)


def exporting_names(choose):
    return instead(
        "export",
        lambda obj, names, copy: (
            None if names is None else plugin.dc_export_weights(obj, choose(names), copy)
        ),
    )


PART = "test_a_part_can_be_exported"
bury(
    "takes_no_names_for_all",
    PART,
    "Asked for []: 'dense/0' is unexpected",
    export=exporting_names(lambda names: names or None),
)
bury(
    "exports_all",
    PART,
    "Asked for ['dense/0']: 'dense/1' is unexpected",
    export=exporting_names(lambda names: None if names else []),
)
bury(
    "exports_the_first_name",
    PART,
    "Asked for ['dense/1', 'norm/0', 'head/0']: 'norm/0' is missing",
    export=exporting_names(lambda names: names[:1]),
)


# Importing


def remember_the_first(kept=[]):  # noqa: B006
    def attempt(obj, weights, allow_missing, copy):
        kept.append(dict(weights))
        return plugin.dc_import_weights(obj, kept[0], allow_missing, copy)

    return instead("load", attempt)


def forget_buffers(name="norm/0"):
    def without(named, *_):
        return {other: value for other, value in named.items() if other != name}

    def attempt(obj, weights, allow_missing, copy):
        return plugin.dc_import_weights(obj, weights, {*allow_missing, name}, copy)

    return {
        "describe": wrapped("describe", after=without),
        "export": wrapped("export", after=without),
        "load": instead("load", attempt),
    }


PREDICTIONS = "test_a_round_trip_restores_predictions"
bury(
    "forgets_buffers",
    PREDICTIONS,
    "Loaded with copy=True: 'prediction' has different values",
    **forget_buffers(),
)
bury(
    "loads_the_first_weights_again",
    PREDICTIONS,
    "Loaded with copy=True: 'prediction' has different values",
    load=remember_the_first(),
)
EVERY_WEIGHT = "test_a_round_trip_restores_every_weight"
for copy in (True, False):
    bury(
        f"spoils_predictions_with_copy_{copy}",
        PREDICTIONS,
        f"Loaded with copy={copy}: 'prediction' has different values",
        load=loading(spoil, [copy]),
    )
    bury(
        f"imports_at_half_precision_with_copy_{copy}",
        EVERY_WEIGHT,
        f"Loaded with copy={copy}: 'dense/0' has different values",
        load=loading(lambda a: a.astype(np.float16).astype(a.dtype), [copy]),
    )


def rename(loaded, obj, *_):
    obj.arrays["dense.b"] = obj.arrays.pop("dense.bias")
    obj.arrays = {
        name: obj.arrays[name] for name in ("dense.weight", "dense.b", "norm.mean", "head.weight")
    }
    return loaded


bury(
    "renames_a_weight",
    EVERY_WEIGHT,
    "Loaded with copy=True, its description is different",
    load=wrapped("load", after=rename),
)


def keep_the_cache(obj, weights, allow_missing, copy):
    folded = obj.folded
    plugin.dc_import_weights(obj, weights, allow_missing, copy)
    obj.folded = folded
    return obj


bury(
    "keeps_the_cache",
    "test_weights_replace_those_of_an_object_in_use",
    "After the import: 'prediction' has different values",
    load=instead("load", keep_the_cache),
)


def fold(loaded, obj, weights, *_):
    """Let predictions use the given arrays."""
    obj.folded = {names[0]: weights[n] for n, names in plugin.natives_of(obj).items()}
    return loaded


IMPORTS_DETACHED = "test_imports_are_detached"
bury(
    "keeps_the_given_arrays",
    IMPORTS_DETACHED,
    "After the given arrays were changed: 'dense/0'",
    load=instead(
        "load",
        lambda obj, weights, allow_missing, copy: plugin.dc_import_weights(
            obj, weights, allow_missing, False
        ),
    ),
)
bury(
    "predicts_from_the_given_arrays",
    IMPORTS_DETACHED,
    "After the given arrays were changed: 'prediction'",
    load=wrapped("load", after=fold),
)


CONVERTED = {}


def share_equal_arrays(loaded, obj, *_):
    """Keep one array for equal values, to save memory."""
    for native, array in obj.arrays.items():
        obj.arrays[native] = CONVERTED.setdefault(array.tobytes(), array)
    return loaded


def write_in_place(obj, weights, allow_missing, copy):
    """Take over equal arrays of an earlier object, and write into one's own."""
    if not hasattr(obj, "loaded"):
        obj.loaded = True
        return share_equal_arrays(plugin.dc_import_weights(obj, weights, allow_missing, copy), obj)
    for name, natives in plugin.natives_of(obj).items():
        obj.arrays[natives[0]][...] = weights[name]
    obj.folded = None
    return obj


FOLDED = {}


def fold_globally(loaded, obj, weights, *_):
    FOLDED.update((names[0], weights[n].copy()) for n, names in plugin.natives_of(obj).items())
    obj.folded = FOLDED
    return loaded


SHARE_NOTHING = "test_two_imports_share_no_memory"
bury(
    "shares_equal_arrays",
    SHARE_NOTHING,
    "'dense/0' of one shares memory with 'dense/0' of the other",
    load=wrapped("load", after=share_equal_arrays),
)
bury(
    "shares_equal_arrays_unseen",
    SHARE_NOTHING,
    "After the other one was loaded again: 'dense/0'",
    load=instead("load", write_in_place),
    export=instead("export", lambda obj, names, copy: plugin.dc_export_weights(obj, names, True)),
)
bury(
    "shares_the_cache",
    SHARE_NOTHING,
    "After the other one was loaded again: 'prediction'",
    load=wrapped("load", after=fold_globally),
)


def keep_the_given_order(loaded, obj, weights, *_):
    obj.order = list(weights)
    return loaded


def export_in_order(exported, obj, *_):
    return {name: exported[name] for name in getattr(obj, "order", exported) if name in exported}


def fold_by_position(loaded, obj, weights, *_):
    """Find the array of a weight among those of its shape, in the order in which they came."""
    given = list(weights.values())
    obj.folded = {
        native: given.pop(next(i for i, a in enumerate(given) if a.shape == array.shape))
        for native, array in obj.arrays.items()
    }
    return loaded


ANY_ORDER = "test_weights_are_imported_in_any_order"
bury(
    "keeps_the_given_order",
    ANY_ORDER,
    "Given in reverse order: the names are in a different order",
    load=wrapped("load", after=keep_the_given_order),
    export=wrapped("export", after=export_in_order),
)
bury(
    "goes_by_position",
    ANY_ORDER,
    "Given in reverse order: 'prediction' has different values",
    load=wrapped("load", after=fold_by_position),
)


def set_one_by_one(obj, weights, allow_missing, copy):
    check_weights(plugin.dc_describe_weights(obj), weights, allow_missing)
    natives = plugin.natives_of(obj)
    for name, array in weights.items():
        obj.arrays[natives[name][0]] = array
        obj.folded = None
    return obj


def set_scaler_one_by_one(obj, weights, *_, fitted):
    if (obj.mean_ is not None) is not fitted or isinstance(obj, tiny.Net):
        return None
    obj.mean_ = weights["0"]
    obj.scale_ = weights["1"]
    return obj


def swallow(obj, weights, allow_missing, copy):
    with suppress(BaseException):
        for array in weights.values():
            array.sum()


def set_in_a_loop_on_one_line(obj, weights, allow_missing, copy):
    check_weights(plugin.dc_describe_weights(obj), weights, allow_missing)
    natives = plugin.natives_of(obj)
    # fmt: off
    for name, array in weights.items(): obj.arrays[natives[name][0]] = np.array(array)  # noqa: E701
    # fmt: on
    obj.folded = None
    return obj


WHOLE = "test_an_interrupted_import_leaves_the_object_whole"
bury(
    "sets_weights_in_a_loop_on_one_line",
    WHOLE,
    "An interrupted import left the object half changed: 'dense/0' has different values",
    load=instead("load", set_in_a_loop_on_one_line),
)
bury(
    "sets_weights_one_by_one",
    WHOLE,
    "An interrupted import left the object half changed: 'dense/0' has different values",
    load=instead("load", set_one_by_one),
)
for state, fitted in {"fitted": True, "unfitted": False}.items():
    bury(
        f"sets_weights_of_{state}_objects_one_by_one",
        WHOLE,
        "An interrupted import left the object half changed: '0' "
        + ("has different values" if fitted else "is unexpected"),
        suite="TestScaler",
        load=instead("load", functools.partial(set_scaler_one_by_one, fitted=fitted)),
    )
bury(
    "swallows_interrupts",
    WHOLE,
    "The import caught a KeyboardInterrupt",
    load=instead("load", swallow),
)


def empty(copies):
    def after(loaded, obj, weights, allow_missing, copy):
        if copy in copies:
            for array in weights.values():
                array.fill(0)
        return loaded

    return wrapped("load", after=after)


UNCHANGED = "test_importing_changes_no_given_array"
for copy in (True, False):
    bury(
        f"empties_the_given_arrays_with_copy_{copy}",
        UNCHANGED,
        f"After import(copy={copy}): 'dense/0' has different values",
        load=empty([copy]),
    )
bury(
    "predicting_writes_into_the_given_arrays",
    UNCHANGED,
    "After import(copy=False): 'norm/0' has different values",
    suite="DriftingInPlaceSuite",
)


def insist_on_writing(copies):
    def before(obj, weights, allow_missing, copy):
        for array in weights.values() if copy in copies else ():
            array.setflags(write=True)

    return wrapped("load", before)


def skip_read_only(obj, weights, allow_missing, copy):
    writable = {name: array for name, array in weights.items() if array.flags.writeable}
    return plugin.dc_import_weights(obj, writable, weights.keys(), copy)


READ_ONLY = "test_read_only_arrays_are_imported"
for copy in (True, False):
    bury(
        f"insists_on_writing_with_copy_{copy}",
        READ_ONLY,
        "Instead there was ValueError: cannot set WRITEABLE flag",
        load=insist_on_writing([copy]),
    )
bury(
    "skips_read_only_arrays",
    READ_ONLY,
    "Read-only, copy=True: 'dense/0' has different values",
    load=instead("load", skip_read_only),
)

ANY_MEMORY = "test_arrays_in_any_memory_order_are_imported"


def copies_the_buffer(array):
    return np.frombuffer(array.tobytes(order="A"), array.dtype).reshape(array.shape)


def ignores_strides(array):
    base = array if array.base is None or array.flags.forc else array.base.reshape(-1)
    return base if base is array else base[: array.size].reshape(array.shape)


for copy in (True, False):
    bury(
        f"copies_the_buffer_with_copy_{copy}",
        ANY_MEMORY,
        f"Fortran-ordered, copy={copy}: 'dense/0' has different values",
        load=loading(copies_the_buffer, [copy]),
    )
bury(
    "ignores_strides",
    ANY_MEMORY,
    "strided, copy=True: 'dense/0' has different values",
    load=loading(ignores_strides),
)


def clear_the_missing(obj, weights, allow_missing, copy):
    cleared = {n: np.zeros_like(a) for n, a in plugin.dc_export_weights(obj, None, True).items()}
    return plugin.dc_import_weights(obj, cleared | dict(weights), allow_missing, copy)


bury(
    "clears_the_missing",
    "test_weights_allowed_to_be_missing_stay",
    "Without 'dense/0': 'dense/0' has different values",
    load=instead("load", clear_the_missing),
)


# Refusing


def take_any_part(obj, weights, allow_missing, copy):
    return plugin.dc_import_weights(obj, weights, plugin.dc_describe_weights(obj), copy)


def notice_too_late(obj, weights, allow_missing, copy):
    take_any_part(obj, weights, allow_missing, copy)
    check_weights(plugin.dc_describe_weights(obj), weights, allow_missing)
    return obj


def raise_a_key_error(obj, weights, allow_missing, copy):
    given = {name: weights[name] for name in plugin.dc_describe_weights(obj)}
    return plugin.dc_import_weights(obj, given, (), copy)


MISSING = "test_a_missing_name_is_rejected"
bury(
    "takes_any_part",
    MISSING,
    "Given everything but 'dense/0' (copy=True), it raised nothing",
    load=instead("load", take_any_part),
)
bury(
    "takes_any_part_without_copying",
    MISSING,
    "Given everything but 'dense/0' (copy=False), it raised nothing",
    load=instead("load", lambda *call: None if call[-1] else take_any_part(*call)),
)
bury(
    "notices_too_late",
    MISSING,
    "it raised, but the object changed: 'dense/1' has different values",
    load=instead("load", notice_too_late),
)
bury(
    "raises_a_key_error",
    MISSING,
    "it raised KeyError ('dense/0'), which is neither WeightsMismatch nor StructureError",
    load=instead("load", raise_a_key_error),
)


def ignore_unknown(obj, weights, allow_missing, copy, unless=()):
    table = plugin.dc_describe_weights(obj)
    known = {name: array for name, array in weights.items() if name in table}
    if not set(weights) - set(known) <= set(allow_missing) and unless:
        return None
    return plugin.dc_import_weights(obj, known, allow_missing, copy)


SURPLUS = "test_a_surplus_name_is_rejected"
bury(
    "ignores_unknown_names",
    SURPLUS,
    "Given a surplus weight (copy=True), it raised nothing",
    load=instead("load", ignore_unknown),
)
bury(
    "ignores_unknown_names_in_allow_missing",
    SURPLUS,
    "Given a surplus weight named in allow_missing (copy=True), it raised nothing",
    load=instead("load", functools.partial(ignore_unknown, unless=("allowed",))),
)


def broadcast(accepted):
    def attempt(obj, weights, allow_missing, copy):
        table = plugin.dc_describe_weights(obj)
        spread = {
            name: np.broadcast_to(array.reshape(-1)[0], table[name].shape)
            if isinstance(array, np.ndarray)
            and name in table
            and accepted(array, table[name].shape)
            else array
            for name, array in weights.items()
        }
        return plugin.dc_import_weights(obj, spread, allow_missing, copy)

    return instead("load", attempt)


SHAPE = "test_a_wrong_shape_is_rejected"
bury(
    "broadcasts_numbers",
    SHAPE,
    "Given 'dense/0' of shape () (copy=True), it raised nothing",
    load=broadcast(lambda array, shape: array.shape == ()),
)
bury(
    "broadcasts_one_number",
    SHAPE,
    "Given 'dense/0' of shape (1,) (copy=True), it raised nothing",
    load=broadcast(lambda array, shape: array.shape == (1,)),
)
bury(
    "drops_leading_axes",
    SHAPE,
    "Given 'dense/0' of shape (1, 3, 4) (copy=True), it raised nothing",
    load=broadcast(lambda array, shape: array.shape == (1, *shape)),
)


def cast(dtype):
    def attempt(obj, weights, allow_missing, copy):
        table = plugin.dc_describe_weights(obj)
        arrays = {
            name: array.astype(table[name].dtype)
            if isinstance(array, np.ndarray) and array.dtype == dtype and name in table
            else array
            for name, array in weights.items()
        }
        return plugin.dc_import_weights(obj, arrays, allow_missing, copy)

    return instead("load", attempt)


for dtype, suite, name in (
    ("float64", "TestNet", "dense/0"),
    ("int64", "TestNet", "dense/0"),
    ("float32", "TestScaler", "0"),
):
    bury(
        f"casts_{dtype}",
        "test_a_wrong_dtype_is_rejected",
        f"Given {name!r} as {dtype} (copy=True), it raised nothing",
        suite=suite,
        load=cast(dtype),
    )


def cast_byte_order(obj, weights, allow_missing, copy):
    native = {
        name: array.astype(array.dtype.newbyteorder("=")) if hasattr(array, "dtype") else array
        for name, array in weights.items()
    }
    return plugin.dc_import_weights(obj, native, allow_missing, copy)


def cast_before_fitting(obj, weights, allow_missing, copy):
    if isinstance(obj, tiny.Net) or obj.mean_ is not None:
        return None
    doubles = {name: array.astype(np.float64) for name, array in weights.items()}
    return plugin.dc_import_weights(obj, doubles, allow_missing, copy)


def insist_on_doubles(obj, weights, allow_missing, copy):
    if obj.mean_ is None and any(array.dtype != np.float64 for array in weights.values()):
        raise TypeError("not a double")


bury(
    "raises_a_type_error_before_fitting",
    "test_a_wrong_dtype_is_rejected",
    "Given '0' as float32 (copy=True), it raised TypeError (not a double), which is neither",
    suite="TestScaler",
    load=instead("load", insist_on_doubles),
)
bury(
    "casts_byte_order",
    "test_a_wrong_dtype_is_rejected",
    "Given 'dense/0' as >f4 (copy=True), it raised nothing",
    load=instead("load", cast_byte_order),
)
bury(
    "casts_before_fitting",
    "test_a_wrong_dtype_is_rejected",
    "Given '0' as float32: '0' is float64(3,) instead of float32(3,)",
    suite="TestScaler",
    load=instead("load", cast_before_fitting),
)


def convert_lists(obj, weights, allow_missing, copy):
    table = plugin.dc_describe_weights(obj)
    arrays = {name: np.asarray(value, table[name].dtype) for name, value in weights.items()}
    return plugin.dc_import_weights(obj, arrays, allow_missing, copy)


bury(
    "converts_lists",
    "test_a_value_that_is_not_an_array_is_rejected",
    "Given 'dense/0' as Python numbers (copy=True), it raised nothing",
    load=instead("load", convert_lists),
)


def fit_to(mean, scale):
    def attempt(obj, weights, allow_missing, copy):
        if obj.mean_ is None and len(weights) != 2:
            obj.mean_, obj.scale_ = mean, scale
            return obj
        return None

    return attempt


def fit_by_halves(obj, weights, allow_missing, copy):
    return plugin.dc_import_weights(obj, weights, {"0", "1"}, copy) if weights else None


def ignore_surplus(obj, weights, allow_missing, copy):
    known = {name: weights[name] for name in ("0", "1") if name in weights}
    return plugin.dc_import_weights(obj, known, allow_missing, copy)


ALL_OR_NOTHING = "test_an_unfitted_object_takes_all_or_nothing"
bury(
    "fits_to_nothing",
    ALL_OR_NOTHING,
    "Given nothing, it has weights",
    suite="TestScaler",
    load=instead("load", fit_to(np.zeros(3), np.ones(3))),
)
bury(
    "fits_by_halves",
    ALL_OR_NOTHING,
    "Given everything but '0' (copy=True), it raised nothing",
    suite="TestScaler",
    load=instead("load", fit_by_halves),
)
bury(
    "ignores_a_surplus_before_fitting",
    ALL_OR_NOTHING,
    "Given a surplus weight (copy=True), it raised nothing",
    suite="TestScaler",
    load=instead("load", ignore_surplus),
)


def trust_the_scale(fitted):
    def attempt(obj, weights, *_):
        if (obj.mean_ is not None) is not fitted or set(weights) != {"0", "1"}:
            return None
        vars(obj).update(mean_=weights["0"], scale_=weights["1"])
        return obj

    return instead("load", attempt)


CORRUPTED = "test_a_corrupted_structure_is_rejected"
for state, fitted in {"fitted": True, "unfitted": False}.items():
    bury(
        f"trusts_the_weights_of_{state}_objects",
        CORRUPTED,
        "Given a scale of zero (copy=True), it raised nothing",
        suite="TestScaler",
        load=trust_the_scale(fitted),
    )


def check_afterwards(obj, weights, allow_missing, copy):
    check_weights(plugin.dc_describe_weights(obj), weights, allow_missing)
    obj.arrays.update(
        (natives[0], weights[name]) for name, natives in plugin.natives_of(obj).items()
    )
    obj.folded = None
    if any((np.abs(array) > 1e30).any() for array in obj.arrays.values()):
        raise StructureError("A weight is too large.")
    return obj


def clip(array):
    return np.clip(array, -1e30, 1e30)


def crash_on_nan(array):
    return array if np.isfinite(array).all() else array.astype("datetime64[s]")


CHANGED = "test_a_changed_number_is_imported_exactly_or_rejected"
for copy in (True, False):
    bury(
        f"clips_with_copy_{copy}",
        CHANGED,
        f"(copy={copy}): 'dense/0' has different values",
        load=loading(clip, copies=[copy]),
    )
bury(
    "checks_afterwards",
    CHANGED,
    "it raised, but the object changed",
    load=instead("load", check_afterwards),
)
bury(
    "crashes_on_damage",
    CHANGED,
    "which is neither WeightsMismatch nor StructureError",
    load=wrapped(
        "load",
        lambda obj, weights, *_: [
            int(array[np.isnan(array)][0]) for array in weights.values() if np.isnan(array).any()
        ],
    ),
)


def clip_scaler(obj, weights, allow_missing, copy, *, fitted):
    if (obj.mean_ is not None) is not fitted:
        return None
    clipped = {name: clip(array) for name, array in weights.items()}
    return plugin.dc_import_weights(obj, clipped, allow_missing, copy)


for state, fitted in {"fitted": True, "unfitted": False}.items():
    bury(
        f"clips_the_weights_of_{state}_objects",
        CHANGED,
        "'0' has different values",
        suite="TestScaler",
        load=instead("load", functools.partial(clip_scaler, fitted=fitted)),
    )


# Capabilities


GOLDEN = "test_golden_files_of_earlier_versions_are_read"
bury(
    "has_no_golden_file",
    GOLDEN,
    "There is no golden file",
    suite="NewSuite",
)
bury(
    "renames_layers",
    GOLDEN,
    "TestNet-1.0.npz of tiny 1.0, tiny-backend 1.0 is refused: The model has no weight 'dense/0'",
    load=wrapped("load", lambda obj, weights, *_: check_new_names(obj, weights)),
)
bury(
    "renames_a_class",
    GOLDEN,
    "has the stored name 'tiny/Net', which is now 'tiny/Network'",
    component=wrapped("component", after=lambda found, obj: ("tiny/Network", found[1])),
)
bury(
    "forgets_the_name_of_a_class",
    GOLDEN,
    "has the stored name 'tiny/Net', which is now None",
    component=wrapped("component", after=lambda found, obj: None),
)
bury(
    "transposes_what_was_stored",
    GOLDEN,
    "With the weights of TestNet-1.0.npz of tiny 1.0, tiny-backend 1.0, the predictions differ",
    load=wrapped("load", after=lambda obj, *_: reverse_head(obj)),
)


def check_new_names(obj, weights):
    table = plugin.dc_describe_weights(obj)
    check_weights({name.replace("dense", "linear"): i for name, i in table.items()}, weights)


def reverse_head(obj):
    obj.arrays["head.weight"] = obj.arrays["head.weight"][:, ::-1]
    obj.folded = None
    return obj


HOSTILE = "test_hostile_weights_never_crash_or_hang"


def on_hostile_weights(act):
    """Return an import hook that does something if the weights are not finite."""

    def attempt(obj, weights, *_):
        if not all(np.isfinite(array).all() for array in weights.values()):
            act()

    return wrapped("load", attempt)


def wait():
    while True:
        sum(range(1000))


def overlook():
    raise KeyError("nan")


def clip_the_mean(obj, *_):
    obj.mean_ = np.clip(obj.mean_, -10, 10)
    return obj


for fault, act, says in (
    ("crashes", os.abort, "crash (SIGABRT)"),
    ("hangs", wait, "hang (SIGPROF)"),
    ("takes_all_memory", lambda: bytearray(1 << 40), "memory (importing: "),
    ("overlooks_nan", overlook, "untyped error (KeyError: 'nan')"),
):
    bury(
        f"{fault}_on_hostile_weights",
        HOSTILE,
        f"ended with: {says}",
        suite="ImpatientSuite",
        load=on_hostile_weights(act),
    )
bury(
    "clips_hostile_weights",
    HOSTILE,
    "ended with: inexact ('0' has different values)",
    suite="TestScaler",
    load=wrapped("load", after=clip_the_mean),
)
bury(
    "makes_no_hostile_objects",
    HOSTILE,
    "The weights of make(0), unchanged: untyped error SystemError: not today",
    suite="StrangerSuite",
)

ANY_STATE = "test_any_state_is_imported_exactly_or_rejected"
bury(
    "clips_any_state",
    ANY_STATE,
    "has different values: ",
    load=loading(lambda array: np.where(np.abs(array) < 3, array, np.float32(3))),
)


def fail_on_two(obj, weights, *_):
    changed = [name for name, array in weights.items() if (array.view("u4") < 256).any()]
    if len(changed) > 1:
        raise ZeroDivisionError("one at a time")


bury(
    "fails_on_two_changes",
    ANY_STATE,
    "(copy=True), it raised ZeroDivisionError (one at a time), which is neither",
    load=wrapped("load", fail_on_two),
)

ANY_ARCHITECTURE = "test_any_architecture_survives_a_round_trip"
bury(
    "describes_no_empty_weights",
    ANY_ARCHITECTURE,
    "Described is {'dense/0'",
    describe=wrapped(
        "describe",
        after=lambda table, obj: {name: i for name, i in table.items() if 0 not in i.shape},
    ),
)
bury(
    "shortens_native_names_of_any_architecture",
    ANY_ARCHITECTURE,
    "Native names are used twice: ['weight', 'bias', 'mean', 'weight'",
    describe=describing(
        lambda name, info: (name, replace(info, native=info.native.rpartition(".")[2]))
    ),
)


def import_known_layers(obj, weights, allow_missing, copy):
    known = [name for name in weights if name.split("/")[0] in ("dense", "norm", "head")]
    part = {name: weights[name] for name in known}
    return plugin.dc_import_weights(obj, part, list(plugin.dc_describe_weights(obj)), copy)


bury(
    "imports_known_layers_alone",
    ANY_ARCHITECTURE,
    "After a round trip: '",
    load=instead("load", import_known_layers),
)
bury(
    "has_unlike_architectures",
    ANY_ARCHITECTURE,
    "After a round trip: 'prediction' has different values",
    suite="UnlikeSuite",
)


def declaring(*capabilities, versions=None):
    versions = {"tiny": "1.0"} if versions is None else versions
    return instead("info", lambda: BackendInfo(versions, frozenset(capabilities)))


CAN_DO = "test_declared_capabilities_are_those_implemented"
bury(
    "declares_nonsense",
    CAN_DO,
    "There is no capability 'telepathy'",
    info=declaring("weights", "skeleton", "components", "wrap", "telepathy"),
)
bury(
    "declares_what_it_lacks",
    CAN_DO,
    "It declares 'wrap' and lacks a hook",
    wrap=None,
)
bury(
    "hides_what_it_implements",
    CAN_DO,
    "It implements 'wrap' and does not declare it",
    info=declaring("weights", "skeleton", "components"),
)
for name, versions, says in (
    ("no_versions", {}, "It declares no versions"),
    ("versions_as_numbers", {"tiny": 1}, "ParameterError: `versions` is {'tiny': 1}"),
    ("another_version", {"tiny": "2.0"}, "It declares tiny 2.0; installed is 1.0."),
    ("a_stranger", {"tinier": "1.0"}, "installed is no distribution of that name."),
):
    bury(
        f"declares_{name}",
        "test_declared_versions_are_installed",
        says,
        info=declaring("weights", "skeleton", "components", "wrap", versions=versions),
    )
UNDECLARED = "test_undeclared_capabilities_raise_unsupported"
bury(
    "wraps_undeclared",
    UNDECLARED,
    "'wrap' is not declared, but it works",
    info=declaring("weights", "skeleton", "components"),
)
bury(
    "builds_undeclared",
    UNDECLARED,
    "'components' is not declared, but it works",
    info=declaring("weights", "skeleton", "wrap"),
    build=instead("build", lambda name, params: tiny.Net()),
)


class Other(tiny.Net):
    """A class of its own."""


def make_another(built, build):
    other = Other(power=built.power)
    other.arrays = built.arrays
    return other


def drop_arrays(built, build):
    built.arrays.clear()
    return built


def fail_on_import(copies, effect):
    """Return an import hook that spoils what was built as a skeleton."""

    def after(loaded, obj, weights, allow_missing, copy):
        if getattr(obj, "is_skeleton", False) and copy in copies:
            effect(obj)
        return loaded

    return wrapped("load", after=after)


def mark(built, build):
    built.is_skeleton = True
    return built


def spoil_arrays(obj):
    obj.arrays["dense.bias"] = obj.arrays["dense.bias"] + 1


SKELETON = "test_a_skeleton_takes_the_weights"
bury(
    "makes_another_class",
    SKELETON,
    "The skeleton is a Other, not a Net",
    skeleton=wrapped("skeleton", after=make_another),
)
bury(
    "skeletons_have_no_arrays",
    SKELETON,
    "The skeleton and blank() have different descriptions",
    skeleton=wrapped("skeleton", after=drop_arrays),
)
for copy in (True, False):
    bury(
        f"spoils_skeletons_with_copy_{copy}",
        SKELETON,
        f"A skeleton loaded with copy={copy}: 'dense/1' has different values",
        skeleton=wrapped("skeleton", after=mark),
        load=fail_on_import([copy], spoil_arrays),
    )
bury(
    "skeletons_stay_in_training",
    SKELETON,
    "A skeleton loaded with copy=True: 'prediction' has different values",
    skeleton=wrapped("skeleton", after=mark),
    load=fail_on_import([True, False], train),
)


def stay_uninitialised(build):
    tiny.draw = lambda shape, seed: np.zeros(shape, np.float32)
    return build()


def stay_uninitialised_after_an_error(build):
    before, tiny.draw = tiny.draw, lambda shape, seed: np.zeros(shape, np.float32)
    built = build()
    tiny.draw = before
    return built


TRACE = "test_building_a_skeleton_has_no_side_effects"
bury(
    "stays_uninitialised",
    TRACE,
    "After a skeleton was built: 'dense/0' has different values",
    skeleton=instead("skeleton", stay_uninitialised),
)
bury(
    "stays_uninitialised_after_an_error",
    TRACE,
    "After a skeleton failed to build: 'dense/0' has different values",
    skeleton=instead("skeleton", stay_uninitialised_after_an_error),
)
WRAPPED = "test_wrapping_gives_a_model_with_the_same_weights"
bury("wraps_in_a_list", WRAPPED, "It is a list", wrap=instead("wrap", lambda obj: [obj]))
bury(
    "wraps_another_object",
    WRAPPED,
    "The 4 weights of the model are not the object's 4",
    wrap=instead("wrap", lambda obj: plugin.TinyModel(tiny.Net(7))),
)


# Components


REBUILT = "test_components_are_rebuilt_from_their_description"
bury(
    "leaves_out_the_namespace",
    REBUILT,
    "Its stored name is 'Net'",
    component=wrapped("component", after=lambda found, obj: ("Net", found[1])),
)
bury(
    "builds_another_class",
    REBUILT,
    "A Net was built as a Other",
    build=instead("build", lambda name, params: Other(**params)),
)
bury(
    "ignores_the_arguments",
    REBUILT,
    "('tiny/Net', {'power': 2}) was built as ('tiny/Net', {'power': 1})",
    build=instead("build", lambda name, params: tiny.Net()),
)
bury(
    "forgets_the_arguments",
    REBUILT,
    "Built and loaded: 'prediction' has different values",
    component=instead("component", lambda obj: ("tiny/Net", {})),
)
for i, unknown in enumerate(
    (
        "tiny/NoSuchClass",
        "tiny/os.system",
        "tiny/__class__",
        "builtins/eval",
        "os.system",
        "../x",
        "",
    )
):
    bury(
        f"builds_unknown_name_{i}",
        "test_unknown_component_names_are_refused",
        f"{unknown!r} was built",
        build=instead(
            "build",
            lambda name, params, unknown=unknown: tiny.Schedule() if name == unknown else None,
        ),
    )


def dropping(parameter):
    def attempt(name, params):
        if parameter not in params:
            return None
        known = {n: value for n, value in params.items() if n != parameter}
        return plugin.dc_build_component(name, known)

    return instead("build", attempt)


for i, parameter in enumerate(
    ("no_such_parameter", "__class__", "__init__", "self", "args", "kwargs", "")
):
    bury(
        f"ignores_parameter_{i}",
        "test_unknown_parameters_are_refused",
        f"The parameter {parameter!r} was accepted",
        build=dropping(parameter),
    )

WRONG_TYPES = "test_parameters_of_wrong_types_raise_only_parameter_error"


def refusing(value):
    def before(name, params):
        if repr(params["power"]) == repr(value):
            raise TypeError(f"{value!r} is not a power")

    return wrapped("build", before)


for i, value in enumerate(
    (None, True, -1, 2**70, float("nan"), "no such option", b"", [[]], {"a": 1})
):
    bury(
        f"raises_a_type_error_for_value_{i}",
        WRONG_TYPES,
        f"power={value!r} raised TypeError",
        build=refusing(value),
    )
bury(
    "builds_another_class_for_a_wrong_type",
    WRONG_TYPES,
    "power=None made a Other",
    build=instead("build", lambda name, params: None if params["power"] == 2 else Other()),
)


# Special weights


def untie(obj):
    arrays = plugin.arrays_of(obj)
    return {
        name: WeightInfo(native, arrays[native].shape, arrays[native].dtype)
        for native, name in number_by_layer(arrays).items()
    }


def untie_on_import(loaded, obj, *_):
    if "decoder.weight" in obj.arrays:
        obj.arrays["decoder.weight"] = obj.arrays["decoder.weight"].copy()
    return loaded


def without(table, *_):
    return {name: info for name, info in table.items() if name != "decoder/0"}


TIED = "test_tied_weights_appear_once"
bury("unties", TIED, "No weight has an alias", describe=instead("describe", untie))
bury(
    "unties_on_import",
    TIED,
    "After an import the weights are no longer tied",
    load=wrapped("load", after=untie_on_import),
    export=wrapped("export", after=without),
)
bury(
    "exports_tied_weights_twice",
    TIED,
    "After a round trip: 'decoder/0' is unexpected",
    load=wrapped("load", after=untie_on_import),
)
bury(
    "spoils_tied_weights",
    TIED,
    "After a round trip: 'dense/0' has different values",
    load=loading(spoil),
)
bury(
    "scalars_are_described_as_vectors",
    "test_zero_dimensional_weights_keep_their_shape",
    "No weight has shape ()",
    describe=describing(lambda name, info: (name, replace(info, shape=info.shape or (1,)))),
)
bury(
    "makes_scalars_vectors",
    "test_zero_dimensional_weights_keep_their_shape",
    "'0' is described as float32() and exported as float32(1,)",
    export=exporting(np.ascontiguousarray),
)
bury(
    "leaves_out_empty_weights",
    "test_empty_weights_keep_their_shape",
    "No weight is empty",
    describe=wrapped(
        "describe",
        after=lambda table, obj: {n: info for n, info in table.items() if 0 not in info.shape},
    ),
)
bury(
    "flattens_empty_weights",
    "test_empty_weights_keep_their_shape",
    "'0' is described as float32(0, 3) and exported as float32(0,)",
    export=exporting(lambda a: a if a.size else a.reshape(-1)),
)
bury(
    "describes_bfloat16_as_float32",
    "test_bfloat16_weights_are_exact",
    "No weight is described as bfloat16",
    describe=describing(
        lambda name, info: (
            name,
            replace(info, dtype=np.dtype("f4") if info.dtype.itemsize == 2 else info.dtype),
        )
    ),
)
bury(
    "widens_bfloat16",
    "test_bfloat16_weights_are_exact",
    "'0' is described as bfloat16(3,) and exported as float32(3,)",
    export=exporting(lambda a: a.astype(np.float32) if a.dtype.name == "bfloat16" else a),
)
bury(
    "stays_in_training_after_an_import",
    "test_bfloat16_weights_are_exact",
    "After a round trip: 'prediction' has different values",
    load=wrapped("load", after=lambda loaded, obj, *_: train(obj) or loaded),
)


def replacing(find, by):
    """Return an import hook that replaces the elements with the bits ``find``."""

    def change(array):
        changed = array.copy()
        bits = changed.reshape(-1).view(np.uint32)
        bits[bits == find] = by
        return changed

    return change


FLOATS = "test_unusual_floats_are_exact"
for what, find, by in (
    ("a NaN with a payload", 0x7FC00005, 0x7FC00000),
    ("a signalling NaN", 0x7F800001, 0x7FC00001),
    ("a negative zero", 0x80000000, 0),
    ("a subnormal", 1, 0),
):
    for copy in (True, False):
        bury(
            f"loses_{what.replace(' ', '_')}_with_copy_{copy}",
            FLOATS,
            f"Given 'dense/0' filled with {what}: 'dense/0' has different values",
            load=loading(replacing(find, by), [copy]),
        )


bury(
    "crashes_on_nan",
    FLOATS,
    "Given 'dense/0' filled with a NaN with a payload (copy=True), it raised ValueError",
    load=wrapped(
        "load",
        lambda obj, weights, *_: [int(a.sum()) for a in weights.values() if np.isnan(a).any()],
    ),
)


# Side effects


def start_a_thread():
    threading.Thread(target=threading.Event().wait, daemon=True).start()


OPENED = []


def leave_a_file_open():
    OPENED.append(os.open(os.devnull, os.O_RDONLY))


EFFECTS = {
    "the state of the module random": random.random,
    "NumPy's global random state": np.random.random,
    "NumPy's error handling (np.seterr)": lambda: np.seterr(under="raise"),
    "os.environ": lambda: os.environ.update(TINY_CACHE=str(next(count))),
    "the working directory": lambda: os.chdir(".."),
    "the warning filters": lambda: warnings.filterwarnings("ignore", str(next(count))),
    "NumPy's print options": lambda: np.set_printoptions(precision=next(count)),
    "the umask": lambda: os.umask(next(count) % 8 * 8 + 7),
    "sys.path": lambda: sys.path.append(str(next(count))),
    "the standard streams": lambda: setattr(sys, "stdin", io.StringIO()),
    "the interpreter's limits": lambda: sys.setrecursionlimit(sys.getrecursionlimit() + 1),
    "the garbage collector": lambda: gc.set_threshold(next(count)),
    "the root logger": lambda: logging.root.setLevel(next(count)),
    "the signal handlers": lambda: signal.signal(signal.SIGINT, lambda *_: None),
    "the hooks for uncaught errors": lambda: setattr(sys, "excepthook", lambda *_: None),
    "the open files": leave_a_file_open,
    "the running threads": start_a_thread,
    "the framework's global state": lambda: setattr(tiny, "initialise", next(count)),
}
LEFT_ALONE = "test_calls_leave_the_process_as_it_was"
for what, effect in EFFECTS.items():
    bury(
        f"changes_{what}",
        LEFT_ALONE,
        f"{what} is different",
        load=wrapped("load", lambda *_, effect=effect: effect()),
    )
for short, verb in {
    "describe": "describe weights",
    "skeleton": "build a skeleton",
    "component": "describe a component",
    "build": "build a component",
    "wrap": "wrap",
}.items():
    bury(
        f"draws_numbers_to_{verb}",
        LEFT_ALONE,
        f"After it was asked to {verb}, the state of the module random",
        **{short: wrapped(short, lambda *_: random.random())},
    )
for short, verb in {"export": "export weights", "load": "import weights"}.items():
    for copy, how in {True: "", False: " without copying"}.items():
        bury(
            f"draws_numbers_to_{verb}{how}",
            LEFT_ALONE,
            f"After it was asked to {verb}{how}, the state of the module random",
            **{short: wrapped(short, only([copy], lambda obj: random.random()))},
        )
FIRST_CALLS = "test_first_calls_leave_the_process_as_it_was"
for verb, short, what, effect in (
    ("describe weights", "describe", "the working directory", lambda *_: os.chdir("/")),
    ("describe weights", "describe", "the umask", lambda *_: os.umask(0o026)),
    ("export weights", "export", "NumPy's error handling", lambda *_: np.seterr(all="ignore")),
    ("import weights", "load", "os.environ", lambda *_: os.environ.update(TINY="1")),
    ("wrap", "wrap", "the state of the module random", lambda *_: random.seed(0)),
):
    bury(
        f"sets_{what}_to_{verb}",
        FIRST_CALLS,
        f"After it was asked for the first time to {verb}, {what}",
        **{short: wrapped(short, effect)},
    )
PRINT_NOTHING = "test_calls_print_nothing"
for stream, write in {
    "stdout": lambda: print("loading"),
    "stderr": lambda: print("loading", file=sys.stderr),
    "native_stdout": lambda: os.write(1, b"loading\n"),
    "native_stderr": lambda: os.write(2, b"loading\n"),
}.items():
    bury(
        f"writes_to_{stream}",
        PRINT_NOTHING,
        "Asked to import weights, it wrote 'loading\\n'",
        load=wrapped("load", lambda *_, write=write: write()),
    )

KEPT = []


def keep(result, *arguments):
    KEPT.append(result)
    return result


def keep_given(obj, weights, *_):
    KEPT.append(dict(weights))


NOTHING_KEPT = "test_nothing_is_kept_after_a_call"
bury(
    "keeps_exports",
    NOTHING_KEPT,
    "An exported array is still in memory",
    export=wrapped("export", after=keep),
)
bury(
    "keeps_given_arrays",
    NOTHING_KEPT,
    "A given array is still in memory after an import",
    load=wrapped("load", keep_given),
)
for short in ("describe", "export", "load"):
    bury(
        f"keeps_objects_to_{short}",
        NOTHING_KEPT,
        "An object is still in memory after it was dropped",
        **{short: wrapped(short, lambda obj, *_: KEPT.append(obj))},
    )
ALLOCATES = "test_describing_allocates_no_weights"
bury(
    "makes_nothing_large",
    ALLOCATES,
    "The largest weight of make_large(0) has 48 bytes",
    suite="SmallSuite",
)
bury(
    "describes_a_copy",
    ALLOCATES,
    "Describing it allocated ",
    describe=wrapped("describe", lambda obj: plugin.dc_export_weights(obj, None, True)),
)
