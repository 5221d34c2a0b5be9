"""The good backend: it keeps every law."""

import numpy as np
import tiny

from dc_core import (
    Model,
    WeightInfo,
    check_weights,
    construct,
    errors,
    hookimpl,
    number_by_layer,
    uninterrupted,
)
from dc_core.plugins import BackendInfo


def arrays_of(obj):
    """Return the weights of ``obj`` by native name."""
    if isinstance(obj, tiny.Net):
        return obj.arrays
    if isinstance(obj, tiny.Scaler):
        found = {"mean_": obj.mean_, "scale_": obj.scale_}
        return {name: array for name, array in found.items() if array is not None}
    raise errors.NotClaimed(f"The backend 'tiny' does not serve a {type(obj).__name__}.")


def natives_of(obj):
    """Return for each canonical name its native names: the first, and the aliases."""
    names = {}
    for native, array in arrays_of(obj).items():
        names.setdefault(id(array), []).append(native)
    canonical = number_by_layer([natives[0] for natives in names.values()])
    return {canonical[natives[0]]: natives for natives in names.values()}


@hookimpl
def dc_backend_info():
    return BackendInfo({"tiny": "1.0"}, frozenset({"weights", "skeleton", "components", "wrap"}))


@hookimpl
def dc_describe_weights(obj):
    arrays = arrays_of(obj)
    return {
        name: WeightInfo(native, arrays[native].shape, arrays[native].dtype, tuple(aliases))
        for name, (native, *aliases) in natives_of(obj).items()
    }


@hookimpl
def dc_export_weights(obj, names, copy):
    arrays = arrays_of(obj)
    convert = np.array if copy else np.asarray
    return {
        name: convert(arrays[native], order="C")
        for name, (native, *_) in natives_of(obj).items()
        if names is None or name in names
    }


@hookimpl
def dc_import_weights(obj, weights, allow_missing, copy):
    natives = natives_of(obj)
    table = dc_describe_weights(obj)
    if isinstance(obj, tiny.Scaler) and not table:
        natives = {"0": ["mean_"], "1": ["scale_"]}
        table = {
            name: WeightInfo(native, tiny.INPUTS.shape[1:], np.dtype(float))
            for name, (native,) in natives.items()
        }
    check_weights(table, weights, allow_missing)
    convert = np.array if copy else np.asarray
    arrays = {name: convert(value, order="C") for name, value in weights.items()}
    kept = {native: array for name, array in arrays.items() for native in natives[name]}
    if not np.all(np.isfinite(scale := kept.get("scale_", np.ones(1))) & (scale > 0)):
        raise errors.StructureError("A scale is not positive.")
    with uninterrupted():
        if isinstance(obj, tiny.Net):
            obj.arrays |= kept
            obj.folded = None
        else:
            vars(obj).update(kept)
    return obj


@hookimpl
def dc_skeleton(build):
    tiny.initialise = False
    try:
        return build()
    finally:
        tiny.initialise = True


@hookimpl
def dc_describe_component(obj):
    if type(obj) is tiny.Net:
        return "tiny/Net", {"power": obj.power}
    return ("tiny/Scaler", {}) if type(obj) is tiny.Scaler else None


@hookimpl
def dc_build_component(name, params):
    classes = {"tiny/Net": tiny.Net, "tiny/Scaler": tiny.Scaler}
    if name not in classes:
        raise errors.UnknownClass(f"The backend 'tiny' has no component {name!r}.")
    return construct(classes[name], params)


class TinyModel(Model):
    """A model around an object of the framework."""

    def __init__(self, obj):
        self.obj = obj

    @property
    def native(self):
        return self.obj


@hookimpl
def dc_wrap(obj):
    return TinyModel(obj)
