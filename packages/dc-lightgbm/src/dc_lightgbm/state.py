"""The state of a booster, or of an estimator around one: describe it, export it, restore it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

import lightgbm
import numpy as np

from dc_core import WeightInfo, charge, check_weights, uninterrupted
from dc_core.errors import NotClaimed, NotSerializable, StructureError
from dc_core.structures import Reader, native_name, pack_texts
from dc_lightgbm import document
from dc_lightgbm.estimators import is_blank, stored_name

_CLASSES: Final = "classes_"


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
    arrays = document.encode(booster.model_to_string(num_iteration=-1))
    arrays["best_iteration/0"] = np.array(booster.best_iteration, np.int64)
    arrays["pandas_categorical/0"] = document.encode_categories(booster.pandas_categorical)
    if isinstance(obj, lightgbm.LGBMClassifier):
        arrays |= _encode_classes(np.asarray(obj.classes_))
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
    text = document.decode(reader)
    categories = document.decode_categories(reader)
    best = reader.take_count("best_iteration/0", -1)
    classes = _decode_classes(reader) if isinstance(obj, lightgbm.LGBMClassifier) else None
    reader.finish()
    try:
        made = lightgbm.Booster(model_str=text)
    except lightgbm.basic.LightGBMError as error:
        raise StructureError(f"LightGBM refuses this model: {error}") from error
    if best > made.current_iteration():
        raise StructureError(f"The best iteration {best} is not one of the booster's.")
    made.best_iteration, made.pandas_categorical = best, categories
    if isinstance(obj, lightgbm.Booster):
        with uninterrupted():
            obj.model_from_string(text)
            obj.best_iteration, obj.pandas_categorical = best, categories
        return
    state = _fitted(obj, made, classes, arrays["objective/0"].tobytes().decode())
    with uninterrupted():
        vars(obj).update(state)


def booster_of(obj: Any) -> lightgbm.Booster | None:
    """Return the booster of an estimator, or ``obj`` itself; None if it is not trained."""
    if isinstance(obj, lightgbm.LGBMModel):
        booster: lightgbm.Booster | None = obj.booster_ if obj.__sklearn_is_fitted__() else None
        return booster
    return None if is_blank(obj) else obj


def _fitted(
    obj: Any, booster: lightgbm.Booster, classes: np.ndarray | None, objective: str
) -> dict[str, Any]:
    """Return the fitted attributes of an estimator around ``booster``.

    All but the booster are those of an estimator that the installed LightGBM has fitted to a few
    rows of as many features and the same classes.
    """
    n_features, groups = booster.num_feature(), booster.num_model_per_iteration()
    if classes is not None and groups != (len(classes) if len(classes) > 2 else 1):
        raise StructureError(f"The booster has {groups} outputs for {len(classes)} classes.")
    y = np.array([0.0, 1.0]) if classes is None else np.repeat(classes, 2)
    charge(8 * len(y) * n_features, "Rows of the model's features")
    template = type(obj)(n_estimators=1, n_jobs=1, verbosity=-1, min_child_samples=1)
    options = {"group": [len(y)]} if isinstance(obj, lightgbm.LGBMRanker) else {}
    template.fit(np.zeros((len(y), n_features)), y, **options)
    own = {*template.get_params(), "_other_params"}
    state = {name: value for name, value in vars(template).items() if name not in own}
    names = booster.feature_name()
    changes = {
        "_Booster": booster,
        "_best_iteration": booster.best_iteration,
        "_objective": obj.objective or objective.partition(" ")[0],
        "_fitted_with_feature_names": names != [f"Column_{i}" for i in range(n_features)],
    }
    return state | {name: value for name, value in changes.items() if name in state}


def _encode_classes(classes: np.ndarray) -> dict[str, np.ndarray]:
    if classes.dtype.kind in "biuf":
        return {f"{_CLASSES}/0": classes.copy()}
    texts = classes.tolist()
    if classes.dtype.kind not in "OU" or not all(isinstance(text, str) for text in texts):
        raise NotSerializable(f"The classes are {classes.dtype}; they must be numbers or text.")
    return pack_texts(f"{_CLASSES}/text", texts)


def _decode_classes(reader: Reader) -> np.ndarray:
    if f"{_CLASSES}/0" in reader:
        classes = reader.take(f"{_CLASSES}/0", ndim=1)
        if classes.dtype.kind not in "biuf":
            raise StructureError(f"The classes are {classes.dtype}.")
    else:
        classes = np.array(reader.take_texts(f"{_CLASSES}/text"))
    if not len(classes) or not (classes[1:] > classes[:-1]).all() or (classes != classes).any():
        raise StructureError("The classes are not in rising order.")
    return classes


def _check_class(obj: Any) -> None:
    if stored_name(obj) is not None:
        return
    cls = type(obj)
    if not isinstance(obj, lightgbm.Booster | lightgbm.LGBMModel):
        raise NotClaimed(
            f"{cls.__module__}.{cls.__qualname__} is neither a booster nor an estimator.",
            hint="dc_core.plugins.claim(obj) finds the backend that serves an object.",
        )
    raise NotSerializable(
        f"The state of {cls.__module__}.{cls.__qualname__} cannot be stored: it is not a class of "
        "LightGBM's own, or one for clusters.",
        hint="Store its booster: model.booster_.",
    )
