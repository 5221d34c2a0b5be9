"""Scalers, encoders, binners, and features made of others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from typing import Any, Final

import numpy as np
from scipy.interpolate import BSpline
from sklearn.base import clone
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.preprocessing._data import _handle_zeros_in_scale
from sklearn.utils._missing import is_scalar_nan

from dc_core import charge
from dc_core.errors import NotSerializable, StructureError
from dc_sklearn.kinds import (
    MISSING,
    ArrayOf,
    Classes,
    Count,
    Flag,
    Floats,
    Halves,
    Integers,
    Labels,
    ListOf,
    Number,
    Reals,
    Size,
    Word,
    rises,
)
from dc_sklearn.nested import Nested
from dc_sklearn.schema import Field, Restoring, State, Storing, schema
from dc_sklearn.slots import Reader, Slot, Slots


def _given(**parameters: str) -> Callable[[Any, State], None]:
    """Return a check that the attributes are there whose ``parameters`` say that they are used."""

    def check(owner: Any, state: State) -> None:
        for name, parameter in parameters.items():
            if getattr(owner, parameter) and state.get(name) is None:
                raise StructureError(f"{name} is None, and {parameter} asks for it.")

    return check


def _check_categories(owner: Any, state: State) -> None:
    """Check the categories, and which of them are infrequent or dropped."""
    categories = state["categories_"]
    for known in categories:
        _check_known(known)
    infrequent = state.get("_infrequent_indices") or []
    grouped = hasattr(owner, "max_categories") and _groups(owner)
    if len(infrequent) != (len(categories) if grouped else 0):
        raise StructureError("_infrequent_indices does not hold one item per feature.")
    for indices, known in zip(infrequent, categories, strict=bool(infrequent)):
        if indices is not None:
            _check_indices("_infrequent_indices", indices, len(known))
    if state.get("drop_idx_") is not None:
        for i, known in zip(state["drop_idx_"], categories, strict=True):
            if i is not None:
                _check_indices("drop_idx_", np.array([i]), len(known))


def _check_known(known: np.ndarray) -> None:
    """Check the categories of one feature.

    ``transform`` finds numbers by a binary search: among numbers in another order it would end
    beyond the last, and SciPy would write a column that the matrix does not have. Only the last
    category may be NaN.
    """
    missing = len(known) > 0 and is_scalar_nan(known[-1])
    values = known[:-1] if missing else known
    if known.dtype.kind in "OU":
        fits = len(set(values)) == len(values) and not any(map(is_scalar_nan, values))
    else:
        fits = rises(values) and not np.isnan(values).any()
    if not fits:
        raise StructureError("categories_ does not hold different categories in rising order.")


def _check_indices(name: str, indices: Any, total: int) -> None:
    """Check that ``indices`` are different integers from 0 to ``total`` - 1."""
    if len(np.unique(indices)) != len(indices):
        raise StructureError(f"{name} does not hold different indices.")
    if len(indices) and not 0 <= indices.min() <= indices.max() < total:
        raise StructureError(f"{name} names a category beyond the {total}.")


def _groups(owner: Any) -> bool:
    """Tell whether the encoder's parameters group infrequent categories, as ``fit`` does."""
    return (owner.max_categories is not None and owner.max_categories >= 1) or (
        owner.min_frequency is not None
    )


def _group_infrequent(owner: Any, state: State) -> State:
    """Return what ``fit`` derives from the categories and the infrequent ones among them."""
    groups = _groups(owner)
    mappings: list[np.ndarray | None] = []
    for indices, known in zip(
        state["_infrequent_indices"] if groups else [], state["categories_"], strict=groups
    ):
        mapping = None
        if indices is not None:
            n, frequent = len(known), np.setdiff1d(np.arange(len(known)), indices)
            mapping = np.empty(n, np.int64)
            mapping[indices] = len(frequent)
            mapping[frequent] = np.arange(len(frequent))
        mappings.append(mapping)
    return {"_infrequent_enabled": groups, "_default_to_infrequent_mappings": mappings}


