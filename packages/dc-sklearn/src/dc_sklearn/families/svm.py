"""Support vector machines: libsvm trusts every count, so all of them are checked here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from scipy import sparse

from dc_core.errors import StructureError
from dc_sklearn.families.linear import linear_classifier, linear_regressor
from dc_sklearn.kinds import (
    Classes,
    Count,
    Flag,
    Floats,
    Integers,
    ListOf,
    Number,
    Size,
    Sparse,
)
from dc_sklearn.schema import Field, Schema, State, schema


def _check(owner: Any, state: State) -> None:
    """Check the shapes and counts of a libsvm model of k classes (2 for regression) and l vectors.

    ``_dual_coef_`` is ``(k - 1, l)``, ``_intercept_`` and ``_probA`` are ``(k (k - 1) / 2,)``, and
    ``_n_support`` sums up to l; see the struct ``svm_model`` of libsvm's ``svm.h``.
    """
    support = _array(state, "support_", np.int32, 1)
    vectors, dual, total = state["support_vectors_"], state["_dual_coef_"], len(support)
    k = _check_counts(state, total) if "classes_" in state else 2

    pairs = k * (k - 1) // 2
    _shaped("_intercept_", _array(state, "_intercept_", np.float64, 1), (pairs,))
    for name in ("_probA", "_probB"):
        if (given := _array(state, name, np.float64, 1)).size:
            _shaped(name, given, (pairs,))
    if state["_probA"].size != state["_probB"].size:
        raise StructureError("_probA and _probB differ in length.")
    # With sparse rows, libsvm copies one per pair whenever it is told to; which of the two tells it
    # depends on the version of scikit-learn.
    asked = {owner.probability, state.get("_effective_probability")} - {False, None, "deprecated"}
    if asked and not state["_probA"].size:
        raise StructureError("_probA and _probB are empty, but the model is to give probabilities.")
    fitted = state["shape_fit_"]
    if not isinstance(fitted, tuple) or not all(type(n) is int for n in fitted) or not fitted:
        raise StructureError(f"shape_fit_ is {fitted!r}, which is not a shape.")
    if total and not 0 <= support.min() <= support.max() < fitted[0]:
        raise StructureError(f"support_ names rows beyond the {fitted[0]} training rows.")

    n = state["n_features_in_"]
    if state["_sparse"] is True:
        if owner.kernel == "precomputed" or callable(owner.kernel):
            raise StructureError(f"libsvm has no sparse vectors with kernel={owner.kernel!r}.")
        if not (sparse.issparse(vectors) and sparse.issparse(dual)):
            raise StructureError(
                "support_vectors_ and _dual_coef_ must be sparse because _sparse is True."
            )
        if vectors.indices.dtype != np.int32 or vectors.indptr.dtype != np.int32:
            raise StructureError("support_vectors_ needs indices of int32.")
        _shaped("support_vectors_", vectors, (total, n))
        _shaped("_dual_coef_", dual, (k - 1, total))
        # libsvm reads the data alone, as rows of all vectors in their order.
        if not np.array_equal(dual.indices, np.tile(np.arange(total), k - 1)):
            raise StructureError("_dual_coef_ does not hold a coefficient for each vector in turn.")
        parts = (vectors.data, dual.data)
    else:
        precomputed = owner.kernel == "precomputed"
        _shaped("support_vectors_", vectors, (0, 0) if precomputed else (total, n))
        _shaped("_dual_coef_", dual, (k - 1, total))
        parts = (vectors, dual)
    if any(not isinstance(part, np.ndarray) or part.dtype != np.float64 for part in parts):
        raise StructureError("support_vectors_ and _dual_coef_ need float64.")


def _check_counts(state: State, total: int) -> int:
    """Check the number of support vectors of each class, and return the number of classes."""
    counts = _array(state, "_n_support", np.int32, 1)
    k = len(counts)
    if k < 2 or np.any(counts < 0) or counts.sum(dtype=np.int64) != total:
        raise StructureError(f"_n_support is {counts.tolist()}; there are {total} support vectors.")
    if np.shape(state["classes_"]) != (k,):
        raise StructureError(f"classes_ does not hold {k} classes.")
    return k


def _regression_counts(owner: Any, state: State) -> State:
    """Return the counts of support vectors of a regression, which has no classes.

    ``fit`` leaves the second one uninitialised if its rows are sparse.
    """
    total = len(state["support_"])
    return {"_n_support": np.array([total, total], np.int32)}


def _signed(name: str) -> Callable[[Any, State], Any]:
    """Return a function that makes a public attribute of libsvm's ``name``, as ``fit`` does.

    libsvm's decision between two classes is positive for the first, scikit-learn's for the second.
    """

    def public(owner: Any, state: State) -> Any:
        binary = len(state.get("classes_", ())) == 2
        return -state[name] if binary else state[name].copy()

    return public


def _offset(owner: Any, state: State) -> np.ndarray:
    offset: np.ndarray = -state["_intercept_"]
    return offset


def _array(state: State, name: str, dtype: Any, ndim: int) -> np.ndarray:
    array = state[name]
    if not isinstance(array, np.ndarray) or array.dtype != dtype or array.ndim != ndim:
        raise StructureError(f"{name} is not a {ndim}-d array of {np.dtype(dtype)}.")
    return array


def _shaped(name: str, array: Any, shape: tuple[int, ...]) -> None:
    if np.shape(array) != shape:
        raise StructureError(f"{name} has shape {np.shape(array)}; the vectors need {shape}.")


_VECTORS: Final = Floats("_ _") | Sparse("_ _")
_KERNEL: Final[Mapping[str, Field]] = {
    "n_features_in_": Size("n"),
    "support_": Integers("vectors"),
    "support_vectors_": _VECTORS,
    "_dual_coef_": _VECTORS,
    "_intercept_": Floats("pairs"),
    "_probA": Floats("_"),
    "_probB": Floats("_"),
    "_gamma": Number(),
    "_sparse": Flag(),
    "shape_fit_": ListOf(Count(), type=tuple),
    "fit_status_": Count(0, 1),
}
_FITTED: Final[Mapping[str, Field]] = {
    "_num_iter": Integers("_"),
    "n_iter_": Count() | Integers("_"),
}
_PROBABILITY: Final[Mapping[str, Mapping[str, Field]]] = {"1.9": {"_effective_probability": Flag()}}


_PUBLIC: Final = {"dual_coef_": _signed("_dual_coef_"), "intercept_": _signed("_intercept_")}


def _regressor(**derived: Callable[[Any, State], Any]) -> Schema:
    return schema(
        _KERNEL,
        {**_FITTED, "class_weight_": Floats("_")},
        derived={**_PUBLIC, **derived},
        since=_PROBABILITY,
        rebuilt="_n_support",
        rebuild=_regression_counts,
        check=_check,
    )


_REGRESSOR: Final = _regressor()
_CLASSIFIER: Final = schema(
    {
        **_KERNEL,
        "_n_support": Integers("classes", minimum=0),
        "classes_": Classes("classes", minimum=2),
        "class_weight_": Floats("classes"),
    },
    _FITTED,
    since=_PROBABILITY,
    derived=_PUBLIC,
    check=_check,
)

SCHEMAS: Final = {
    "svm.LinearSVC": linear_classifier({"n_iter_": Count()}),
    "svm.LinearSVR": linear_regressor({"n_iter_": Count()}),
    "svm.NuSVC": _CLASSIFIER,
    "svm.NuSVR": _REGRESSOR,
    "svm.OneClassSVM": _regressor(offset_=_offset),
    "svm.SVC": _CLASSIFIER,
    "svm.SVR": _REGRESSOR,
}
