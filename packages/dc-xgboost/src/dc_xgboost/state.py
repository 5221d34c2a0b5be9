"""The state of a booster, or of an estimator around one: describe it, export it, restore it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

import numpy as np
import xgboost
from sklearn.base import is_classifier

from dc_core import WeightInfo, check_weights, uninterrupted
from dc_core.errors import NotClaimed, NotSerializable, StructureError
from dc_core.structures import Reader, native_name
from dc_xgboost import document
from dc_xgboost.estimators import stored_name

_CLASSES: Final = "n_classes_/0"
_MAX_THREADS: Final = 256


def describe(obj: Any) -> dict[str, WeightInfo]:
    """Describe every array of a booster or a fitted estimator; {} before training."""
    return {
        name: WeightInfo(native_name(name), array.shape, array.dtype)
        for name, array in export(obj).items()
    }


def export(obj: Any, names: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """Return the arrays in ``names``, or all. They are made anew and belong to the caller.

    Raises :class:`NotClaimed` for what is neither a booster nor an estimator, and
    :class:`NotSerializable` for a subclass, and for a state that has no stored form.
    """
    _check_class(obj)
    booster = booster_of(obj)
    if booster is None:
        return {}
    try:
        data = bytes(booster.save_raw("ubj"))
    except xgboost.core.XGBoostError as error:
        raise NotSerializable(
            f"XGBoost cannot write this booster: {first_line(error)}",
            hint="Booster.save_model fails in the same way.",
        ) from error
    arrays = document.encode(data)
    if isinstance(obj, xgboost.XGBModel) and is_classifier(obj):
        arrays[_CLASSES] = np.array(obj.n_classes_, np.int64)
    return arrays if names is None else {name: arrays[name] for name in arrays if name in names}


def restore(
    obj: Any, arrays: Mapping[str, np.ndarray], allow_missing: Collection[str] = ()
) -> None:
    """Give a booster or an estimator this state, all or nothing.

    One that is trained takes arrays of its present names, shapes and dtypes; one that is not takes
    a complete state, or nothing. Raises :class:`WeightsMismatch` and :class:`StructureError` with
    the object unchanged.
    """
    present = export(obj)
    if present:
        table = {n: WeightInfo(native_name(n), a.shape, a.dtype) for n, a in present.items()}
        check_weights(table, arrays, allow_missing)
        arrays = {**present, **arrays}
    elif not arrays:
        return
    reader = Reader(arrays, copy=False)
    estimator = isinstance(obj, xgboost.XGBModel)
    state: dict[str, Any] = {}
    if estimator and is_classifier(obj):
        state["n_classes_"] = _take_classes(reader)
    made = xgboost.Booster({"nthread": threads_of(obj)})
    try:
        made.load_model(document.decode(reader))
        # Else it is read when it is first used, after which it is too late to refuse it.
        made.save_config()
    except xgboost.core.XGBoostError as error:
        raise StructureError(f"XGBoost refuses this model: {first_line(error)}") from error
    with uninterrupted():
        if estimator:
            vars(obj).update(state, _Booster=made)
        else:
            obj.handle, made.handle = made.handle, obj.handle


def booster_of(obj: Any) -> xgboost.Booster | None:
    """Return the booster of an estimator, or ``obj`` itself; None if it is not trained."""
    if isinstance(obj, xgboost.XGBModel):
        return obj.get_booster() if obj.__sklearn_is_fitted__() else None
    try:
        obj.num_features()
    except xgboost.core.XGBoostError:
        return None  # It has no features yet, and nothing else to store.
    booster: xgboost.Booster = obj
    return booster


def threads_of(obj: Any) -> int:
    """Return with how many threads an estimator predicts; 0 stands for all cores."""
    given = getattr(obj, "n_jobs", None)
    return given if isinstance(given, int) and 0 < given <= _MAX_THREADS else 0


def first_line(error: Exception) -> str:
    """Return what XGBoost says, without its stack trace."""
    return str(error).partition("\nStack trace:")[0].strip()


def _check_class(obj: Any) -> None:
    if stored_name(obj) is not None:
        return
    cls = type(obj)
    if not isinstance(obj, xgboost.Booster | xgboost.XGBModel):
        raise NotClaimed(
            f"{cls.__module__}.{cls.__qualname__} is neither a booster nor an estimator.",
            hint="dc_core.plugins.claim(obj) finds the backend that serves an object.",
        )
    raise NotSerializable(
        f"The state of {cls.__module__}.{cls.__qualname__} cannot be stored: it is not a class of "
        "XGBoost's own, or one for clusters.",
        hint="Store its booster: model.get_booster().",
    )


def _take_classes(reader: Reader) -> int:
    classes = reader.take_count(_CLASSES, 1)
    groups = reader.take_count("num_class/0")
    if classes != groups if groups > 1 else classes > 2:
        raise StructureError(f"{_CLASSES!r} is {classes}, and the booster has {groups} classes.")
    return classes
