"""The hooks of the backend ``knotline``."""

from importlib import metadata

import numpy as np
from knotline import AdditiveRegressor

from dc_core import BackendInfo, WeightInfo, check_weights, construct, hookimpl, uninterrupted
from dc_core.errors import NotClaimed, ParameterError, StructureError, UnknownClass

ATTRIBUTES = ("intercept_", "positions_", "heights_")
COMPONENTS = {"knotline/AdditiveRegressor": AdditiveRegressor}


def _check_served(obj):
    if type(obj) is not AdditiveRegressor:
        raise NotClaimed(f"The backend 'knotline' does not serve a {type(obj).__name__}.")


def _fitted(obj):
    """Return the attribute and the array of each weight by its name: ``heights_/0``."""
    _check_served(obj)
    arrays = {f"{attribute}/0": (attribute, getattr(obj, attribute)) for attribute in ATTRIBUTES}
    return arrays if obj.heights_ is not None else {}


@hookimpl
def dc_backend_info():
    """Return the version of knotline, and the capabilities."""
    versions = {"knotline": metadata.version("knotline")}
    return BackendInfo(versions, frozenset({"weights", "components", "wrap"}))


@hookimpl
def dc_describe_weights(obj):
    """Describe the fitted arrays of a regressor; none before it is fitted."""
    return {
        name: WeightInfo(attribute, array.shape, array.dtype)
        for name, (attribute, array) in _fitted(obj).items()
    }


@hookimpl
def dc_export_weights(obj, names, copy):
    """Return the fitted arrays of a regressor."""
    return {
        name: np.array(array, order="C", copy=True if copy else None)
        for name, (_, array) in _fitted(obj).items()
        if names is None or name in names
    }


def _table_before_fitting(obj, weights):
    """Describe what a regressor that is not fitted takes: the arrays decide how many features."""
    shape = getattr(weights.get("positions_/0"), "shape", ())
    features = shape[0] if len(shape) == 2 else 1
    shapes = {"intercept_": (), "positions_": (features, obj.knots)}
    shapes["heights_"] = shapes["positions_"]
    return {
        f"{name}/0": WeightInfo(name, shapes[name], np.dtype(np.float64)) for name in ATTRIBUTES
    }


def _check_structure(intercept_, positions_, heights_):
    """Raise StructureError unless the positions increase, which np.interp does not check."""
    if positions_.size == 0 or not np.all(np.isfinite(positions_)):
        raise StructureError("The positions of the knots are missing or not finite.")
    if not np.all(np.diff(positions_) > 0):
        raise StructureError(
            "The positions of the knots do not increase.",
            hint="The file is damaged: get the model from where it was published.",
        )


@hookimpl
def dc_import_weights(obj, weights, allow_missing, copy):
    """Check the arrays, give them to a regressor, and return the regressor."""
    fitted = _fitted(obj)
    table = dc_describe_weights(obj) if fitted else _table_before_fitting(obj, weights)
    check_weights(table, weights, allow_missing if fitted else ())
    state = dict(fitted.values())
    for name, array in weights.items():
        state[table[name].native] = np.array(array, order="C", copy=True if copy else None)
    _check_structure(**state)
    with uninterrupted():
        vars(obj).update(state)
    return obj


@hookimpl
def dc_describe_component(obj):
    """Return the stored name and the arguments of a regressor."""
    _check_served(obj)
    return "knotline/AdditiveRegressor", {"knots": obj.knots, "smoothing": obj.smoothing}


@hookimpl
def dc_build_component(name, params):
    """Return a new regressor, not fitted."""
    if name not in COMPONENTS:
        raise UnknownClass(f"The backend 'knotline' has no component {name!r}.")
    try:
        return construct(COMPONENTS[name], params)
    except ValueError as error:
        raise ParameterError(str(error)) from error


@hookimpl
def dc_wrap(obj):
    """Return a model around a regressor."""
    from dc_knotline.model import KnotlineModel

    return KnotlineModel(obj)