def _rebuild_one_hot(owner: Any, state: State) -> State:
    """Return what ``OneHotEncoder.fit`` derives from its categories; native code counts with it."""
    grouped = _group_infrequent(owner, state)
    mappings, dropped = grouped["_default_to_infrequent_mappings"], state["drop_idx_"]
    if dropped is not None and mappings:
        pairs = zip(dropped, mappings, strict=True)
        after = [i if i is None or m is None else int(m[i]) for i, m in pairs]
        dropped = np.array(after, dtype=object)
    shell = copy(owner)
    vars(shell).update({**state, **grouped, "_drop_idx_after_grouping": dropped})
    return {
        **grouped,
        "_drop_idx_after_grouping": dropped,
        "_n_features_outs": shell._compute_n_features_outs(),
    }


def _rebuild_ordinal(owner: Any, state: State) -> State:
    """Return what ``OrdinalEncoder.fit`` derives from its categories."""
    missing = {
        i: len(known) - 1
        for i, known in enumerate(state["categories_"])
        if len(known) and is_scalar_nan(known[-1])
    }
    return {**_group_infrequent(owner, state), "_missing_indices": missing}


def _check_bins(owner: Any, state: State) -> None:
    """Check that each feature has one bin between any two of its edges."""
    for count, edges in zip(state["n_bins_"], state["bin_edges_"], strict=True):
        if len(edges) != count + 1 or not np.all(np.diff(edges) >= 0):
            raise StructureError(f"bin_edges_ does not hold the rising edges of {count} bins.")


def _bin_encoder(owner: Any, state: State) -> State:
    """Return the encoder that ``KBinsDiscretizer.fit`` makes."""
    if owner.encode == "ordinal":
        return {}
    encoder = OneHotEncoder(
        categories=[np.arange(n) for n in state["n_bins_"]],
        sparse_output=owner.encode == "onehot",
        dtype=np.float64 if owner.dtype is None else owner.dtype,
    )
    return {"_encoder": encoder.fit(np.zeros((1, len(state["n_bins_"]))))}


