"""Scalers, encoders, imputers and selectors."""

from __future__ import annotations

from copy import copy
from typing import Any, Final

import numpy as np
from sklearn.base import clone
from sklearn.impute import MissingIndicator
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils._missing import is_scalar_nan

from dc_core import charge
from dc_core.errors import StructureError
from dc_sklearn.nested import Nested
from dc_sklearn.schema import Schema, State, schema


def _per_feature(*names: str) -> Any:
    """Return a check that each of the attributes is None or holds one value per feature."""

    def check(owner: Any, state: State) -> None:
        n = state["n_features_in_"]
        for name in names:
            if state[name] is not None and np.shape(state[name]) != (n,):
                raise StructureError(f"{name} has shape {np.shape(state[name])} for {n} features.")

    return check


def _scaler(names: str) -> Schema:
    return schema(f"n_features_in_ {names}", check=_per_feature(*names.split()))


def _indicator(owner: Any, state: State) -> Any:
    if not owner.add_indicator:
        return None
    return MissingIndicator(missing_values=owner.missing_values, error_on_new=False)


def _check_categories(owner: Any, state: State) -> None:
    """Check the categories, and which of them are infrequent or dropped."""
    n, categories = state["n_features_in_"], state["categories_"]
    if not isinstance(categories, list) or len(categories) != n:
        raise StructureError(f"categories_ does not hold one array for each of {n} features.")
    if not all(isinstance(known, np.ndarray) and known.ndim == 1 for known in categories):
        raise StructureError("categories_ does not hold 1-d arrays.")
    infrequent = state.get("_infrequent_indices")
    if _groups(owner):
        if not isinstance(infrequent, list) or len(infrequent) != n:
            raise StructureError("_infrequent_indices does not hold one item per feature.")
        for indices, known in zip(infrequent, categories, strict=True):
            if indices is not None:
                _check_indices("_infrequent_indices", indices, len(known))
    elif infrequent is not None and infrequent != []:
        raise StructureError("_infrequent_indices is given, and the parameters group none.")
    dropped = state.get("drop_idx_")
    if dropped is not None:
        if np.shape(dropped) != (n,):
            raise StructureError("drop_idx_ does not hold one item per feature.")
        for i, known in zip(dropped, categories, strict=True):
            if i is not None:
                _check_indices("drop_idx_", np.array([i]), len(known))


def _check_indices(name: str, indices: Any, total: int) -> None:
    """Check that ``indices`` are different integers from 0 to ``total`` - 1."""
    integers = isinstance(indices, np.ndarray) and indices.dtype.kind in "iu" and indices.ndim == 1
    if not integers or len(np.unique(indices)) != len(indices):
        raise StructureError(f"{name} does not hold different indices.")
    if len(indices) and not 0 <= indices.min() <= indices.max() < total:
        raise StructureError(f"{name} names a category that is none of {total}.")


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
    n, bins, edges = state["n_features_in_"], state["n_bins_"], state["bin_edges_"]
    if np.shape(bins) != (n,) or bins.dtype.kind not in "iu" or np.shape(edges) != (n,):
        raise StructureError(f"n_bins_ and bin_edges_ do not hold one item for {n} features.")
    for count, edge in zip(bins, edges, strict=True):
        if np.ndim(edge) != 1 or len(edge) != count + 1 or np.any(np.diff(edge) < 0):
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
    charge(8 * state["n_features_in_"], "n_features_in_")
    shell = clone(owner).fit(np.zeros((1, state["n_features_in_"])))
    charge(8 * shell.n_output_features_, "A row of polynomial features")
    names = ("n_output_features_", "_min_degree", "_max_degree", "_n_out_full")
    return {name: getattr(shell, name) for name in names}


def _power_scaler(owner: Any, state: State) -> Any:
    return StandardScaler(copy=False) if owner.standardize else None


def _selected_by(owner: Any, state: State) -> Any:
    return clone(owner.estimator)


_IMPUTED: Final = {"indicator_": Nested(_indicator)}
_GROUPED: Final = "_infrequent_enabled _default_to_infrequent_mappings"
_STATELESS: Final = schema("", "n_features_in_")
_SCORED: Final = schema("n_features_in_ scores_")
_ELIMINATION: Final = schema(
    "n_features_in_ support_ ranking_ n_features_ estimator_",
    fields={"estimator_": Nested(_selected_by)},
)

SCHEMAS: Final = {
    "feature_selection.GenericUnivariateSelect": _SCORED,
    "feature_selection.RFE": _ELIMINATION,
    "feature_selection.RFECV": _ELIMINATION,
    "feature_selection.SelectFdr": _SCORED,
    "feature_selection.SelectFpr": _SCORED,
    "feature_selection.SelectFromModel": schema(
        "estimator_", fields={"estimator_": Nested(_selected_by)}
    ),
    "feature_selection.SelectFwe": _SCORED,
    "feature_selection.SelectKBest": _SCORED,
    "feature_selection.SelectPercentile": _SCORED,
    "feature_selection.VarianceThreshold": schema("n_features_in_ variances_"),
    "impute.KNNImputer": schema(
        "n_features_in_ _fit_X _mask_fit_X _valid_mask indicator_", fields=_IMPUTED
    ),
    "impute.MissingIndicator": schema("n_features_in_ features_", "_precomputed _n_features"),
    "impute.SimpleImputer": schema(
        "n_features_in_ statistics_ indicator_", "_fit_dtype _fill_dtype", fields=_IMPUTED
    ),
    "preprocessing.Binarizer": _STATELESS,
    "preprocessing.FunctionTransformer": _STATELESS,
    "preprocessing.KBinsDiscretizer": schema(
        "n_features_in_ bin_edges_ n_bins_",
        rebuilt="_encoder",
        rebuild=_bin_encoder,
        check=_check_bins,
    ),
    "preprocessing.LabelBinarizer": schema("classes_ y_type_ sparse_input_"),
    "preprocessing.LabelEncoder": schema("classes_"),
    "preprocessing.MaxAbsScaler": _scaler("max_abs_ scale_"),
    "preprocessing.MinMaxScaler": _scaler("scale_ min_ data_min_ data_max_ data_range_"),
    "preprocessing.Normalizer": _STATELESS,
    "preprocessing.OneHotEncoder": schema(
        "n_features_in_ categories_ drop_idx_",
        "_infrequent_indices",
        rebuilt=f"{_GROUPED} _drop_idx_after_grouping _n_features_outs",
        rebuild=_rebuild_one_hot,
        check=_check_categories,
    ),
    "preprocessing.OrdinalEncoder": schema(
        "n_features_in_ categories_",
        "_infrequent_indices",
        rebuilt=f"{_GROUPED} _missing_indices",
        rebuild=_rebuild_ordinal,
        check=_check_categories,
    ),
    "preprocessing.PolynomialFeatures": schema(
        "n_features_in_",
        rebuilt="n_output_features_ _min_degree _max_degree _n_out_full",
        rebuild=_combinations,
    ),
    "preprocessing.PowerTransformer": schema(
        "n_features_in_ lambdas_",
        "_scaler",
        fields={"_scaler": Nested(_power_scaler)},
        check=_per_feature("lambdas_"),
    ),
    "preprocessing.QuantileTransformer": schema(
        "n_features_in_ n_quantiles_ references_ quantiles_"
    ),
    "preprocessing.RobustScaler": _scaler("center_ scale_"),
    "preprocessing.StandardScaler": _scaler("mean_ var_ scale_"),
}
