"""Scalers, encoders, imputers and selectors."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from sklearn.base import clone
from sklearn.impute import MissingIndicator
from sklearn.preprocessing import OneHotEncoder, StandardScaler

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


def _bin_encoder(owner: Any, state: State) -> Any:
    """Return the encoder that ``KBinsDiscretizer.fit`` makes."""
    bins = state["n_bins_"]
    if np.ndim(bins) != 1 or bins.dtype.kind not in "iu" or (bins.size and bins.max() > 1 << 24):
        raise StructureError("n_bins_ does not hold one count per feature.")
    return OneHotEncoder(
        categories=[np.arange(n) for n in bins],
        sparse_output=owner.encode == "onehot",
        dtype=np.float64 if owner.dtype is None else owner.dtype,
    )


def _power_scaler(owner: Any, state: State) -> Any:
    return StandardScaler(copy=False) if owner.standardize else None


def _selected_by(owner: Any, state: State) -> Any:
    return clone(owner.estimator)


_IMPUTED: Final = {"indicator_": Nested(_indicator)}
_ENCODER: Final = (
    "_infrequent_enabled _infrequent_indices _default_to_infrequent_mappings _missing_indices "
    "_drop_idx_after_grouping _n_features_outs"
)
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
        "_encoder",
        fields={"_encoder": Nested(_bin_encoder)},
    ),
    "preprocessing.LabelBinarizer": schema("classes_ y_type_ sparse_input_"),
    "preprocessing.LabelEncoder": schema("classes_"),
    "preprocessing.MaxAbsScaler": _scaler("max_abs_ scale_"),
    "preprocessing.MinMaxScaler": _scaler("scale_ min_ data_min_ data_max_ data_range_"),
    "preprocessing.Normalizer": _STATELESS,
    "preprocessing.OneHotEncoder": schema("n_features_in_ categories_ drop_idx_", _ENCODER),
    "preprocessing.OrdinalEncoder": schema("n_features_in_ categories_", _ENCODER),
    "preprocessing.PolynomialFeatures": schema(
        "n_features_in_ n_output_features_", "_min_degree _max_degree _n_out_full"
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