def _combinations(owner: Any, state: State) -> State:
    """Return what ``PolynomialFeatures.fit`` derives from the number of features."""
    n = state["n_features_in_"]
    degree = int(np.max(owner.degree))
    # Of n things, k can be chosen in (n / k)^k ways at least. The exact number may take for ever.
    total, chosen = (n, min(degree, n // 2)) if owner.interaction_only else (n + degree, degree)
    chosen = min(chosen, total - chosen)
    if chosen and chosen * np.log2(total / chosen) > _MAX_OUTPUTS_LOG2:
        raise StructureError(
            f"PolynomialFeatures(degree={degree}) of {n} features has more than "
            f"2**{_MAX_OUTPUTS_LOG2} outputs."
        )
    charge(8 * n, "n_features_in_")
    shell = clone(owner).fit(np.zeros((1, n)))
    charge(8 * shell._n_out_full, "A row of polynomial features")
    names = ("n_output_features_", "_min_degree", "_max_degree", "_n_out_full")
    return {name: getattr(shell, name) for name in names}


def _check_quantiles(owner: Any, state: State) -> None:
    """Check that the quantiles of every feature that has any do not fall."""
    low, high = state["quantiles_"][:-1], state["quantiles_"][1:]
    if not np.all((low <= high) | (np.isnan(low) & np.isnan(high))):
        raise StructureError("quantiles_ falls.")


def _references(owner: Any, state: State) -> State:
    """Return the levels of the quantiles, as ``QuantileTransformer.fit`` does."""
    return {"references_": np.linspace(0, 1, state["n_quantiles_"])}


def _power_scaler(owner: Any, state: State) -> Any:
    return StandardScaler(copy=False) if owner.standardize else None


def _check_encodings(owner: Any, state: State) -> None:
    """Check that each category has an encoding, for each class if there are several."""
    _check_categories(owner, state)
    several = state["target_type_"] == "multiclass"
    classes = state["classes_"]
    if (classes is None) != (state["target_type_"] == "continuous"):
        raise StructureError("classes_ and target_type_ do not fit together.")
    repeats = len(classes) if several else 1
    if np.shape(state["target_mean_"]) != ((repeats,) if several else ()):
        raise StructureError("target_mean_ does not hold one mean for each class.")
    wanted = [len(known) for known in state["categories_"] for _ in range(repeats)]
    if [len(encoding) for encoding in state["encodings_"]] != wanted:
        raise StructureError("encodings_ does not hold one number for each category.")


class _Splines:
    """The attribute ``bsplines_``: the knots of each feature, ``(knots, n)`` of float64.

    The coefficients and the degree follow from the parameters.
    """

    def encode(self, path: str, value: Any, storing: Storing) -> Slots:
        """Yield the slot of the knots."""
        knots = np.stack([spline.t for spline in value], axis=1)
        made = _splines(storing.owner, knots)
        if not all(
            a.k == b.k and a.extrapolate == b.extrapolate and np.array_equal(a.c, b.c)
            for a, b in zip(value, made, strict=True)
        ):
            raise NotSerializable(
                f"{path!r} holds other splines than the parameters call for.",
                hint="Do not change the parameters of an estimator that is fitted.",
            )
        yield f"{path}/knots/0", Slot.made(np.ascontiguousarray(knots))

    def decode(self, reader: Reader, path: str, restoring: Restoring) -> list[Any]:
        """Return the splines of each feature, whose knots rise."""
        knots = reader.take(f"{path}/knots/0", dtype=np.float64, ndim=2)
        degree = restoring.owner.degree
        if knots.shape[1] != restoring.state["n_features_in_"] or len(knots) < 2 * degree + 2:
            raise StructureError(f"{path}/knots has shape {knots.shape} for degree={degree}.")
        if not np.isfinite(knots).all() or np.any(np.diff(knots, axis=0) < 0):
            raise StructureError(f"{path}/knots are not finite, or fall.")
        charge(8 * len(knots) ** 2, f"The splines {path!r}")
        return _splines(restoring.owner, knots)


def _splines(owner: Any, knots: np.ndarray) -> list[Any]:
    """Return the splines of each feature, as ``SplineTransformer.fit`` makes them."""
    periodic = owner.extrapolation == "periodic"
    count = len(knots) - owner.degree - 1
    coefficients = np.eye(count - owner.degree if periodic else count)
    if periodic:
        coefficients = np.concatenate((coefficients, coefficients[: owner.degree]))
    extrapolate = owner.extrapolation in ("periodic", "continue")
    return [
        BSpline.construct_fast(knots[:, i], coefficients, owner.degree, extrapolate=extrapolate)
        for i in range(knots.shape[1])
    ]


def _spline_outputs(owner: Any, state: State) -> int:
    """Return the number of outputs, as ``SplineTransformer.fit`` counts them."""
    n = state["n_features_in_"]
    each: int = state["bsplines_"][0].c.shape[0] if n else 0
    if owner.extrapolation == "periodic":
        each -= owner.degree
    outputs: int = n * each - n * (1 - owner.include_bias)
    return outputs


_MAX_OUTPUTS_LOG2: Final = 48

_FEATURES: Final[Mapping[str, Field]] = {"n_features_in_": Size("n")}
_PER_FEATURE: Final = Halves("n") | MISSING
_SEEN: Final[Mapping[str, Field]] = {"n_samples_seen_": Number(0) | Reals("n", minimum=0)}
_GROUPED: Final = "_infrequent_enabled _default_to_infrequent_mappings"
_STATELESS: Final = schema({}, _FEATURES)
_VALUES: Final = Labels("_", minimum=1) | ArrayOf(Word() | Number() | MISSING, minimum=1)
_CATEGORIES: Final[Mapping[str, Field]] = {**_FEATURES, "categories_": ListOf(_VALUES, "n")}
_INFREQUENT: Final[Mapping[str, Field]] = {
    "_infrequent_indices": ListOf(Integers("_", minimum=0) | MISSING)
}

SCHEMAS: Final = {
    "preprocessing.Binarizer": _STATELESS,
    "preprocessing.FunctionTransformer": _STATELESS,
    "preprocessing.KBinsDiscretizer": schema(
        {
            **_FEATURES,
            "bin_edges_": ArrayOf(Floats("_"), "n"),
            "n_bins_": Integers("n", minimum=1),
        },
        rebuilt="_encoder",
        rebuild=_bin_encoder,
        check=_check_bins,
    ),
    "preprocessing.LabelBinarizer": schema(
        {
            "classes_": Classes("classes", minimum=1),
            "y_type_": Word(("binary", "multiclass", "multilabel-indicator")),
            "sparse_input_": Flag(),
        }
    ),
    "preprocessing.LabelEncoder": schema({"classes_": Classes("classes")}),
    "preprocessing.MaxAbsScaler": schema(
        {**_FEATURES, "max_abs_": Halves("n")},
        _SEEN,
        derived={"scale_": lambda owner, state: _handle_zeros_in_scale(state["max_abs_"])},
    ),
    "preprocessing.MinMaxScaler": schema(
        {
            **_FEATURES,
            "scale_": Halves("n"),
            "min_": Halves("n"),
            "data_min_": Halves("n"),
            "data_max_": Halves("n"),
        },
        _SEEN,
        derived={"data_range_": lambda owner, state: state["data_max_"] - state["data_min_"]},
    ),
    "preprocessing.MultiLabelBinarizer": schema(
        {"classes_": Labels("classes")},
        rebuilt="_cached_dict",
        rebuild=lambda owner, state: {"_cached_dict": None},
    ),
    "preprocessing.Normalizer": _STATELESS,
    "preprocessing.OneHotEncoder": schema(
        {**_CATEGORIES, "drop_idx_": ArrayOf(Count() | MISSING, "n") | MISSING},
        _INFREQUENT,
        rebuilt=f"{_GROUPED} _drop_idx_after_grouping _n_features_outs",
        rebuild=_rebuild_one_hot,
        check=_check_categories,
    ),
    "preprocessing.OrdinalEncoder": schema(
        _CATEGORIES,
        _INFREQUENT,
        rebuilt=f"{_GROUPED} _missing_indices",
        rebuild=_rebuild_ordinal,
        check=_check_categories,
    ),
    "preprocessing.PolynomialFeatures": schema(
        _FEATURES,
        rebuilt="n_output_features_ _min_degree _max_degree _n_out_full",
        rebuild=_combinations,
    ),
    "preprocessing.PowerTransformer": schema(
        {**_FEATURES, "lambdas_": Halves("n")},
        {"_scaler": Nested(_power_scaler)},
        check=_given(_scaler="standardize"),
    ),
    "preprocessing.QuantileTransformer": schema(
        {
            **_FEATURES,
            "n_quantiles_": Size("quantiles", 1),
            "quantiles_": Floats("quantiles n"),
        },
        rebuilt="references_",
        rebuild=_references,
        check=_check_quantiles,
    ),
    "preprocessing.RobustScaler": schema(
        {**_FEATURES, "center_": _PER_FEATURE, "scale_": _PER_FEATURE},
        check=_given(center_="with_centering", scale_="with_scaling"),
    ),
    "preprocessing.StandardScaler": schema(
        {**_FEATURES, "mean_": _PER_FEATURE, "var_": _PER_FEATURE, "scale_": _PER_FEATURE},
        _SEEN,
        check=_given(mean_="with_mean", scale_="with_std"),
    ),
    "preprocessing.SplineTransformer": schema(
        {**_FEATURES, "bsplines_": _Splines()}, derived={"n_features_out_": _spline_outputs}
    ),
    "preprocessing.TargetEncoder": schema(
        {
            **_CATEGORIES,
            "target_type_": Word(("continuous", "binary", "multiclass")),
            "classes_": Classes("classes", minimum=2) | MISSING,
            "target_mean_": Number() | Floats("classes"),
            "encodings_": ListOf(Floats("_")),
        },
        rebuilt="_infrequent_enabled",
        rebuild=lambda owner, state: {"_infrequent_enabled": False},
        check=_check_encodings,
    ),
}
